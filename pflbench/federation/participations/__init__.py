"""The built-in participations: which clients take part in which round, and how."""

from __future__ import annotations

from collections.abc import Sequence

from pflbench.federation.participations.participation_settings import (
    ByLabel,
    BySize,
    Dropout,
    Join,
    Leave,
    Stragglers,
    Uniform,
)
from pflbench.schema.hookspecs import hookimpl
from pflbench.schema.specs import ParticipationSpec

_HERE = "pflbench.federation.participations"


@hookimpl
def pflbench_participations() -> Sequence[ParticipationSpec]:
    """Return the built-in participations."""
    return [
        ParticipationSpec(
            "uniform",
            "each round a share of the clients, drawn uniformly; a plain number means this rule",
            make="pflbench.federation:Participation",
            parameters=Uniform,
        ),
        ParticipationSpec(
            "by-size",
            "each round a share of the clients, with probability proportional to training samples",
            make=f"{_HERE}.drawn:BySizeParticipation",
            parameters=BySize,
        ),
        ParticipationSpec(
            "dropout",
            "invited clients fail after receiving: they upload nothing and do not change",
            make=f"{_HERE}.drawn:DropoutParticipation",
            parameters=Dropout,
        ),
        ParticipationSpec(
            "stragglers",
            "the same clients in every round do only a part of their local steps",
            make=f"{_HERE}.drawn:StragglersParticipation",
            parameters=Stragglers,
        ),
        ParticipationSpec(
            "join",
            "a share of the clients enrols late",
            make=f"{_HERE}.scheduled:JoinParticipation",
            parameters=Join,
        ),
        ParticipationSpec(
            "leave",
            "a share of the clients leaves for good, and the server may have to forget them",
            make=f"{_HERE}.scheduled:LeaveParticipation",
            parameters=Leave,
        ),
        ParticipationSpec(
            "by-label",
            "a client's most frequent label decides when in a cycle of rounds it is present",
            make=f"{_HERE}.scheduled:ByLabelParticipation",
            parameters=ByLabel,
        ),
    ]

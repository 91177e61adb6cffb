"""Protection of uploads: its parameters, and how it is written on a command line.

It imports nothing heavy: `pflbench.engine.upload_noise` makes the noise, and
`pflbench.engine.privacy_accounting` computes the guarantee.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pflbench.errors import UnknownNameError
from pflbench.schema.expressions import parse_expression
from pflbench.schema.parameters import param, parameters_to_json, parse_parameters
from pflbench.schema.scenario import Choice

VERSION: Final = "1"
"""Part of a private run's identity: to be changed when the same choice gives other numbers."""


@dataclass(frozen=True)
class Gaussian:
    """Clipping to a norm, and Gaussian noise, on everything that a client uploads.

    A message is scaled down to norm C where it is longer, and gets noise of standard deviation
    σC in every number (Dwork and Roth 2014, appendix A; McMahan et al. 2018, arXiv 1710.06963,
    where the server does it).
    """

    clip: float = param(1.0, "largest norm C of an upload of a round", gt=0)
    noise: float = param(1.0, "standard deviation of the noise, in units of C", ge=0)
    enrol_clip: float | None = param(
        None, "largest norm of what is uploaded at enrolment; none: as clip", gt=0
    )
    enrol_noise: float | None = param(
        None, "noise at enrolment, in units of its norm; none: as noise", ge=0
    )
    delta: float = param(1e-5, "δ at which ε is reported", gt=0, lt=1)

    @property
    def at_enrolment(self) -> tuple[float, float]:
        """Norm and noise of enrolment messages."""
        return (
            self.clip if self.enrol_clip is None else self.enrol_clip,
            self.noise if self.enrol_noise is None else self.enrol_noise,
        )

    @property
    def in_rounds(self) -> tuple[float, float]:
        """Norm and noise of a round's uploads."""
        return self.clip, self.noise


MECHANISMS: Final[dict[str, type[Gaussian]]] = {"gaussian": Gaussian}
"""By the name that a command line has for it."""


def read_privacy(text: str) -> tuple[Choice, Gaussian]:
    """Read a mechanism such as "gaussian(clip=1, noise=2)".

    Returns
    -------
    The scenario's entry, and the parameters.

    Raises
    ------
    InputError
        The mechanism does not exist, or a parameter is not valid.
    """
    expression = parse_expression(
        text, kind="privacy mechanism", example="gaussian(clip=1, noise=1)"
    )
    if expression.name not in MECHANISMS:
        raise UnknownNameError("privacy mechanism", expression.name, MECHANISMS)
    given: dict[str, Any] = dict(expression.arguments)
    rule = parse_parameters(MECHANISMS[expression.name], given, owner=expression.name)
    return Choice(expression.name, parameters_to_json(rule), VERSION), rule

"""The classes of a method's two halves, as its record names them."""

from __future__ import annotations

from typing import Any

from pflbench.errors import InputError
from pflbench.method import AveragingServer, Client, LocalBudget, Server
from pflbench.schema.fine_tuning import EPOCHS
from pflbench.schema.specs import FINE_TUNED, AlgorithmSpec, resolve

_OWN = ("private", "personal", "prepare", "predict", "adaptation")
"""Places of a client half that make its personal model another than the global one."""


def halves(spec: AlgorithmSpec) -> tuple[type[Client[Any]], type[Server[Any]]]:
    """Import the client half and the server half of a method.

    Raises
    ------
    InputError
        They cannot be imported, or the method is a fine-tuned variant of one that has no global
        model or personalises already.
    """
    owner = f"algorithm {spec.name!r}"
    client: type[Client[Any]] = resolve(spec.client, owner=owner)
    server: type[Server[Any]] = resolve(spec.server, owner=owner)
    if not spec.fine_tuned:
        return client, server
    overrides = [place for place in _OWN if getattr(client, place) is not getattr(Client, place)]
    one = issubclass(server, AveragingServer) and client.personal_model == "served"
    if overrides or not one:
        method = spec.name.removesuffix(FINE_TUNED)
        raise InputError(
            f"{spec.name} does not exist: {FINE_TUNED} fine-tunes the global model of a method, "
            f"and {method} has personal models of its own, or no global one. Leave out "
            f"{FINE_TUNED}."
        )
    return _fine_tuned(client), server


def _fine_tuned(client: type[Client[Any]]) -> type[Client[Any]]:
    """Return a client half that fine-tunes its personal model before each evaluation."""

    def adaptation(self: Client[Any]) -> LocalBudget:
        """Fine-tune with the scenario's optimiser and batch size."""
        epochs = getattr(self.parameters, EPOCHS)
        return LocalBudget(self.task.budget.batch_size, epochs=epochs)

    # Before adaptation the personal model is the global one: the stage "global".
    own = {"adaptation": adaptation, "generic": client.personal}
    about = {"__module__": client.__module__, "__doc__": client.__doc__}
    return type(f"FineTuned{client.__name__}", (client,), {**own, **about})

"""FedProto's server half (Tan et al. 2022): C̄(j) = mean of the clients' C_k(j)."""

from __future__ import annotations

from torch import Tensor

from pflbench.method import Rows, Server, Setup
from pflbench_algorithms.class_features import ClassMeans, feature_size
from pflbench_algorithms.fedproto import FedProto


class FedProtoServer(Server[FedProto]):
    """Keeps the global prototypes.

    Attributes
    ----------
    prototypes
        [C, D] C̄, 0 before a class has one.
    known
        [C] 1 for a class that has one, or 0.
    """

    def __init__(self, parameters: FedProto, setup: Setup) -> None:
        super().__init__(parameters, setup)
        self.prototypes = setup.initial.new_zeros(setup.classes, feature_size(setup.layout))
        self.known = setup.initial.new_zeros(setup.classes)

    def send(self, round: int, cohort: Tensor) -> Rows:
        """Send the global prototypes."""
        return self.serve(cohort)

    def serve(self, clients: Tensor) -> Rows:
        """Return the global prototypes, and which classes have one."""
        K = len(clients)
        return {"prototypes": self.prototypes.expand(K, -1, -1), "known": self.known.expand(K, -1)}

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        """Average over the clients that have a class; one that none has keeps its prototype."""
        before = ClassMeans(self.prototypes, self.known)
        after = before.averaged(uploads["prototypes"], uploads["weight"])
        self.prototypes, self.known = after.means, after.known

    def forget(self, clients: Tensor) -> str:
        """Forget nothing: prototypes are averages."""
        return "their part in the global prototypes" if bool(self.known.any()) else ""

"""The partitions of published code, by the rules of `pflbench.federation.recipe_rules`.

The draws are those of the original in its order, from the suite's streams: the rule is the same,
the indices of one seed are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pflbench.federation import Partitioner, PartitionRequest, Split, deal
from pflbench.federation import recipe_rules as rules
from pflbench.federation.partitioners.recipe_settings import (
    FedrepShards,
    Hsu,
    InnerDirichlet,
    Lognormal,
    NiidBeta,
    NiidLabel,
    PfllibDir,
    PfllibExdir,
    PfllibPat,
)

Parts = Mapping[Split, list[np.ndarray]]


class PfllibDirPartitioner(Partitioner):
    """Dirichlet shares of each class, capped at n/N, of the merged data (PFLlib's `dir`).

    dataset/utils/dataset_utils.py of TsingZ0/PFLlib, commit d832e76, with its batch of 10: all is
    drawn again until each client has 40 samples, or half of n/N. A client's samples are split 75 to
    25 into training and test.
    """

    parameters: PfllibDir
    train_share = rules.TRAIN_SHARE

    def divide(
        self, labels: np.ndarray, clients: int, classes: int, rng: np.random.Generator
    ) -> Sequence[np.ndarray]:
        """Divide the merged samples."""
        least = rules.least_of_pfllib(len(labels), clients)
        alpha = self.parameters.alpha
        return rules.capped_dirichlet(labels, clients, classes, alpha, least, rng, "pfllib-dir")


class PfllibPatPartitioner(Partitioner):
    """A few classes for each client, neighbours alike, of the merged data (PFLlib's `pat`).

    dataset/utils/dataset_utils.py of TsingZ0/PFLlib, commit d832e76. A client's samples are split
    75 to 25 into training and test.
    """

    parameters: PfllibPat
    train_share = rules.TRAIN_SHARE

    def divide(
        self, labels: np.ndarray, clients: int, classes: int, rng: np.random.Generator
    ) -> Sequence[np.ndarray]:
        """Divide the merged samples."""
        own = self.parameters
        return rules.pfllib_pat(labels, clients, classes, own.classes_per_client, own.balance, rng)


class PfllibExdirPartitioner(Partitioner):
    """A few classes for each client, Dirichlet shares among holders, merged (PFLlib's `exdir`).

    dataset/utils/dataset_utils.py of TsingZ0/PFLlib, commit d832e76, after arXiv 2311.03154. A
    client's samples are split 75 to 25 into training and test.
    """

    parameters: PfllibExdir
    train_share = rules.TRAIN_SHARE

    def divide(
        self, labels: np.ndarray, clients: int, classes: int, rng: np.random.Generator
    ) -> Sequence[np.ndarray]:
        """Divide the merged samples."""
        own = self.parameters
        return rules.pfllib_exdir(labels, clients, classes, own.classes_per_client, own.alpha, rng)


class PfedmeMnistPartitioner(Partitioner):
    """Two neighbouring classes for each client, with drawn sizes, merged (pFedMe's MNIST).

    data/Mnist/generate_niid_20users.py of CharlieDinh/pFedMe, commit caf24b1: 20 clients, each
    pixel standardised over all samples (σ + 0.001), 75 to 25 into training and test.
    """

    train_share = rules.TRAIN_SHARE
    standardises = True

    def divide(
        self, labels: np.ndarray, clients: int, classes: int, rng: np.random.Generator
    ) -> Sequence[np.ndarray]:
        """Divide the merged samples."""
        return rules.pfedme_mnist(labels, clients, 4, rng)


class FedrepShardsPartitioner(Partitioner):
    """Shards of single classes, in training and test of the same ones (FedRep).

    utils/sampling.py of lgcollins/FedRep, commit d82e629. A client may get a class twice. Each
    split is cut into shards of its own.
    """

    parameters: FedrepShards

    def assign(self, request: PartitionRequest, rng: np.random.Generator) -> Parts:
        """Draw each client's classes, then its shards of every split."""
        own = rules.fedrep_labels(request.clients, request.classes, self.parameters.shards, rng)
        return {
            split: rules.fedrep_shards(y, own, request.classes, rng)
            for split, y in request.labels.items()
        }


class NiidLabelPartitioner(Partitioner):
    """Client i has class i mod C and others at random; holders share equally (NIID-Bench).

    utils.py of Xtra-Computing/NIID-Bench, commit 61b901a, `noniid-#label2`; Li et al. 2022, arXiv
    2102.02079. There the test set is global; here a client's test samples are of its classes.
    """

    parameters: NiidLabel

    def assign(self, request: PartitionRequest, rng: np.random.Generator) -> Parts:
        """Draw each client's classes, then cut every split."""
        each = self.parameters.classes_per_client
        held = rules.niid_labels(request.clients, request.classes, each, rng)
        return {
            split: rules.niid_label(y, held, request.classes, rng)
            for split, y in request.labels.items()
        }


class NiidLabeldirPartitioner(Partitioner):
    """Dirichlet shares of each class, capped at n/N, at least 10 samples (NIID-Bench).

    utils.py of Xtra-Computing/NIID-Bench, commit 61b901a, `noniid-labeldir`. There the test set is
    global; here validation and test are dealt in the clients' shares of each training class.
    """

    parameters: NiidBeta

    def assign(self, request: PartitionRequest, rng: np.random.Generator) -> Parts:
        """Divide the training samples, and deal the other splits alike."""
        y, beta = request.labels["train"], self.parameters.beta
        train = rules.capped_dirichlet(
            y, request.clients, request.classes, beta, 10, rng, "niid-labeldir"
        )
        return _alike(request, train, rng)


class HsuPartitioner(Partitioner):
    """Clients of one size, whose classes are a draw from Dir(alpha·p) each (Hsu et al. 2019).

    "Measuring the Effects of Non-Identical Data Distribution for Federated Visual Classification",
    arXiv 1909.06335, section 3: p are the shares of the classes in the data, so that a class of a
    tenth has the concentration alpha/10. Clients draw one after another, and the last ones get
    what is left. Validation and test are dealt in the clients' shares of each training class.
    """

    parameters: Hsu

    def assign(self, request: PartitionRequest, rng: np.random.Generator) -> Parts:
        """Divide the training samples, and deal the other splits alike."""
        y = request.labels["train"]
        train = rules.hsu(y, request.clients, request.classes, self.parameters.alpha, rng)
        return _alike(request, train, rng)


class InnerDirichletPartitioner(Partitioner):
    """Clients of one size, whose classes are a draw from Dir(alpha) each (FedLab).

    client_inner_dirichlet_partition of fedlab/utils/dataset/functional.py of SMILELab-FL/FedLab,
    commit 92552a7, after Acar et al. 2021, "Federated Learning Based on Dynamic Regularization".
    There the test set is global; here validation and test are dealt in the clients' shares of each
    training class.
    """

    parameters: InnerDirichlet

    def assign(self, request: PartitionRequest, rng: np.random.Generator) -> Parts:
        """Divide the training samples, and deal the other splits alike."""
        y, alpha = request.labels["train"], self.parameters.alpha
        train = rules.inner_dirichlet(y, request.clients, request.classes, alpha, rng)
        return _alike(request, train, rng)


class NiidQuantityPartitioner(Partitioner):
    """Sizes are a draw from Dir(beta), at least 10; classes at random (NIID-Bench).

    utils.py of Xtra-Computing/NIID-Bench, commit 61b901a, `iid-diff-quantity`. There the test set
    is global; here a client's share of every split is the same.
    """

    parameters: NiidBeta

    def assign(self, request: PartitionRequest, rng: np.random.Generator) -> Parts:
        """Draw the clients' shares, and cut a permutation of every split."""
        order = rng.permutation(len(request.labels["train"]))
        shares = rules.niid_sizes(len(order), request.clients, self.parameters.beta, rng)
        return _cut(request, order, shares, rng)


class LognormalPartitioner(Partitioner):
    """Sizes are log-normal; classes at random (FedLab).

    lognormal_unbalance_split and homo_partition of fedlab/utils/dataset/functional.py of
    SMILELab-FL/FedLab, commit 92552a7. A client's share of every split is the same.
    """

    parameters: Lognormal

    def assign(self, request: PartitionRequest, rng: np.random.Generator) -> Parts:
        """Draw the clients' sizes, and cut a permutation of every split."""
        n = len(request.labels["train"])
        sizes = rules.lognormal_sizes(n, request.clients, self.parameters.sigma, rng)
        order = rng.permutation(n)[: int(sizes.sum())]
        return _cut(request, order, sizes / sizes.sum(), rng)


def _alike(
    request: PartitionRequest, train: Sequence[np.ndarray], rng: np.random.Generator
) -> Parts:
    """Deal validation and test samples in the clients' shares of each training class."""
    y = request.labels["train"]
    counts = [np.bincount(y[part], minlength=request.classes) for part in train]
    shares = np.stack(counts).astype(np.float64)
    parts: dict[Split, list[np.ndarray]] = {"train": list(train)}
    for split in ("val", "test"):
        parts[split] = list(deal(shares, request.labels[split], rng))
    return parts


def _cut(
    request: PartitionRequest, order: np.ndarray, shares: np.ndarray, rng: np.random.Generator
) -> Parts:
    """Cut a permutation of every split in the clients' shares [N]; that of training is given."""
    parts: dict[Split, list[np.ndarray]] = {}
    for split, y in request.labels.items():
        given = order if split == "train" else rng.permutation(len(y))
        # 1e-9: shares of whole sizes come back as these sizes
        ends = (np.cumsum(shares) * len(given) + 1e-9).astype(np.int64)[:-1]
        parts[split] = np.split(given, ends)
    return parts

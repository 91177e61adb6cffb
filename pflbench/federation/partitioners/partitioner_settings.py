"""Parameters of the built-in partitioners."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from pflbench.errors import InputError
from pflbench.schema.parameters import param
from pflbench.schema.paths import path_of, read_text


@dataclass(frozen=True)
class Dirichlet:
    """Parameters of `dirichlet`."""

    alpha: float = param(
        0.5,
        "concentration: small gives a class to few clients, large to all alike",
        ge=1e-4,
        le=1e6,
        source="0.1 to 1 in most papers",
        tune=(0.05, 10),
        log=True,
    )


@dataclass(frozen=True)
class Pathological:
    """Parameters of `pathological`."""

    classes_per_client: int = param(
        2, "how many classes each client holds", ge=1, source="pFedHN official code"
    )


@dataclass(frozen=True)
class Quantity:
    """Parameters of `quantity`."""

    alpha: float = param(
        0.5,
        "concentration: small makes few clients large, large makes all alike",
        ge=1e-4,
        le=1e6,
        source="0.5 in NIID-Bench, Li 2022",
        tune=(0.05, 10),
        log=True,
    )


@dataclass(frozen=True)
class Indices:
    """Parameters of `indices`."""

    file: str = param("", "JSON file with the indices of each client's samples")
    merged: bool = param(
        False, "whether indices count all samples, the training samples first, then the test ones"
    )
    digest: str = param("", "first 16 digits of the file's SHA-256; empty: those that it has")

    def settled(self) -> Indices:
        """Return the parameters with the digest of the file, which names a run.

        Raises
        ------
        InputError
            The file cannot be read, or has another digest.
        """
        if not self.file:
            raise InputError(
                "indices needs a file with the indices of each client's samples: "
                "indices(file=map.json)."
            )
        path = path_of(self.file, "indices.file")
        found = hashlib.sha256(read_text(path).encode()).hexdigest()[:16]
        if self.digest not in ("", found):
            raise InputError(
                f"The partition in {path} has the digest {found}, expected {self.digest}: the file "
                "is another one, or has changed."
            )
        return replace(self, digest=found)


@dataclass(frozen=True)
class Rotated:
    """Parameters of `rotated`; sizes of none are the official ones, or all available samples."""

    step: float = param(
        10.0,
        "degrees between one client's angle and the next one's",
        ge=-360,
        le=360,
        source="FEDORA official code with 36 clients",
    )
    train: int | None = param(
        None, "training samples of a client; none: 128, if there are as many", ge=1
    )
    val: int | None = param(
        None, "validation samples of a client; none: 64, if there are as many", ge=1
    )
    test: int | None = param(
        None, "test samples of a client; none: an equal part of all there are", ge=1
    )

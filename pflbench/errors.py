"""Errors, in words for users.

Every message says what was wrong, what was expected, and the nearest valid choice.
The command line turns `InputError` into exit status 2 and `WorkError` into 1.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

MOST_TOLD: Final = 30
"""A message lists at most this many names."""

_SHORT: Final = 2


class PflbenchError(Exception):
    """Anything this package raises on purpose; `exit_status` is the command's."""

    exit_status = 1


class InputError(PflbenchError):
    """Invalid input: nothing was started or written."""

    exit_status = 2


class DamagedError(InputError):
    """A stored object was changed, or is inconsistent.

    Parameters
    ----------
    path
        The file or folder.
    said
        The error: a sentence that names it, without its full stop.
    again
        Whether repeating the work repairs it; not if it is whole but cannot be read here.

    Attributes
    ----------
    run_id
        The run to which it belongs, if known.
    """

    def __init__(self, path: Path, said: str, *, again: bool = True) -> None:
        super().__init__(path, said)
        self.path, self.said, self.again = path, said, again
        self.run_id = ""

    def __str__(self) -> str:
        """Return one sentence for users, with the way out."""
        if not self.again or not self.run_id:
            return f"{self.said}."
        return f"{self.said}; give the command that made run {self.run_id} again to replace it."


class Notice(UserWarning):
    """Something that people must see though the work continues, in one sentence."""


class Remark(Notice):
    """A notice that does not affect numbers: it is not shown under `--quiet`."""


class WorkError(PflbenchError):
    """Valid work that failed: a run that diverged, a result that could not be written."""

    exit_status = 1


class PluginError(WorkError):
    """Code of a plugin broke a rule, or returned an invalid value: only its own cell fails."""


class ImportChangesError(InputError):
    """A plugin's module changes global state of the process when it is imported."""


class Misfit(Exception):  # noqa: N818 - raised by a check that knows no plugin; never seen by users
    """A plugin returned an invalid value; the message says what, and what was expected.

    `pflbench.isolation.Guard` makes a `PluginError` of it, which names the plugin and the place.
    """


class UnknownNameError(InputError):
    """A name that nothing is registered under.

    Parameters
    ----------
    kind
        The kind of name, in the singular: "algorithm", "parameter of fedora".
    name
        The name as given.
    known
        The existing names.
    hint
        A further sentence, with a leading space: why the name may be missing.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], *, hint: str = "") -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        super().__init__(f"There is no {kind} {name!r}.{suggestion(name, self.known)}{hint}")


class DivergedError(WorkError):
    """A loss became NaN or infinite: in a step of local training, or (step None) after it.

    `new_client` says that the client joined after the round, `name` is its name in the data.
    """

    def __init__(
        self, round: int, client: int, step: int | None, *, new_client: bool = False, name: str = ""
    ) -> None:
        self.round, self.client, self.step, self.new_client = round, client, step, new_client
        which = "training loss" if step is not None else "loss"
        where = f", local step {step}" if step is not None else " and was found at its evaluation"
        who = f"client {client}" if name in ("", str(client)) else f"client {client} ({name})"
        who += ", a new client," if new_client else ""
        super().__init__(
            f"The {which} of {who} became NaN or infinite {'after' if new_client else 'in'} round "
            f"{round}{where}. "
            "A smaller learning rate is the usual cure."
        )


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'? Known: a, b, x." for a mistyped name (empty if none is known).

    Of many names only the first are listed, with the number of the others.
    """
    names = sorted(known)
    if not names:
        return ""
    told = ", ".join(names[:MOST_TOLD])
    more = f" and {len(names) - MOST_TOLD:,} more" if len(names) > MOST_TOLD else ""
    return f"{nearest(name, names)} Known: {told}{more}."


def nearest(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for a name that is mistyped, shortened or turned round, or ""."""
    lowered = {one.lower(): one for one in sorted(known)}
    wanted = str(name).strip().lower()
    turned = [one for one in lowered if _parts(one) == _parts(wanted)]
    if len(turned) == 1:  # x_train for train_x
        return f" Did you mean {lowered[turned[0]]!r}?"
    # Half of its letters make a short name likely; of a longer one they are chance.
    cutoff = 0.5 if len(wanted) <= _SHORT else 0.6
    turned = [one for one in lowered if sorted(one) == sorted(wanted)]  # two letters changed places
    near = turned[:1] or difflib.get_close_matches(wanted, list(lowered), n=1, cutoff=cutoff)
    if not near and len(wanted) > 1:
        begun = [one for one in lowered if one.startswith(wanted)]
        near = begun if len(begun) == 1 else []
    return f" Did you mean {lowered[near[0]]!r}?" if near else ""


def _parts(name: str) -> list[str]:
    return sorted(filter(None, re.split(r"[\W_]+", name)))

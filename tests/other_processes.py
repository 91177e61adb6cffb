"""Other processes that tests start: how long they are waited for, and which words are theirs."""

from __future__ import annotations

import re

PATIENCE = 300.0
"""Seconds after which a process counts as stuck. A busy machine makes none slower than that."""

_WARNING = re.compile(
    r"^(\S.*:\d+: \w*Warning: .*(\n  .*)?|\[[WI]\S* .*|\[Gloo\] .*|[WI]\d{4} \d\d:.*)(\n|$)",
    re.MULTILINE,
)


def own_words(stderr: str) -> str:
    """Return what a process said, without the warnings and logs of the packages that it uses.

    They depend on the packages' versions, and say nothing of what is tested.
    """
    return _WARNING.sub("", stderr)

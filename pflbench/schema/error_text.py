"""Errors in one sentence for users, with the plugin that they come from."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from pflbench.errors import PflbenchError
from pflbench.isolation import place_of

if TYPE_CHECKING:
    from pflbench.schema.plugins import Registry
    from pflbench.schema.specs import Spec


LONGEST: Final = 2000
"""Characters of the longest message that is shown or kept whole."""

_END: Final = 400  # the end of a sentence says what was expected


def sentence(error: BaseException) -> str:
    """Return an error in one line for users, with the plugin that it comes from."""
    if isinstance(error, PflbenchError):
        return shortened(one_line(str(error)))
    what = raised(error).rstrip(".")
    if isinstance(error, MemoryError | OSError):
        return f"{what}."
    return f"{_culprit(error)} failed: {what}. With --debug the traceback is shown."


_HERE = __name__.partition(".")[0]


def raised(error: BaseException) -> str:
    """Return an exception's kind and message in one line."""
    return shortened(one_line(f"{type(error).__name__}: {error}").removesuffix(":"))


def shortened(text: str) -> str:
    """Return a text with its middle cut out if it is too long."""
    left_out = len(text) - LONGEST
    if left_out <= 0:
        return text
    return f"{text[: LONGEST - _END]} [{left_out:,} characters left out] {text[-_END:]}"


def _culprit(error: BaseException) -> str:
    """Name what an unexpected error comes from: the innermost plugin on its traceback.

    Of a plugin with several records that share their code, it is the one that was called.
    """
    from pflbench.schema import plugins

    owners, called = _code_of_plugins(plugins.installed()), place_of(error)
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        module = str(frame.f_globals.get("__name__", ""))
        while module:
            if module in owners:
                plugin = owners[module].removeprefix("The plugin ")
                return called if called and f"(plugin {plugin})" in called else owners[module]
            module = module.rpartition(".")[0]
    return called or "pflbench itself"


def named(spec: Spec) -> str:
    """Return a plugin's record in words: "The algorithm 'x' (plugin y)"."""
    from pflbench.schema import plugins

    for shelf in plugins.installed().shelves:
        if isinstance(spec, shelf.record):
            owners = [o for o, one in shelf.entries.get(spec.name, ()) if one == spec]
            return f"The {shelf.kind} {spec.name!r}" + (f" (plugin {owners[0]})" if owners else "")
    return f"The plugin {spec.name!r}"


def _code_of_plugins(registry: Registry) -> dict[str, str]:
    """Map modules, and packages that only one plugin has code in, to the plugin in words."""
    found: dict[str, list[tuple[str, str]]] = {}
    for shelf in registry.shelves:
        for spec in shelf.specs():
            owner = shelf.owner(spec.name)
            words = f"The {shelf.kind} {spec.name!r} (plugin {owner})"
            for target in targets(spec):
                module = target.partition(":")[0]
                found.setdefault(module, []).append((owner, words))
                package = module.rpartition(".")[0]
                if package.partition(".")[0] != _HERE:  # where the suite has code of its own
                    found.setdefault(package, []).append((owner, words))
    found.pop("", None)
    return {
        module: entries[0][1] if len(set(entries)) == 1 else f"The plugin {entries[0][0]}"
        for module, entries in found.items()
        if len({owner for owner, _ in entries}) == 1
    }


def targets(spec: Spec) -> Iterator[str]:
    """Yield every "module:attribute" that a plugin's record names."""
    for name in ("client", "server", "load", "make", "build", "function"):
        target = getattr(spec, name, None)
        if isinstance(target, str):
            yield target


def plain(text: str) -> str:
    """Return a text on one line without control, direction or other invisible characters."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "�" for c in text)


def is_unicode(text: str) -> bool:
    """Whether a text is entirely Unicode: Python uses surrogates for other bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def one_line(text: str) -> str:
    """Return a text with its line breaks and runs of spaces as single spaces."""
    return " ".join(text.split())

"""Values of options: lists, seeds, hyper-parameters, and their shell completions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import rich_click as click
from click.shell_completion import CompletionItem

from pflbench.errors import InputError, nearest
from pflbench.schema.expressions import split_list
from pflbench.schema.kept_rounds import EVERY, WORDS, kept_rounds
from pflbench.schema.numbers import number_of, whole_of
from pflbench.schema.paths import path_of
from pflbench.schema.scenario_fields import ScenarioField
from pflbench.schema.specs import FINE_TUNED

_SETTING = re.compile(r"([a-z][a-z0-9-]*(?:\+[a-z]+)*)\.([A-Za-z_]\w*)=(.*)", re.DOTALL)


def listed(values: Iterable[str], option: str = "") -> list[str]:
    """Flatten an option that may be given several times or as a list; drop repetitions.

    Raises
    ------
    InputError
        The option of this name was given, and names nothing.
    """
    given = tuple(values)
    parts = list(dict.fromkeys(part for value in given for part in split_list(value)))
    if option and given and not parts:
        raise InputError(f"{option} is empty: expected at least one.")
    return parts


def read_seeds(values: Iterable[str]) -> list[int]:
    """Read seeds from texts such as "0,1,2".

    Raises
    ------
    InputError
        A part is not a whole number of at least 0.
    """
    seeds = []
    for text in listed(values):
        seed = whole_of(text)
        if seed is None or seed < 0:
            raise InputError(f"--seed {text!r} is not valid: expected a whole number ≥ 0.")
        seeds.append(seed)
    return list(dict.fromkeys(seeds))


def read_settings(values: Iterable[str]) -> dict[str, dict[str, str]]:
    """Read `--set` options: algorithm to parameter to text.

    Raises
    ------
    InputError
        One does not have this form, or two set the same parameter.
    """
    settings: dict[str, dict[str, str]] = {}
    for text in values:
        match = _SETTING.fullmatch(text.strip())
        if match is None:
            raise InputError(
                f"--set {text!r} is not valid: expected ALGORITHM.PARAMETER=VALUE "
                "such as fedora.alpha=0.7."
            )
        algorithm, name, value = match.groups()
        if name in settings.setdefault(algorithm, {}):
            raise InputError(f"--set gives {algorithm}.{name} twice.")
        settings[algorithm][name] = value
    return settings


# Newer versions of click have made it generic; in older ones, which also work, brackets
# after it are an error.
class _Type(click.ParamType):  # type: ignore[type-arg]
    """Base of the types below."""


class Number(_Type):
    """A finite number within bounds; a whole one if `whole`."""

    name = "number"

    def __init__(
        self,
        *,
        ge: float | None = None,
        gt: float | None = None,
        le: float | None = None,
        lt: float | None = None,
        whole: bool = False,
    ) -> None:
        self.ge, self.gt, self.le, self.lt, self.whole = ge, gt, le, lt, whole

    @property
    def bounds(self) -> str:
        """What the number must be: "> 0 and ≤ 1"."""
        signs = (("≥", self.ge), (">", self.gt), ("≤", self.le), ("<", self.lt))
        return " and ".join(f"{sign} {bound:g}" for sign, bound in signs if bound is not None)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read the number, or fail with what was expected."""
        kind = "a whole number" if self.whole else "a number"
        number = whole_of(value) if self.whole else number_of(value)
        within = (
            number is not None
            and (self.ge is None or number >= self.ge)
            and (self.gt is None or number > self.gt)
            and (self.le is None or number <= self.le)
            and (self.lt is None or number < self.lt)
        )
        if number is None or not within:
            name = param.opts[0] if param is not None else "the value"
            raise InputError(f"{name} {value!r} is not valid: expected {kind} {self.bounds}.")
        return number if self.whole else float(number)


class OneOf(click.Choice):  # type: ignore[type-arg]  # as above
    """One of several texts; a mistyped one is refused with the nearest."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the text, or fail with what was expected."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            meant = nearest(str(value), map(str, self.choices))
            self.fail(f"{error.message.rstrip('.')}.{meant}", param, ctx)


class PathText(click.Path):
    """A path, made as everywhere: `pflbench.schema.paths.path_of`.

    Parameters
    ----------
    folder
        Whether an existing path must be a folder (or, False, a file); None for either.
    """

    def __init__(self, *, folder: bool | None = None) -> None:
        super().__init__(file_okay=folder is not True, dir_okay=folder is not False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Make the path, or fail with what was expected."""
        name = param.opts[0] if param is not None else "path"
        return super().convert(path_of(value, name), param, ctx)


COUNT = Number(ge=1, whole=True)
"""A whole number of at least 1."""


class NumberOrRule(_Type):
    """A number within bounds, or an expression that is looked up later."""

    name = "number or rule"

    def __init__(self, number: Number) -> None:
        self.number = number

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | str:
        """Return the number, checked, or the text."""
        if number_of(value) is None:
            return str(value)
        return self.number.convert(value, param, ctx)


class Rounds(_Type):
    """Rounds whose models or predictions are kept."""

    name = "rounds"

    def __init__(self, *, every: bool) -> None:
        self.every = every

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the choice, or fail with what was expected."""
        name = param.opts[0] if param is not None else "the value"
        return kept_rounds(value, name, every=self.every)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the value."""
        known = (*WORDS, EVERY) if self.every else WORDS
        return [CompletionItem(name) for name in known if name.startswith(incomplete)]


class FieldChoice(_Type):
    """One of the values that a scenario's field may have."""

    name = "choice"

    def __init__(self, field: ScenarioField) -> None:
        self.field = field

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the value, or fail with what was expected."""
        return self.field.check_choice(value, self.field.option)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the value."""
        return [CompletionItem(name) for name in self.field.choices if name.startswith(incomplete)]


Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def complete(shelf: str, *, several: bool = False) -> Completer:
    """Return a completer of the names on a shelf of the plugin registry.

    Parameters
    ----------
    shelf
        "algorithms", "datasets", "partitioners", "models", ...
    several
        Whether the value is a list: the text before its last comma is kept.
    """

    def completer(ctx: click.Context, param: click.Parameter, text: str) -> list[CompletionItem]:
        from pflbench.schema.plugins import installed

        before, comma, last = text.rpartition(",") if several else ("", "", text)
        if before.count("(") > before.count(")"):  # inside the parentheses of an expression
            return []
        items, there = [], getattr(installed(), shelf)
        for spec in (*there.specs(), *_variant(there, last)):
            name = f"{spec.name}:" if getattr(spec, "takes_path", False) else spec.name
            if name.startswith(last):
                items.append(CompletionItem(before + comma + name, help=spec.summary))
        return items

    return completer


def _variant(shelf: Any, text: str) -> list[Any]:
    """Return the record of NAME+ft, if a text is NAME, or begins the ending after it."""
    from pflbench.schema.plugins import installed

    method = text.partition(FINE_TUNED[0])[0]
    registry = installed()
    if shelf is not registry.algorithms or not FINE_TUNED.startswith(text[len(method) :]):
        return []
    if method not in registry.algorithms.entries:
        return []
    with suppress(InputError):  # broken, or fine-tuned already
        return [registry.get(registry.algorithms, method + FINE_TUNED)]
    return []


def complete_setting(ctx: click.Context, param: click.Parameter, text: str) -> list[CompletionItem]:
    """Complete `--set`: ALGORITHM.PARAMETER= for the algorithms chosen (or for all)."""
    from pflbench.schema.plugins import installed
    from pflbench.schema.settings import describe_settings

    chosen = [name.partition("(")[0] for name in listed(ctx.params.get("algorithms") or ())]
    there = installed().algorithms
    named = (*chosen, text.partition(".")[0])
    variants = [spec for name in named for spec in _variant(there, name)]
    every = {spec.name: spec for spec in (*there.specs(), *variants)}
    return [
        CompletionItem(key, help=info.help)
        for spec in every.values()
        if not chosen or spec.name in chosen
        for info in describe_settings(spec)
        if (key := f"{spec.name}.{info.name}=").startswith(text)
    ]


def complete_any_name(
    ctx: click.Context, param: click.Parameter, text: str
) -> list[CompletionItem]:
    """Complete the name of a plugin of any kind."""
    return names_of_plugins(text)


def names_of_plugins(start: str) -> list[CompletionItem]:
    """Return the names on all shelves that begin so."""
    from pflbench.schema.plugins import installed

    return [
        CompletionItem(spec.name, help=f"{shelf.kind}: {spec.summary}")
        for shelf in installed().shelves
        for spec in (*shelf.specs(), *_variant(shelf, start))
        if spec.name.startswith(start)
    ]

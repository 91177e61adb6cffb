"""Hyper-parameters: frozen dataclasses whose fields declare their bounds and help.

A plugin writes ::

    @dataclass(frozen=True)
    class FedProx:
        mu: float = param(0.01, "weight of the proximal term", ge=0, source="paper")

and gets parsing from text (`--set fedprox.mu=0.1`), bounds, suggestions and help.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, TypeVar

import msgspec

from pflbench.errors import InputError, UnknownNameError, nearest
from pflbench.schema.error_text import is_unicode
from pflbench.schema.numbers import is_infinite, number_of, plain_value, whole_of
from pflbench.schema.shares import ShareOf

T = TypeVar("T")
Scalar = bool | int | float | str | None

_META = "pflbench"
"""Where a field of a dataclass keeps the arguments of `param`."""


@dataclass(frozen=True)
class NoParameters:
    """The parameters of a plugin that has none."""


def param(
    default: T,
    help: str,
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    source: str = "",
    tune: tuple[float, float] | None = None,
    log: bool = False,
    shelf: str = "",
    since: str = "",
    share_of: ShareOf | None = None,
) -> T:
    """Declare one hyper-parameter, as a field of a dataclass.

    Parameters
    ----------
    default
        Its default.
    help
        One line, lower case, no full stop.
    ge, gt, le, lt
        Bounds.
    source
        Where the default comes from: "official code", "paper, section 5".
    tune
        The range worth searching when methods are tuned; `log` says on a logarithmic scale.
    shelf
        For a parameter whose value is the name of a plugin, its kind: "similarities".
    since
        The version in which a plugin with earlier runs got the parameter. At its default such a
        parameter is in no identity; the default must be the behaviour of the earlier runs, and
        never change.
    share_of
        For a share, its whole: boards print the resulting number after it.
    """
    extra = {
        "source": source,
        "tune": tune,
        "log": log,
        "shelf": shelf,
        "since": since,
        "share_of": share_of,
    }
    return dataclasses.field(default=default, metadata=_metadata(help, extra, ge, gt, le, lt))


def required(
    help: str,
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
) -> Any:
    """Declare one hyper-parameter that has no default; the rest is as of `param`."""
    return dataclasses.field(metadata=_metadata(help, {}, ge, gt, le, lt))


def _metadata(
    help: str,
    extra: dict[str, Any],
    ge: float | None,
    gt: float | None,
    le: float | None,
    lt: float | None,
) -> dict[str, Any]:
    bounds = {"ge": ge, "gt": gt, "le": le, "lt": lt}
    given: dict[str, Any] = {name: bound for name, bound in bounds.items() if bound is not None}
    return {_META: msgspec.Meta(description=help, extra=extra, **given)}


@dataclass(frozen=True)
class ParameterInfo:
    """One hyper-parameter as help and documentation show it."""

    name: str
    type: str
    default: Scalar
    bounds: str
    help: str
    source: str
    tune: tuple[float, float] | None
    log: bool
    required: bool
    shelf: str = ""
    since: str = ""
    share_of: ShareOf | None = None


def parse_parameters(cls: type[T], given: Mapping[str, Any], *, owner: str) -> T:
    """Make an instance of the parameter class from texts or values.

    Parameters
    ----------
    cls
        A frozen dataclass.
    given
        Parameter name to value, or to its text ("0.7", "true", "none").
    owner
        The owner of the parameters, for messages: "fedora".

    Raises
    ------
    UnknownNameError
        A name that is not a parameter; the message has the nearest one.
    InputError
        A value of the wrong type or out of bounds, or a missing one.
    """
    kinds = _kinds(typing.cast("type", cls))
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]  # T is a dataclass
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in fields:
            raise UnknownNameError(f"parameter of {owner}", name, fields)
        values[name] = _convert(value, kinds[name], f"{owner}.{name}")
    for name, field in fields.items():
        absent = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        if absent and name not in values:
            raise InputError(f"{owner} needs a value for {name}: {owner}({name}=...).")
    try:
        return cls(**values)
    except ValueError as error:  # a __post_init__ that relates parameters to each other
        raise InputError(f"Parameters of {owner}: {error}") from error


def parameters_to_json(instance: object) -> dict[str, Scalar]:
    """Return every parameter with its value, defaults included, ready for JSON."""
    return dataclasses.asdict(instance)  # type: ignore[call-overload, no-any-return]  # a dataclass


def parameters_of_identity(instance: object) -> dict[str, Scalar]:
    """Return the parameters that name a run: all but later ones (`param(since=...)`) at default."""
    later = {info.name: info.default for info in describe_parameters(type(instance)) if info.since}
    return {
        name: value
        for name, value in parameters_to_json(instance).items()
        if name not in later or value != later[name]
    }


def describe_parameters(cls: type) -> list[ParameterInfo]:
    """List a parameter class's parameters in order of definition."""
    return list(_described(cls))


@cache
def _hints(cls: type) -> dict[str, Any]:
    """Return the types of a class's fields with their bounds, cached.

    A large matrix needs them often.
    """
    hints = typing.get_type_hints(cls)
    return {
        field.name: typing.Annotated[hints[field.name], field.metadata[_META]]
        if _META in field.metadata
        else hints[field.name]
        for field in dataclasses.fields(cls)
    }


@cache
def _described(cls: type) -> tuple[ParameterInfo, ...]:
    hints = _hints(cls)
    infos = []
    for field in dataclasses.fields(cls):
        meta = _meta(hints[field.name])
        extra = (meta.extra if meta else None) or {}
        default: Any = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        required = default is dataclasses.MISSING
        infos.append(
            ParameterInfo(
                name=field.name,
                type=_type_name(hints[field.name]),
                default=None if required else default,
                bounds=_bounds(meta),
                help=(meta.description if meta else None) or "",
                source=extra.get("source", ""),
                tune=extra.get("tune"),
                log=bool(extra.get("log", False)),
                required=required,
                shelf=extra.get("shelf", ""),
                since=extra.get("since", ""),
                share_of=extra.get("share_of"),
            )
        )
    return tuple(infos)


def _meta(hint: Any) -> msgspec.Meta | None:
    if typing.get_origin(hint) is typing.Annotated:
        for extra in hint.__metadata__:
            if isinstance(extra, msgspec.Meta):
                return extra
    if _is_union(hint):
        return next((meta for arm in typing.get_args(hint) if (meta := _meta(arm))), None)
    return None


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _bounded_arms(hint: Any) -> Any:
    """Move the bounds of `Annotated[int | None, ...]` to the number: msgspec takes them there."""
    meta = _meta(hint)
    if typing.get_origin(hint) is not typing.Annotated or not _is_union(hint.__origin__):
        return hint
    arms = typing.get_args(hint.__origin__)
    return typing.Union[  # noqa: UP007 - a union made at run time
        tuple(typing.Annotated[arm, meta] if arm in (int, float) else arm for arm in arms)
    ]


@dataclass(frozen=True)
class _Kind:
    """The accepted values of a parameter, from its annotation.

    Attributes
    ----------
    whole, number, text, truth, nothing
        Whether it takes whole numbers, any numbers, texts, truth values, none.
    bounded
        The annotation with its bounds, for msgspec.
    wanted
        The expected value, in words.
    choices
        The texts that it takes, if it takes no others.
    """

    whole: bool
    number: bool
    text: bool
    truth: bool
    nothing: bool
    bounded: Any
    wanted: str
    choices: tuple[str, ...]


@cache
def _kinds(cls: type) -> dict[str, _Kind]:
    """Return the accepted values of a class's parameters, cached for large matrices."""
    return {name: _kind(hint) for name, hint in _hints(cls).items()}


def _kind(hint: Any) -> _Kind:
    base = hint.__origin__ if typing.get_origin(hint) is typing.Annotated else hint
    expected, optional, _ = _type_name(hint).partition(" or none")
    return _Kind(
        whole=_accepts(base, int),
        number=_accepts(base, float),
        text=_accepts(base, str),
        truth=_accepts(base, bool),
        nothing=_accepts(base, type(None)),
        bounded=_bounded_arms(hint),
        wanted=f"{expected} {_bounds(_meta(hint))}".strip() + optional,
        choices=tuple(_choices(base)),
    )


def _choices(base: Any) -> Iterator[str]:
    """Yield the texts among which an annotation lets choose."""
    if typing.get_origin(base) is Literal:
        yield from (choice for choice in typing.get_args(base) if isinstance(choice, str))
    elif _is_union(base) or typing.get_origin(base) is typing.Annotated:
        for arm in typing.get_args(base)[: None if _is_union(base) else 1]:
            yield from _choices(arm)


def _convert(value: Any, kind: _Kind, where: str) -> Any:
    value = plain_value(value)
    if isinstance(value, str):
        value = text = value if kind.text else value.strip()
        if text.strip().lower() in ("none", "null") and kind.nothing:
            return None
        if not is_unicode(text):
            raise InputError(f"{where} = {text!r} is not valid: its bytes are no UTF-8.")
    try:
        number = number_of(value) if kind.number else whole_of(value) if kind.whole else None
        converted = msgspec.convert(_read(value, number, kind), kind.bounded, strict=False)
    except (ValueError, OverflowError) as error:  # msgspec.ValidationError is a ValueError
        wanted = "a finite number" if is_infinite(value) else kind.wanted
        meant = nearest(value, kind.choices) if isinstance(value, str) else ""
        raise InputError(f"{where} = {value!r} is not valid: expected {wanted}.{meant}") from error
    return 0.0 if isinstance(converted, float) and converted == 0 else converted  # not -0.0


def _read(value: Any, number: float | None, kind: _Kind) -> Any:
    """Return a value, or the value of a text, as an accepted type; `ValueError` if none fits.

    `number` is the value as a number, where one is accepted.
    """
    if number is not None:
        return number if kind.whole else float(number)
    if kind.whole or kind.number:
        if value is None or (isinstance(value, bool) and kind.truth):
            return value
        if isinstance(value, str) and kind.text:
            return value
        raise ValueError(f"{value!r} is no number")
    if isinstance(value, str) and kind.truth:
        return value.lower()
    return value


def _accepts(base: Any, kind: type) -> bool:
    if _is_union(base):
        return any(_accepts(arm, kind) for arm in typing.get_args(base))
    if typing.get_origin(base) is typing.Annotated:
        return _accepts(base.__origin__, kind)
    if typing.get_origin(base) is Literal:
        return any(isinstance(choice, kind) for choice in typing.get_args(base))
    return base is kind


def _type_name(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Annotated:
        hint = hint.__origin__
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(str(choice) for choice in typing.get_args(hint))
    if _is_union(hint):
        return " or ".join(_type_name(arm) for arm in typing.get_args(hint))
    if hint is type(None):
        return "none"
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    return names.get(hint, str(hint))


def _bounds(meta: msgspec.Meta | None) -> str:
    if meta is None:
        return ""
    signs = (("≥", meta.ge), (">", meta.gt), ("≤", meta.le), ("<", meta.lt))
    return " and ".join(f"{sign} {bound:g}" for sign, bound in signs if bound is not None)

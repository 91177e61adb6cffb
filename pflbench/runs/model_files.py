"""A user's own network in a Python file: `path/to/net.py:build`, loaded without installing it."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from pflbench.engine.drawing import drawing_weights
from pflbench.engine.given import build_of
from pflbench.errors import InputError, nearest
from pflbench.isolation import importing, put_back
from pflbench.runs.handed_over import plugin_name
from pflbench.schema.error_text import raised
from pflbench.schema.expressions import IN_FILE, is_model_file
from pflbench.schema.parameters import NoParameters
from pflbench.schema.paths import path_of, read_text
from pflbench.schema.plugin_choice import Chosen, choose_fields
from pflbench.schema.plugins import Registry
from pflbench.schema.scenario import Choice
from pflbench.schema.specs import ModelSpec


def read_choices(request: Any, registry: Registry) -> dict[str, Chosen]:
    """Read every text of a request that names a plugin, or a network in a file.

    Raises
    ------
    InputError
        As of `choose_fields` and `model_of_file`.
    """
    if not is_model_file(request.model):
        return choose_fields(request, registry)
    model = model_of_file(request.model)
    return {**choose_fields(dataclasses.replace(request, model=None), registry), "model": model}


def model_of_file(text: str) -> Chosen:
    """Load a network's code from a file.

    In an identity it is the file's name with a digest of its text. Random numbers that the file
    draws when it is loaded are the same in every run.

    Parameters
    ----------
    text
        "path/to/net.py:build", of a function or class that makes a network, called without
        arguments or with (input_shape, classes), or of a network.

    Raises
    ------
    InputError
        The file cannot be read or run, or has nothing of that name that makes a network.
    """
    form = IN_FILE.fullmatch(text)
    assert form is not None  # is_model_file
    path, name = path_of(form["path"], "--model"), form["name"]
    if not path.is_file():
        raise InputError(
            f"The model {text!r} names a file {path} that does not exist: expected a Python file "
            "and a name in it, such as net.py:build."
        )
    source = read_text(path)
    digest = hashlib.sha256(source.encode()).hexdigest()
    module = _loaded(path, source, digest)
    known = [n for n, value in vars(module).items() if callable(value) and not n.startswith("_")]
    if not name or not hasattr(module, name):
        what = f"no {name!r}" if name else "no name after it"
        raise InputError(
            f"The model {text!r} has {what}: expected a function or class of {path.name} that "
            f"makes a network, as in {path.name}:build.{nearest(name or 'build', known)}"
        )
    build = build_of(getattr(module, name))
    spec = ModelSpec(plugin_name(path.stem, "network"), str(path.name), build, None)
    choice = Choice(f"{path.name}:{name}", {}, digest)
    return Chosen("model", spec, NoParameters(), choice)


def _loaded(path: Path, source: str, digest: str) -> ModuleType:
    """Return the module of a file's text, run once in this process."""
    name = f"pflbench_model_{digest[:16]}"
    owner = f"the model file {path.name}"
    if name not in sys.modules:
        module = ModuleType(name)
        module.__file__ = str(path)
        sys.modules[name] = module  # dataclasses look their module up
        try:
            with put_back(name), drawing_weights(0):
                exec(compile(source, str(path), "exec"), vars(module))
        except (Exception, SystemExit) as error:  # a user's code: anything can be raised
            del sys.modules[name]
            raise InputError(f"The model file {path} cannot be loaded: {raised(error)}") from error
    with importing(name, owner):
        return sys.modules[name]

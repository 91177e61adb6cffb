"""The skeleton of a plugin: a working distribution with a test."""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from string import Template

from pflbench.errors import InputError, WorkError
from pflbench.schema.specs import AlgorithmSpec
from pflbench.version import __version__

_FILES = {
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "README.md.txt",
    "src/$module/__init__.py": "record.py.txt",
    "src/$module/method.py": "method.py.txt",
    "src/$module/note.md": "note.md.txt",
    "src/$module/py.typed": "py.typed.txt",
    "tests/test_$module.py": "test.py.txt",
}
"""Where each template goes."""


def write_algorithm(name: str, directory: Path) -> list[Path]:
    """Write a method's distribution: record, client and server half, note and test.

    Parameters
    ----------
    name
        The method's name: lower-case words joined by hyphens.
    directory
        The folder to write into; it must be empty or not exist.

    Returns
    -------
    The files written.

    Raises
    ------
    InputError
        The name is not valid, or the folder holds something already; nothing was written.
    WorkError
        A file could not be written.
    """
    try:
        AlgorithmSpec(name, "", client="a:A", server="a:A")
    except ValueError as error:
        raise InputError(f"{error}.") from error
    if directory.is_dir() and any(directory.iterdir()):
        raise InputError(f"The folder {directory} is not empty: nothing is overwritten.")
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory} is a file, expected a folder that is empty or new.")
    words = name.split("-")
    values = {
        "name": name,
        "module": "pflbench_" + "_".join(words),
        "Method": "".join(word.capitalize() for word in words),
        "version": ".".join(__version__.split(".")[:2]),
    }
    texts = {
        directory / Template(path).substitute(values): Template(_template(file)).substitute(values)
        for path, file in _FILES.items()
    }
    for path, text in texts.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise WorkError(f"{path} cannot be written: {error}.") from error
    return list(texts)


def _template(file: str) -> str:
    return (importlib.resources.files(__package__) / "templates" / file).read_text(encoding="utf-8")

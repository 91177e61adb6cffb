"""Reading tables with pyarrow: CSV and Parquet, a file or a folder with a file a client."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import psutil
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from pflbench.errors import InputError
from pflbench.federation.client_names import as_unicode, natural_order
from pflbench.schema.content import described, regular
from pflbench.schema.error_text import one_line
from pflbench_datasets.folders import DataFolder, is_folder

FILE: Final = "client"
"""The column of the file's name, where each client has a file."""

_ENDINGS: Final = {"csv": (".csv", ".tsv", ".txt"), "parquet": (".parquet", ".pq")}
_SEPARATORS: Final = (",", ";", "\t")
_HEAD: Final = 1 << 16
_LARGEST_BLOCK: Final = (1 << 31) - 1
_MISSING: Final = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "?", "#N/A", "-")
"""Cells that are missing values, unless they are in quotation marks."""


def read_table(path: Path, kind: str) -> tuple[Any, bool]:
    """Return a table, and whether each client has a file (its name is the column `FILE` then).

    Parameters
    ----------
    kind
        "csv" or "parquet", also the first word of messages.

    Raises
    ------
    InputError
        A file is missing, damaged, or not of the kind; or files differ in their columns.
    """
    read = {"csv": _csv, "parquet": _parquet}[kind]
    if not is_folder(path, kind):
        if not path.exists() and not path.is_symlink():
            raise InputError(f"{kind}: file or folder {path} does not exist.")
        return _checked(read, path, kind), False
    folder = DataFolder(path, kind)
    files, _ = folder.files(path, _ENDINGS[kind])
    folder.once(files)
    if not files:
        raise InputError(f"{kind}: {path} holds no {_ENDINGS[kind][0]} file.")
    files = sorted(files, key=lambda file: natural_order(file.name))
    return _together([(file, _checked(read, file, kind)) for file in files], kind), True


def _together(tables: Sequence[tuple[Path, Any]], kind: str) -> Any:
    first, like = tables[0]
    named = []
    for path, table in tables:
        if table.column_names != like.column_names:
            raise InputError(
                f"{kind}: {path} has the columns {_some(table.column_names)}, and {first} "
                f"{_some(like.column_names)}: expected the same in all files."
            )
        if FILE in table.column_names:
            raise InputError(
                f"{kind}: {path} has a column {FILE!r}, and each file is a client's: expected one "
                "of the two."
            )
        names = pa.array([as_unicode(path.stem)] * len(table), pa.string())
        named.append(table.append_column(FILE, names))
    try:
        return pa.concat_tables(named, promote_options="permissive")
    except pa.ArrowException as error:
        raise InputError(
            f"{kind}: the columns of the files in {first.parent} differ in type: "
            f"{one_line(str(error))}."
        ) from error


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")


def _checked(read: Callable[[Path], Any], path: Path, kind: str) -> Any:
    regular(path, kind)
    try:
        table = read(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError) as error:
        raise InputError(
            f"{kind}: {path} cannot be read: it is {described(path)} "
            f"({one_line(str(error)).rstrip('.')})."
        ) from error
    except MemoryError as error:
        raise InputError(f"{kind}: {path} is too large for the memory.") from error
    names = table.column_names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{kind}: {path} has several columns {twice[0]!r}.")
    if not len(table):
        raise InputError(f"{kind}: {path} has no rows.")
    return table


def _csv(path: Path) -> Any:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not described(path).startswith(("text", "JSON")):
        raise pa.ArrowInvalid("expected a table as text")
    line = head.decode("utf-8-sig", "replace").partition("\n")[0]
    separator = max(_SEPARATORS, key=line.count)
    try:
        return _parsed(path, separator, 1 << 20)
    except pa.ArrowInvalid:
        # Types are guessed from the first block: with one block, from the whole file.
        return _parsed(path, separator, min(path.stat().st_size + 1, _LARGEST_BLOCK))


def _parsed(path: Path, separator: str, block: int) -> Any:
    with path.open("rb") as file:
        return pyarrow.csv.read_csv(
            file,
            read_options=pyarrow.csv.ReadOptions(block_size=block),
            parse_options=pyarrow.csv.ParseOptions(delimiter=separator, newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                null_values=list(_MISSING),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )


def _parquet(path: Path) -> Any:
    with pyarrow.parquet.ParquetFile(path) as file:
        groups = (file.metadata.row_group(i) for i in range(file.metadata.num_row_groups))
        size = sum(group.total_byte_size for group in groups)
        free = psutil.virtual_memory().available
        if size > free:
            raise pa.ArrowInvalid(f"it unpacks to {size:,} bytes, and {free:,} are free")
        return file.read()

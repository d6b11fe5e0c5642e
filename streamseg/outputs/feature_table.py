"""Rows of features going out to a file as they come: NumPy's archive, a table of text, Parquet.

Memory stays the same however long the sound: an archive's arrays wait in a nameless file beside it until their length
is known. A file is opened at the first rows, and appears when it is complete.
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import IO, BinaryIO, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamseg.destinations import write_atomically
from streamseg.errors import UsageError

Floats = NDArray[np.float64]
Chunks: TypeAlias = Iterable[tuple[Floats, Floats]]  # times (n,), rows (n, columns)
Columns: TypeAlias = Mapping[str, slice]

_ROWS_AT_ONCE: Final = 4_096


def make_feature_writer(out: Path, *, replace: bool = False) -> Callable[[Chunks, Columns], None]:
    """What writes such a file, by its suffix. replace: an existing file gives way.

    Raises AskedWrongly for another suffix, or where a part is missing; what it returns raises OutputFailed.
    """
    suffix = out.suffix.lower()
    if suffix not in _WRITERS:
        raise UsageError(f"features are written as {', '.join(_WRITERS)}; {str(out)!r} was asked for")
    if not out.absolute().parent.is_dir():
        raise UsageError(f"no folder {str(out.parent)!r} to write in; make it first")
    if suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise UsageError(
                "Parquet is written by pyarrow, which is not installed: pip install 'streamseg[parquet]', "
                "or write .npz or .csv"
            ) from None

    def write(chunks: Chunks, columns: Columns) -> None:
        begun = _start_iteration(chunks)
        with write_atomically(out, replace=replace) as file:
            _WRITERS[suffix](begun, columns, file, out.absolute().parent)

    return write


def flat_column_names(columns: Columns) -> list[str]:
    """One name a column: `time_s`, then `rms_db`, or `mfcc_0`, `mfcc_1` … where a feature has several."""
    names = ["time_s"]
    for name, place in columns.items():
        width = place.stop - place.start
        names += [name] if width == 1 else [f"{name}_{i}" for i in range(width)]
    return names


def _start_iteration(chunks: Chunks) -> Chunks:
    """The chunks, the first of them already there."""
    chunks = iter(chunks)
    first = next(chunks, None)
    return [] if first is None else chain([first], chunks)


def _write_csv(chunks: Chunks, columns: Columns, file: BinaryIO, _folder: Path) -> None:
    names = flat_column_names(columns)
    line = ",".join(["%.9g"] * len(names)) + "\n"
    head = io.StringIO()
    csv.writer(head, lineterminator="\n").writerow(names)
    file.write(head.getvalue().encode())
    for times, rows in chunks:
        file.writelines((line % (t, *row)).encode() for t, row in zip(times.tolist(), rows.tolist()))


def _write_npz(chunks: Chunks, columns: Columns, file: BinaryIO, folder: Path) -> None:
    width = 1 + max(place.stop for place in columns.values())
    with tempfile.TemporaryFile(dir=folder) as waiting:
        count = 0
        for times, rows in chunks:
            waiting.write(np.column_stack([times, rows]).tobytes())
            count += len(times)
        waiting.flush()
        table = _map_rows(waiting, count, width)
        arrays = {"time_s": table[:, 0]}
        for name, place in columns.items():
            one = place.stop - place.start == 1
            arrays[name] = table[:, place.start + 1] if one else table[:, place.start + 1 : place.stop + 1]
        np.savez(file, **arrays)  # type: ignore[arg-type]


def _map_rows(file: IO[bytes], count: int, width: int) -> Floats:
    if not count:  # nothing cannot be mapped
        return np.zeros((0, width))
    return np.memmap(file, np.float64, "r", shape=(count, width))


def _write_parquet(chunks: Chunks, columns: Columns, file: BinaryIO, _folder: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    schema = pyarrow.schema([(name, pyarrow.float64()) for name in flat_column_names(columns)])
    with parquet.ParquetWriter(file, schema) as writer:
        for table in _batch_rows(chunks):
            writer.write_table(pyarrow.table([pyarrow.array(column) for column in table.T], schema=schema))


def _batch_rows(chunks: Chunks) -> Iterator[Floats]:
    """Rows with their times, many at once: a group of rows has a price of its own."""
    waiting: list[Floats] = []
    for times, rows in chunks:
        waiting.append(np.column_stack([times, rows]))
        if sum(map(len, waiting)) >= _ROWS_AT_ONCE:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)


_WRITERS: Final = {".npz": _write_npz, ".csv": _write_csv, ".parquet": _write_parquet}

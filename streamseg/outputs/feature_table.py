"""Writes features to a file, NumPy archive, CSV or Parquet, while they are computed.

Memory does not grow with the length of the sound: the rows of an archive go into an unnamed temporary file until their
number is known. The file appears when it is complete.
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

from streamseg.atomic_files import write_atomically
from streamseg.errors import UsageError

Floats = NDArray[np.float64]
Chunks: TypeAlias = Iterable[tuple[Floats, Floats]]  # times (n,), rows (n, columns)
Columns: TypeAlias = Mapping[str, slice]

_ROWS_PER_GROUP: Final = 4_096


def make_feature_writer(out: Path, *, replace: bool = False) -> Callable[[Chunks, Columns], None]:
    """Check the suffix and the folder of a feature file; return the function `write(chunks, columns)` that writes it.

    out: the file; its suffix (.npz, .csv or .parquet) selects the format. replace: whether an existing file may be
    replaced. chunks: pairs of times in seconds, shape (n,), and rows, shape (n, columns). columns: the columns of each
    feature by name. Raises UsageError for another suffix, a missing folder, or a missing library; `write` raises
    OutputError.
    """
    suffix = out.suffix.lower()
    if suffix not in _WRITERS:
        raise UsageError(f"features are written as {', '.join(_WRITERS)}, not as {str(out)!r}")
    if not out.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {str(out.parent)!r}; make it first")
    if suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise UsageError(
                "Parquet needs the library pyarrow, which is not installed: pip install 'streamseg[parquet]', "
                "or write .npz or .csv"
            ) from None

    def write(chunks: Chunks, columns: Columns) -> None:
        chunks = _start_iteration(chunks)
        with write_atomically(out, replace=replace) as file:
            _WRITERS[suffix](chunks, columns, file, out.absolute().parent)

    return write


def list_column_names(columns: Columns) -> list[str]:
    """List the column names of a feature file: `time_s`, then each feature, numbered if it has several columns.

    A feature of one column is `rms_db`; one of several is `mfcc_0`, `mfcc_1` and so on.
    """
    names = ["time_s"]
    for name, columns_of_feature in columns.items():
        width = columns_of_feature.stop - columns_of_feature.start
        names += [name] if width == 1 else [f"{name}_{i}" for i in range(width)]
    return names


def _start_iteration(chunks: Chunks) -> Chunks:
    """Compute the first chunk, so that an unreadable sound fails before the file is created."""
    chunks = iter(chunks)
    first = next(chunks, None)
    return [] if first is None else chain([first], chunks)


def _write_csv(chunks: Chunks, columns: Columns, file: BinaryIO, _folder: Path) -> None:
    names = list_column_names(columns)
    line = ",".join(["%.9g"] * len(names)) + "\n"
    header = io.StringIO()
    csv.writer(header, lineterminator="\n").writerow(names)
    file.write(header.getvalue().encode())
    for times, rows in chunks:
        file.writelines((line % (t, *row)).encode() for t, row in zip(times.tolist(), rows.tolist()))


def _write_npz(chunks: Chunks, columns: Columns, file: BinaryIO, folder: Path) -> None:
    width = 1 + max(columns_of_feature.stop for columns_of_feature in columns.values())
    with tempfile.TemporaryFile(dir=folder) as temporary:
        count = 0
        for times, rows in chunks:
            temporary.write(np.column_stack([times, rows]).tobytes())
            count += len(times)
        temporary.flush()
        table = _map_rows(temporary, count, width)
        arrays = {"time_s": table[:, 0]}
        for name, columns_of_feature in columns.items():
            first, last = columns_of_feature.start + 1, columns_of_feature.stop
            arrays[name] = table[:, first] if first == last else table[:, first : last + 1]
        np.savez(file, **arrays)  # type: ignore[arg-type]


def _map_rows(file: IO[bytes], count: int, width: int) -> Floats:
    if not count:  # an empty file cannot be mapped
        return np.zeros((0, width))
    return np.memmap(file, np.float64, "r", shape=(count, width))


def _write_parquet(chunks: Chunks, columns: Columns, file: BinaryIO, _folder: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    schema = pyarrow.schema([(name, pyarrow.float64()) for name in list_column_names(columns)])
    with parquet.ParquetWriter(file, schema) as writer:
        for table in _batch_rows(chunks):
            writer.write_table(pyarrow.table([pyarrow.array(column) for column in table.T], schema=schema))


def _batch_rows(chunks: Chunks) -> Iterator[Floats]:
    """Join the chunks, times in the first column, to groups of _ROWS_PER_GROUP rows or more: each group costs time."""
    group: list[Floats] = []
    for times, rows in chunks:
        group.append(np.column_stack([times, rows]))
        if sum(map(len, group)) >= _ROWS_PER_GROUP:
            yield np.concatenate(group)
            group = []
    if group:
        yield np.concatenate(group)


_WRITERS: Final = {".npz": _write_npz, ".csv": _write_csv, ".parquet": _write_parquet}

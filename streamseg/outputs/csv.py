"""CSV for spreadsheets and data frames: one row per section, with all values of its report."""

from __future__ import annotations

import csv
import io
from typing import Any

import msgspec

from streamseg.outputs.recording import Recording
from streamseg.wire.events import Report

_SECTION_COLUMNS = ("section_id", "start", "end", "label", "name", "label_confidence", "ended_by")
_FORMULA_STARTS = tuple("=+-@＝＋－＠")  # a spreadsheet evaluates a cell that begins with one, full width too
_REPORT_COLUMNS = tuple(field.name for field in msgspec.structs.fields(Report))


def render(recording: Recording) -> str:
    """Render CSV (RFC 4180): a header row, then one row per section.

    A missing value is an empty cell; the numbers of a list are separated by spaces.

    Texts that a spreadsheet would evaluate as a formula get an apostrophe in front.
    """
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(_SECTION_COLUMNS + _REPORT_COLUMNS)
    for section in recording.sections:
        row = [_escape_formula(getattr(section, column)) for column in _SECTION_COLUMNS]
        row += [_format_cell(getattr(section.report, column)) for column in _REPORT_COLUMNS]
        table.writerow(row)
    return text.getvalue()


def _format_cell(value: Any) -> Any:
    return " ".join(str(part) for part in value) if isinstance(value, tuple) else _escape_formula(value)


def _escape_formula(value: Any) -> Any:
    return "'" + value if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value

"""A table for spreadsheets and data frames: one row a section, with everything its report says."""

from __future__ import annotations

import csv
import io
from typing import Any

import msgspec

from streamseg.outputs.recording import Recording
from streamseg.wire.events import Report

_SECTION = ("section_id", "start", "end", "label", "name", "label_confidence", "ended_by")
_FORMULA = tuple("=+-@＝＋－＠")  # what a spreadsheet evaluates where a cell begins with it, full width too
_REPORT = tuple(field.name for field in msgspec.structs.fields(Report))


def render(recording: Recording) -> str:
    """RFC 4180 with a header row; what was not measured is empty, lists are separated by spaces.

    A text that a spreadsheet would take for a formula gets an apostrophe in front; numbers stay as they are.
    """
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(_SECTION + _REPORT)
    for section in recording.sections:
        row = [_guarded(getattr(section, column)) for column in _SECTION]
        row += [_format_cell(getattr(section.report, column)) for column in _REPORT]
        table.writerow(row)
    return text.getvalue()


def _format_cell(value: Any) -> Any:
    return " ".join(str(part) for part in value) if isinstance(value, tuple) else _guarded(value)


def _guarded(value: Any) -> Any:
    return "'" + value if isinstance(value, str) and value.startswith(_FORMULA) else value

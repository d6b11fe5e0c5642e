"""The columns of a feature frame: `COLUMNS` (positions by name), `UNITS` (units by name), `COLUMNS_TOTAL`."""

from __future__ import annotations

from typing import Final

MEL_BANDS: Final = 64
MFCCS: Final = 20
CHROMA: Final = 12
CONTRAST_BANDS: Final = 7

# name: (number of columns, unit), in the order of a frame.
_DEFINITIONS: Final = {
    "mfcc": (MFCCS, "dB"),
    "chroma": (CHROMA, "0 to 1, C first"),
    "contrast": (CONTRAST_BANDS, "dB"),
    "log_mel": (MEL_BANDS, "dB"),
    "onset": (1, "dB"),
    "rms_db": (1, "dB of full scale"),
    "centroid_hz": (1, "Hz"),
    "bandwidth_hz": (1, "Hz"),
    "rolloff_hz": (1, "Hz"),
    "flatness": (1, "0 to 1"),
    "zero_crossing_rate": (1, "crossings a sample"),
    "f0_hz": (1, "Hz, 0 where unvoiced"),
    "voicing": (1, "0 to 1"),
    "onset_found": (1, "1 where an onset lay two frames back"),
    "tempo_bpm": (1, "beats a minute, 0 before one is found"),
    "tempo_confidence": (1, "0 to 1"),
    "beat_phase": (1, "0 to 1, 0 on the beat"),
    "tuning_cents": (1, "cents from A = 440 Hz, -50 to 50"),
    "tuned_chroma": (CHROMA, "0 to 1, C first"),
}


def _lay_out_columns() -> tuple[dict[str, slice], int]:
    columns, at = {}, 0
    for name, (width, _) in _DEFINITIONS.items():
        columns[name] = slice(at, at + width)
        at += width
    return columns, at


_LAYOUT: Final = _lay_out_columns()
COLUMNS: Final[dict[str, slice]] = _LAYOUT[0]
COLUMNS_TOTAL: Final[int] = _LAYOUT[1]
UNITS: Final[dict[str, str]] = {name: unit for name, (_, unit) in _DEFINITIONS.items()}

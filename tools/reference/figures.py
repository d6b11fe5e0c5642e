"""Table that compares the features with those of other programs.

    python -m tools.reference.figures DIR [PART…]

DIR has the folders `pop909`, `mixes` and `broadcast`. aubio (aubio-ledfx), praat-parselmouth and pyworld are not
installed with the project because of their licences or sizes; a part that needs a missing one prints so.
"""

import argparse
from pathlib import Path

from tools.reference import loudness, pitch, rhythm_and_key, spectra

PARTS = {
    "spectra": spectra.rows,
    "loudness": loudness.rows,
    "pitch": pitch.rows,
    "tempo": rhythm_and_key.tempo_rows,
    "key": rhythm_and_key.key_rows,
    "beats": rhythm_and_key.beat_rows,
}


def main(folder, parts):
    for part in parts:
        for title, figure in PARTS[part](folder):
            print(f"{part:9} {title:64} {figure}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    main(asked.folder, asked.parts or PARTS)

"""One table of how features compare with other programs: `python -m tools.reference.figures DIR [PART…]`.

DIR holds the folders `pop909`, `mixes` and `broadcast`. Parts: spectra, loudness, pitch, tempo, key, beats; all
when none is named. aubio (aubio-ledfx), praat-parselmouth and pyworld are no requirements of the project, since
their licences or sizes are not its own: a part that needs one which is missing says so.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tools.reference import loudness, pitch, rhythm_and_key, spectra

PARTS = {
    "spectra": spectra.rows,
    "loudness": loudness.rows,
    "pitch": pitch.rows,
    "tempo": rhythm_and_key.tempo_rows,
    "key": rhythm_and_key.key_rows,
    "beats": rhythm_and_key.beat_rows,
}


def main():
    folder, *chosen = sys.argv[1:]
    for part in chosen or PARTS:
        for what, figure in PARTS[part](Path(folder)):
            print(f"{part:9} {what:64} {figure}", flush=True)


if __name__ == "__main__":
    if not sys.argv[1:] or set(sys.argv[2:]) - set(PARTS):
        sys.exit(__doc__)
    main()

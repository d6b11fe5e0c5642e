"""Print the sections of a sound file: python segment_file.py song.flac [profile]"""

import sys

from streamseg import SectionClosed, make_settings, open_source, segment


def main(path: str, profile: str = "music") -> None:
    for event in segment(open_source(path), make_settings(profile)):
        match event.data:
            case SectionClosed(start=start, end=end, label=label):
                print(f"{start:8.2f} s  to {end:8.2f} s   {label}")


if __name__ == "__main__":
    main(*sys.argv[1:])

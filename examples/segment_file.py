"""Print the sections of a sound file: python segment_file.py song.flac [profile]"""

import sys

from streamseg import make_settings, open_source, segment


def main(path: str, profile: str = "music") -> None:
    for event in segment(open_source(path), make_settings(profile)):
        if event.type == "streamseg.section.closed.v1":
            section = event.data
            print(f"{section.start:8.2f} s  to {section.end:8.2f} s   {section.label}")


if __name__ == "__main__":
    main(*sys.argv[1:])

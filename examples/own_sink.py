"""Post every section to a web hook when it has ended: python own_sink.py SOURCE http://localhost:9000/hook

SOURCE is `mic`, `mic:NAME`, a file or `-`. The sequencer makes CloudEvents of the engine's events.
"""

import sys
import time
from urllib.request import Request, urlopen

from ulid import ULID

from streamseg import EventSequencer, SectionClosed, encode_envelope, open_source, segment


def main(source: str, hook: str) -> None:
    sequencer = EventSequencer("hook", str(ULID()), time.time)
    for event in segment(open_source(source)):
        for envelope in sequencer.stamp_events([event]):
            if isinstance(envelope.data, SectionClosed):
                headers = {"Content-Type": "application/cloudevents+json"}
                request = Request(hook, data=encode_envelope(envelope), headers=headers, method="POST")  # noqa: S310
                with urlopen(request, timeout=10) as response:  # noqa: S310
                    print(f"section {envelope.subject}: {response.status}")


if __name__ == "__main__":
    main(*sys.argv[1:])

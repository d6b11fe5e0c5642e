"""Post every section to a web hook once it is over: python own_sink.py SOURCE http://localhost:9000/hook

SOURCE is `mic`, `mic:NAME`, a file or `-`. A sink is a loop over events; the sequencer makes them CloudEvents.
"""

import sys
import time
from urllib.request import Request, urlopen

from ulid import ULID

from streamseg import open_source, segment
from streamseg.wire.envelope import EventSequencer, encode_envelope


def main(source: str, hook: str) -> None:
    sequencer = EventSequencer("hook", str(ULID()), time.time)
    for event in segment(open_source(source)):
        for envelope in sequencer.stamp_events([event]):
            if envelope.type == "streamseg.section.closed.v1":
                headers = {"Content-Type": "application/cloudevents+json"}
                request = Request(hook, data=encode_envelope(envelope), headers=headers, method="POST")  # noqa: S310
                with urlopen(request, timeout=10) as answer:  # noqa: S310
                    print(f"section {envelope.subject}: {answer.status}")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Events as a client reads them."""

from __future__ import annotations

import json

from streamseg.wire.envelope import encode_envelope


def as_json(envelopes) -> list[dict]:
    return [json.loads(encode_envelope(envelope)) for envelope in envelopes]

"""Every number once: its name, unit, meaning and range; and the four profiles.

`Settings` is what the engine hears by; its hash is named in `stream.started`, because the same samples give
the same events only under the same settings. `ServerSettings` bounds what strangers and slow clients can cost.
"""

from __future__ import annotations

import difflib
import hashlib
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from streamseg.errors import SettingRangeError, UnknownSettingError

# The rate, hop and frame that every stage behind the resampler counts in. Not settings: trained weights,
# fixed standardisation and the protocol's figures hold for these alone.
ENGINE_RATE = 22_050
HOP = 512
FRAME = 2048
FRAMES_PER_SECOND = ENGINE_RATE / HOP

_LONGEST_SHOWN = 60

Profile: TypeAlias = Literal["music", "dj", "broadcast", "room"]
ClustererName: TypeAlias = Literal["sections", "kmeans", "streamkmeans", "dbstream", "denstream", "clustream"]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the engine hears by. Made by `settings_for`, which names what is wrong."""

    profile: Annotated[Profile, Meta(description="what the numbers were chosen for")] = "music"
    lookahead_s: Annotated[
        float, Meta(ge=0, le=60, description="how late a change may be known, median seconds; later is more accurate")
    ] = 10.0
    sensitivity: Annotated[
        float,
        Meta(ge=0, le=1, description="how many changes are reported: 0 the fewest, 1 the most, 0.5 as shipped"),
    ] = 0.5
    provisional_probability: Annotated[
        float,
        Meta(
            gt=0,
            lt=1,
            description="how likely a change must be to be said uncertain; thrice those odds when it is 3 s old",
        ),
    ] = 0.4
    clusterer: Annotated[ClustererName, Meta(description="what gives sections their labels")] = "sections"
    label_returning: Annotated[
        float, Meta(gt=0, lt=1, description="how likely is a return (music: at first, of any; else: of each label)")
    ] = 0.5
    labels_max: Annotated[
        int, Meta(ge=2, le=1000, description="how many sections are remembered; the least used is forgotten")
    ] = 256
    silence_db: Annotated[
        float, Meta(ge=-99, le=-10, description="RMS below which sound is silence, dB of full scale")
    ] = -60.0
    dead_air_s: Annotated[
        float, Meta(ge=1, le=3600, description="how long it must be silent until the alarm is raised, seconds")
    ] = 5.0


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What clients may cost, and what is kept for them."""

    heartbeat_s: Annotated[float, Meta(gt=0, le=3600, description="seconds between heartbeats")] = 15.0
    max_queue_bytes: Annotated[
        int, Meta(ge=4096, description="write buffer at which a slow client is closed with 4308")
    ] = 524_288
    shed_queue_bytes: Annotated[
        int, Meta(ge=0, description="write buffer from which `meter` and `novelty` are dropped and counted")
    ] = 65_536
    max_message_bytes: Annotated[int, Meta(ge=256, description="the largest message a client may send")] = 16_384
    messages_per_s: Annotated[
        float, Meta(gt=0, description="messages a client may send a second, on average; more closes with 4029")
    ] = 20.0
    message_burst: Annotated[int, Meta(ge=1, description="messages a client may send at once")] = 60
    identify_timeout_s: Annotated[
        float, Meta(gt=0, le=600, description="seconds a client has for its handshake, and again to identify itself")
    ] = 10.0
    max_connections: Annotated[int, Meta(ge=1, description="clients in all")] = 20_000
    max_connections_per_address: Annotated[int, Meta(ge=1, description="clients of one address")] = 256
    max_streams_per_client: Annotated[int, Meta(ge=1, description="streams one client may name")] = 256
    stalled_s: Annotated[
        float, Meta(gt=0, description="seconds a client may read nothing of what waits for it; then 4308")
    ] = 60.0
    history_events: Annotated[int, Meta(ge=1, description="events kept of each stream")] = 100_000
    history_s: Annotated[float, Meta(gt=0, description="seconds events are kept")] = 86_400.0
    durable: Annotated[bool, Meta(description="commits survive a power cut too, not only a killed process")] = False


# What differs from the defaults, chosen by `streamseg evaluate` on annotated sound of each kind.
PROFILES: dict[Profile, dict[str, Any]] = {
    "music": {},
    "dj": {"lookahead_s": 15.0, "provisional_probability": 0.45, "label_returning": 0.1},
    "broadcast": {"lookahead_s": 5.0, "label_returning": 0.1},
    "room": {"lookahead_s": 5.0, "label_returning": 0.1},
}


def make_settings(profile: Profile = "music", **changes: Any) -> Settings:
    """The settings of a profile, with some numbers changed.

    Raises UnknownSetting (naming the nearest known one) or SettingOutOfRange.
    """
    if profile not in PROFILES:
        raise SettingRangeError(f"no profile {profile!r}; choose from {', '.join(PROFILES)}")
    known = {field.name for field in msgspec.structs.fields(Settings)}
    for key in changes:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(sorted(known))}"
            raise UnknownSettingError(f"no setting {key!r}{hint}")
    refuse_out_of_range(Settings, changes)
    return msgspec.convert({"profile": profile} | PROFILES[profile] | changes, Settings)


def refuse_out_of_range(kind: type[Settings] | type[ServerSettings], values: dict[str, Any]) -> None:
    """Raise SettingOutOfRange for the first of these values that its setting cannot have: which, what, the range."""
    fields = msgspec.json.schema(kind)["$defs"][kind.__name__]["properties"]
    for name, value in values.items():
        try:
            msgspec.convert({name: value}, kind)
        except msgspec.ValidationError:
            field = fields[name]
            raise SettingRangeError(
                f"{name} cannot be {_shown(value)}: it is {range_of(field)} ({field.get('description', name)}); "
                f"write --set {name}=VALUE"
            ) from None


def range_of(field: dict[str, Any]) -> str:
    """The values that a setting may have, from its JSON schema."""
    if "enum" in field:
        return "one of " + ", ".join(field["enum"])
    if field.get("type") == "boolean":
        return "true or false"
    kind = "a whole number" if field.get("type") == "integer" else "a number"
    low, high = field.get("minimum"), field.get("maximum")
    parts = [kind]
    if "exclusiveMinimum" in field:
        parts.append(f"above {field['exclusiveMinimum']}")
    elif low is not None:
        parts.append(f"from {low}" if high is not None else f"of {low} or more")
    if high is not None:
        parts.append(f"to {high}" if low is not None else f"and at most {high}")
    if "exclusiveMaximum" in field:
        parts.append(f"and below {field['exclusiveMaximum']}")
    return " ".join(parts)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"


def hash_settings(settings: Settings) -> str:
    """Twelve hex digits that differ when any number differs."""
    return hashlib.sha256(msgspec.json.encode(settings, order="sorted")).hexdigest()[:12]

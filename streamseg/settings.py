"""The settings of the engine and of the server, with their units, ranges and descriptions; and the four profiles.

The event `stream.started` contains the hash of `Settings`, because the same samples give the same events only under
the same settings.
"""

from __future__ import annotations

import difflib
import hashlib
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from streamseg.errors import SettingRangeError, UnknownSettingError

# Sample rate (Hz), hop and frame (samples) of every stage after the resampler. They are not settings: the trained
# weights, the standardisation and the figures of the protocol hold for these values only.
ENGINE_RATE = 22_050
HOP = 512
FRAME = 2048
FRAMES_PER_SECOND = ENGINE_RATE / HOP

_MAX_VALUE_CHARS = 60  # of a wrong value in a message

Profile: TypeAlias = Literal["music", "dj", "broadcast", "room"]
ClustererName: TypeAlias = Literal["sections", "kmeans", "streamkmeans", "dbstream", "denstream", "clustream"]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of the engine. Create them with `make_settings`, which checks names and ranges."""

    profile: Annotated[Profile, Meta(description="kind of sound that the other settings are chosen for")] = "music"
    lookahead_s: Annotated[
        float,
        Meta(
            ge=0,
            le=60,
            description="median delay from a boundary to its confirmation, in seconds; longer is more accurate",
        ),
    ] = 10.0
    sensitivity: Annotated[
        float,
        Meta(ge=0, le=1, description="how many boundaries are reported: 0 the fewest, 1 the most, 0.5 is the default"),
    ] = 0.5
    provisional_probability: Annotated[
        float,
        Meta(
            gt=0,
            lt=1,
            description="probability from which a boundary is reported as provisional; three times these odds are "
            "needed when the boundary is more than 3 s old",
        ),
    ] = 0.4
    clusterer: Annotated[
        ClustererName,
        Meta(
            description="method that assigns labels: sections compares whole sections; the others are river's "
            "clusterers and cluster the sound continuously"
        ),
    ] = "sections"
    label_returning: Annotated[
        float,
        Meta(
            gt=0,
            lt=1,
            description="prior probability that an earlier label returns: in the profile music that any of them "
            "does, in the other profiles for each label by itself",
        ),
    ] = 0.5
    labels_max: Annotated[
        int,
        Meta(ge=2, le=1000, description="number of sections that are stored; the least recently used is replaced"),
    ] = 256
    silence_db: Annotated[
        float, Meta(ge=-99, le=-10, description="RMS level below which the sound is silence, in dB of full scale")
    ] = -60.0
    dead_air_s: Annotated[
        float, Meta(ge=1, le=3600, description="duration of silence that raises the alarm, in seconds")
    ] = 5.0


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of the server: the limits for its clients, and how many events it stores."""

    heartbeat_s: Annotated[float, Meta(gt=0, le=3600, description="interval between heartbeats, in seconds")] = 15.0
    max_queue_bytes: Annotated[
        int, Meta(ge=4096, description="unsent bytes at which a slow client is closed with code 4308")
    ] = 524_288
    shed_queue_bytes: Annotated[
        int,
        Meta(ge=0, description="unsent bytes above which `meter` and `novelty` are dropped for a client and counted"),
    ] = 65_536
    max_message_bytes: Annotated[int, Meta(ge=256, description="largest message that a client may send, in bytes")] = (
        16_384
    )
    messages_per_s: Annotated[
        float,
        Meta(gt=0, description="messages per second that a client may send on average; code 4029 above that"),
    ] = 20.0
    message_burst: Annotated[int, Meta(ge=1, description="messages that a client may send at once")] = 60
    identify_timeout_s: Annotated[
        float,
        Meta(gt=0, le=600, description="seconds that a client has for the handshake, and again for `identify`"),
    ] = 10.0
    max_connections: Annotated[int, Meta(ge=1, description="largest number of clients")] = 20_000
    max_connections_per_address: Annotated[int, Meta(ge=1, description="largest number of clients per address")] = 256
    max_streams_per_client: Annotated[int, Meta(ge=1, description="largest number of streams per client")] = 256
    stalled_s: Annotated[
        float,
        Meta(gt=0, description="seconds after which a client that reads none of its unsent bytes is closed with 4308"),
    ] = 60.0
    history_events: Annotated[int, Meta(ge=1, description="number of events that are stored per stream")] = 100_000
    history_s: Annotated[float, Meta(gt=0, description="seconds for which events are stored")] = 86_400.0
    durable: Annotated[
        bool, Meta(description="stored events survive a power failure too, not only a killed process")
    ] = False


# Differences from the defaults, chosen by `streamseg evaluate` on annotated sound of each kind.
PROFILES: dict[Profile, dict[str, Any]] = {
    "music": {},
    "dj": {"lookahead_s": 15.0, "provisional_probability": 0.45, "label_returning": 0.1},
    "broadcast": {"lookahead_s": 5.0, "label_returning": 0.1},
    "room": {"lookahead_s": 5.0, "label_returning": 0.1},
}


def make_settings(profile: Profile = "music", **changes: Any) -> Settings:
    """Return the settings of a profile, with `changes` applied: `make_settings("dj", lookahead_s=5.0)`.

    Raises UnknownSettingError, which names the most similar setting, or SettingRangeError.
    """
    if profile not in PROFILES:
        raise SettingRangeError(f"no profile {profile!r}; choose from {', '.join(PROFILES)}")
    names = {field.name for field in msgspec.structs.fields(Settings)}
    for name in changes:
        if name not in names:
            similar = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {similar[0]!r}?" if similar else f"; settings: {', '.join(sorted(names))}"
            raise UnknownSettingError(f"no setting {name!r}{hint}")
    check_setting_ranges(Settings, changes)
    return msgspec.convert({"profile": profile} | PROFILES[profile] | changes, Settings)


def check_setting_ranges(settings_class: type[Settings] | type[ServerSettings], values: dict[str, Any]) -> None:
    """Raise SettingRangeError for the first of `values` (setting name: value) that is not allowed.

    settings_class: the class that has these settings. The message gives the allowed range.
    """
    fields = msgspec.json.schema(settings_class)["$defs"][settings_class.__name__]["properties"]
    for name, value in values.items():
        try:
            msgspec.convert({name: value}, settings_class)
        except msgspec.ValidationError:
            field = fields[name]
            raise SettingRangeError(
                f"{name} cannot be {_format_value(value)}: it is {_describe_range(field)} "
                f"({field.get('description', name)}); write --set {name}=VALUE"
            ) from None


def _describe_range(field: dict[str, Any]) -> str:
    """The values that a setting may have, in words. field: its JSON schema."""
    if "enum" in field:
        return "one of " + ", ".join(field["enum"])
    if field.get("type") == "boolean":
        return "true or false"
    low, high = field.get("minimum"), field.get("maximum")
    parts = ["a whole number" if field.get("type") == "integer" else "a number"]
    if "exclusiveMinimum" in field:
        parts.append(f"above {field['exclusiveMinimum']}")
    elif low is not None:
        parts.append(f"from {low}" if high is not None else f"of {low} or more")
    if high is not None:
        parts.append(f"to {high}" if low is not None else f"and at most {high}")
    if "exclusiveMaximum" in field:
        parts.append(f"and below {field['exclusiveMaximum']}")
    return " ".join(parts)


def _format_value(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_VALUE_CHARS else text[:_MAX_VALUE_CHARS] + "…"


def hash_settings(settings: Settings) -> str:
    """Return a hash of all settings, twelve hex digits: equal settings give the same hash in every process."""
    return hashlib.sha256(msgspec.json.encode(settings, order="sorted")).hexdigest()[:12]

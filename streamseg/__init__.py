"""Listens to a live sound and says, while it plays, when it changes, what it is, and whether it was heard before.

::

    from streamseg import BoundaryConfirmed, open_source, segment

    for event in segment(open_source("song.flac")):
        match event.data:
            case BoundaryConfirmed(t=t, next=section):
                print(f"{t:.2f} s: section {section.label} begins")

`docs/api.md` lists the public names with one line each. A public name is imported when it is first used: the engine
takes half a second to load, and clients and `--help` do not need it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from streamseg._version import __version__ as __version__

# isort: off
if TYPE_CHECKING:  # the names of `_HOMES` again, for type checkers; a test compares the two
    from streamseg.blocks import (
        Block as Block,
        Gap as Gap,
        Source as Source,
        SourceAvailabilityChange as SourceAvailabilityChange,
        Title as Title,
    )
    from streamseg.client import (
        send_request as send_request,
        subscribe as subscribe,
        subscribe_sync as subscribe_sync,
    )
    from streamseg.engine import (
        Segmenter as Segmenter,
        segment as segment,
    )
    from streamseg.errors import (
        DeviceNotFoundError as DeviceNotFoundError,
        HistoryError as HistoryError,
        MissingLibraryError as MissingLibraryError,
        NotAudioError as NotAudioError,
        NotFoundOnServerError as NotFoundOnServerError,
        OutputError as OutputError,
        PortInUseError as PortInUseError,
        ServerError as ServerError,
        ServerRefusedError as ServerRefusedError,
        SettingRangeError as SettingRangeError,
        SourceError as SourceError,
        SourceNotFoundError as SourceNotFoundError,
        StreamsegError as StreamsegError,
        TruncatedSourceError as TruncatedSourceError,
        UnknownSettingError as UnknownSettingError,
        UsageError as UsageError,
    )
    from streamseg.feature_arrays import (
        FeatureArrays as FeatureArrays,
        extract_features as extract_features,
    )
    from streamseg.live import (
        FeedbackStore as FeedbackStore,
        NameStore as NameStore,
        Session as Session,
        Supervisor as Supervisor,
        compile_kernels as compile_kernels,
        default_history_path as default_history_path,
        open_feedback_store as open_feedback_store,
        open_name_store as open_name_store,
        teach_jingle as teach_jingle,
    )
    from streamseg.server import (
        Hub as Hub,
        serve as serve,
    )
    from streamseg.outputs import (
        FORMATS as FORMATS,
        OutputFormat as OutputFormat,
        RecordedSection as RecordedSection,
        Recording as Recording,
        collect_recording as collect_recording,
    )
    from streamseg.outputs.event_file import (
        read_events as read_events,
    )
    from streamseg.settings import (
        ServerSettings as ServerSettings,
        Settings as Settings,
        make_settings as make_settings,
    )
    from streamseg.sources import (
        InputDeviceInfo as InputDeviceInfo,
        list_devices as list_devices,
        open_source as open_source,
    )
    from streamseg.wire.envelope import (
        Envelope as Envelope,
        EventSequencer as EventSequencer,
        decode_envelope as decode_envelope,
        encode_envelope as encode_envelope,
    )
    from streamseg.wire.events import (
        AlarmAcknowledged as AlarmAcknowledged,
        AlarmCleared as AlarmCleared,
        AlarmRaised as AlarmRaised,
        BoundaryConfirmed as BoundaryConfirmed,
        BoundaryProvisional as BoundaryProvisional,
        BoundaryRetracted as BoundaryRetracted,
        EVENT_TYPES as EVENT_TYPES,
        Event as Event,
        EventData as EventData,
        FeatureDistances as FeatureDistances,
        HistoryFailed as HistoryFailed,
        HistoryRestored as HistoryRestored,
        LabelNamed as LabelNamed,
        MeterReading as MeterReading,
        NextSection as NextSection,
        Novelty as Novelty,
        PreviousSection as PreviousSection,
        Report as Report,
        SectionClosed as SectionClosed,
        SectionRelabelled as SectionRelabelled,
        SectionUpdated as SectionUpdated,
        SoundChanged as SoundChanged,
        SoundConfidence as SoundConfidence,
        StreamGap as StreamGap,
        StreamLost as StreamLost,
        StreamResumed as StreamResumed,
        StreamStarted as StreamStarted,
        StreamStopped as StreamStopped,
        StreamTitle as StreamTitle,
    )
    from streamseg.wire.progress import (
        StreamProgress as StreamProgress,
    )
# isort: on

_HOMES = {  # module: its public names
    "streamseg.blocks": "Block Gap Source SourceAvailabilityChange Title",
    "streamseg.client": "send_request subscribe subscribe_sync",
    "streamseg.engine": "Segmenter segment",
    "streamseg.errors": (
        "DeviceNotFoundError HistoryError MissingLibraryError NotAudioError NotFoundOnServerError OutputError "
        "PortInUseError ServerError ServerRefusedError SettingRangeError SourceError SourceNotFoundError "
        "StreamsegError TruncatedSourceError UnknownSettingError UsageError"
    ),
    "streamseg.feature_arrays": "FeatureArrays extract_features",
    "streamseg.live": (
        "FeedbackStore NameStore Session Supervisor compile_kernels default_history_path open_feedback_store "
        "open_name_store teach_jingle"
    ),
    "streamseg.server": "Hub serve",
    "streamseg.outputs": "FORMATS OutputFormat RecordedSection Recording collect_recording",
    "streamseg.outputs.event_file": "read_events",
    "streamseg.settings": "ServerSettings Settings make_settings",
    "streamseg.sources": "InputDeviceInfo list_devices open_source",
    "streamseg.wire.envelope": "Envelope EventSequencer decode_envelope encode_envelope",
    "streamseg.wire.events": (
        "AlarmAcknowledged AlarmCleared AlarmRaised BoundaryConfirmed BoundaryProvisional BoundaryRetracted "
        "EVENT_TYPES Event EventData FeatureDistances HistoryFailed HistoryRestored LabelNamed MeterReading "
        "NextSection Novelty PreviousSection Report SectionClosed SectionRelabelled SectionUpdated SoundChanged "
        "SoundConfidence StreamGap StreamLost StreamResumed StreamStarted StreamStopped StreamTitle"
    ),
    "streamseg.wire.progress": "StreamProgress",
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = ["__version__", *sorted(_MODULES)]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'streamseg' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

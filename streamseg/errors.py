"""What can go wrong, and whose fault it is.

::

    StreamsegError                  exit code 1: it failed
    ├── AskedWrongly                exit code 2: the request cannot be met as it was put
    │   ├── UnknownSetting          a setting of that name does not exist
    │   ├── SettingOutOfRange       a setting's value lies outside its range
    │   ├── DeviceNotFound          no input device of that name
    │   ├── SourceNotFound          the file or address is not there
    │   └── SubjectNotFound         a server has no such stream, label or alarm (a ConnectionRefused too)
    ├── SourceFailed                the sound could not be read
    │   ├── NotAudio                what was found is not sound, or holds none
    │   ├── SourceTruncated         it ended before it said it would; what came before is good
    │   └── SystemPartMissing       a library of the operating system is needed
    ├── ServerFailed                the server could not start or go on
    │   └── PortInUse
    ├── HistoryFailed               the event log cannot be written or read
    ├── ConnectionRefused           the server refused us, and trying again is no use
    └── OutputFailed                a result could not be written

Every message says what was asked, what was found, and what to do.
"""

from __future__ import annotations


class StreamsegError(Exception):
    """Any failure that streamseg foresees. `exit_code` is the command line's answer."""

    exit_code = 1


class UsageError(StreamsegError):
    """The request cannot be met as it was put; asking differently can help."""

    exit_code = 2


class UnknownSettingError(UsageError):
    """A setting of that name does not exist; the message names the nearest one."""


class SettingRangeError(UsageError):
    """A setting's value lies outside its documented range."""


class DeviceNotFoundError(UsageError):
    """No input device matches the name."""


class SourceNotFoundError(UsageError):
    """The file or address is not there."""


class SourceError(StreamsegError):
    """The sound could not be read."""


class NotAudioError(SourceError):
    """What was found is not sound, or holds none."""


class TruncatedSourceError(SourceError):
    """The source ended before it said it would. Everything decoded before the cut was delivered."""


class MissingLibraryError(SourceError):
    """A library of the operating system is missing; the message names the package."""


class ServerError(StreamsegError):
    """The server could not start or go on."""


class PortInUseError(ServerError):
    """Somebody else listens on that address already."""


class HistoryError(StreamsegError):
    """The event log cannot be written or read."""


class ServerRefusedError(StreamsegError):
    """The server refused this client in a way that trying again cannot mend."""


class SubjectNotFound(ServerRefusedError, UsageError):
    """A server has no stream, label or alarm as the request names it; the message lists those there are."""


class OutputError(StreamsegError):
    """A result could not be written."""

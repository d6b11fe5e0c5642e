"""The errors that streamseg raises.

::

    StreamsegError                  exit code 1: something failed
    ├── UsageError                  exit code 2: the request is wrong
    │   ├── UnknownSettingError     there is no setting of that name
    │   ├── SettingRangeError       the value of a setting is out of range
    │   ├── DeviceNotFoundError     there is no input device of that name
    │   ├── SourceNotFoundError     there is no such file or address
    │   └── SubjectNotFoundError    a server has no such stream, label or alarm (a ServerRefusedError too)
    ├── SourceError                 the sound could not be read
    │   ├── NotAudioError           the source is not sound, or contains none
    │   ├── TruncatedSourceError    the source ended too early; the sound before is valid
    │   └── MissingLibraryError     a library of the operating system is missing
    ├── ServerError                 the server could not start or continue
    │   └── PortInUseError          another program uses the port
    ├── HistoryError                the event history could not be written or read
    ├── ServerRefusedError          the server refused this client; trying again does not help
    └── OutputError                 a result could not be written

Every message contains what was requested, what was found, and what to do.
"""

from __future__ import annotations


class StreamsegError(Exception):
    """Any error that streamseg raises on purpose. exit_code: of the command line."""

    exit_code = 1


class UsageError(StreamsegError):
    """The request is wrong; another request can succeed."""

    exit_code = 2


class UnknownSettingError(UsageError):
    """There is no setting of that name; the message names the most similar one."""


class SettingRangeError(UsageError):
    """The value of a setting is out of its range; the message gives the range."""


class DeviceNotFoundError(UsageError):
    """No input device matches the name."""


class SourceNotFoundError(UsageError):
    """There is no such file or address."""


class SourceError(StreamsegError):
    """The sound could not be read."""


class NotAudioError(SourceError):
    """The source is not sound, or contains none."""


class TruncatedSourceError(SourceError):
    """The source ended before its declared end. All sound before was delivered."""


class MissingLibraryError(SourceError):
    """A library of the operating system is missing; the message names the package."""


class ServerError(StreamsegError):
    """The server could not start or continue."""


class PortInUseError(ServerError):
    """Another program uses the address and port."""


class HistoryError(StreamsegError):
    """The event history could not be written or read."""


class ServerRefusedError(StreamsegError):
    """The server refused this client; trying again does not help."""


class SubjectNotFoundError(ServerRefusedError, UsageError):
    """A server has no such stream, label or alarm; the message lists those that it has."""


class OutputError(StreamsegError):
    """A result could not be written."""

"""The errors that streamseg raises.

::

    StreamsegError                  exit code 1: something failed
    ├── UsageError                  exit code 2: the request is wrong
    │   ├── UnknownSettingError     there is no setting of that name
    │   ├── SettingRangeError       the value of a setting is out of range
    │   ├── DeviceNotFoundError     there is no input device of that name
    │   ├── SourceNotFoundError     there is no such file or address
    │   └── NotFoundOnServerError   a server has no such stream, label or alarm (a ServerRefusedError too)
    ├── SourceError                 the sound could not be read
    │   ├── NotAudioError           the source is not sound, or contains none
    │   ├── TruncatedSourceError    the source ended too early; the sound before is valid
    │   └── MissingLibraryError     a library of the operating system is missing
    ├── ServerError                 the server could not start or continue
    │   └── PortInUseError          another program uses the port
    ├── HistoryError                the event history or the name store could not be read or written
    ├── ServerRefusedError          the server refused this client; trying again does not help
    └── OutputError                 a result could not be written

Every message contains what was requested, what was found, and what to do.
"""

from __future__ import annotations


class StreamsegError(Exception):
    """The base class of all errors that streamseg raises. exit_code: exit code of the command line for the error."""

    exit_code = 1


class UsageError(StreamsegError):
    """The call or the command line is wrong: the user can correct it and try again."""

    exit_code = 2


class UnknownSettingError(UsageError):
    """There is no setting of that name; the message names the most similar one."""


class SettingRangeError(UsageError):
    """The value of a setting is not allowed; the message gives the allowed range."""


class DeviceNotFoundError(UsageError):
    """No input device of this machine matches the name."""


class SourceNotFoundError(UsageError):
    """The file or the address of a source does not exist."""


class SourceError(StreamsegError):
    """The sound of a source could not be read."""


class NotAudioError(SourceError):
    """The file or stream has no audio that can be decoded; silence is no error."""


class TruncatedSourceError(SourceError):
    """The sound ended before the end that its file declares, or a file of events ends in the middle of a line.

    All that comes before was delivered.
    """


class MissingLibraryError(SourceError):
    """A library or program of the operating system is missing; the message says how to install it."""


class ServerError(StreamsegError):
    """The server could not start, or could not go on serving."""


class PortInUseError(ServerError):
    """Another program already listens on the address and port."""


class HistoryError(StreamsegError):
    """The event history or the name store could not be read or written."""


class ServerRefusedError(StreamsegError):
    """The server refused the connection or a request of this client; trying again does not help."""


class NotFoundOnServerError(ServerRefusedError, UsageError):
    """The server has no stream, label or alarm of the requested name; the message lists those that it has."""


class OutputError(StreamsegError):
    """A result could not be written to a file or to standard output."""

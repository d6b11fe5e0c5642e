"""The input devices of this machine, and PortAudio itself.

PortAudio is a library of the operating system, loaded at the first use of a microphone only: without it
everything else works.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

from streamseg.errors import DeviceNotFoundError, MissingLibraryError


@dataclass(frozen=True, slots=True)
class InputDevice:
    """One input of this machine. `index` is PortAudio's, good until the next rescan."""

    index: int
    name: str
    system: str
    channels: int
    sample_rate: int
    is_default: bool


def import_portaudio() -> ModuleType:
    """The `sounddevice` module. Raises SystemPartMissing where PortAudio is not installed."""
    try:
        return importlib.import_module("sounddevice")
    except OSError as error:
        raise MissingLibraryError(
            f"a microphone needs the system library PortAudio, which was not found ({error}); "
            "install it: `apt-get install libportaudio2` (Debian, Ubuntu), `brew install portaudio` (macOS)"
        ) from None


def list_devices() -> list[InputDevice]:
    """The inputs of this machine, as PortAudio saw them when it was started. Raises SystemPartMissing."""
    sounddevice = import_portaudio()
    default = sounddevice.default.device[0]
    if default < 0:  # nobody chose one: the system's
        with contextlib.suppress(sounddevice.PortAudioError):
            default = sounddevice.query_devices(kind="input")["index"]
    systems = sounddevice.query_hostapis()
    return [
        InputDevice(
            index=device["index"],
            name=device["name"],
            system=systems[device["hostapi"]]["name"],
            channels=device["max_input_channels"],
            sample_rate=round(device["default_samplerate"]),
            is_default=device["index"] == default,
        )
        for device in sounddevice.query_devices()
        if device["max_input_channels"] > 0
    ]


def find_device(name: str | None) -> InputDevice:
    """The device that bears the name, or whose name alone holds it (case aside); the default for None.

    Raises DeviceNotFound, which lists what there is.
    """
    devices = list_devices()
    if not devices:
        raise DeviceNotFoundError("no input device on this machine; plug one in, then see `streamseg devices`")
    listed = f"{len(devices)} found: {', '.join(device.name for device in devices)} (streamseg devices)"
    if name is None:
        default = next((device for device in devices if device.is_default), None)
        if default is None:
            raise DeviceNotFoundError(f"no default input device; name one as mic:NAME; {listed}")
        return default
    wanted = name.casefold()
    same = [device for device in devices if device.name.casefold() == wanted]
    matches = same or [device for device in devices if wanted in device.name.casefold()]
    if not matches:
        raise DeviceNotFoundError(f"no input device matching {name!r}; {listed}")
    if len(matches) > 1 and not same:
        raise DeviceNotFoundError(
            f"{len(matches)} input devices match {name!r}: {', '.join(device.name for device in matches)}; "
            "write more of the name"
        )
    return matches[0]  # one name under two host systems is one device: the first is the system's own choice


_open_streams = 0
_open_streams_lock = threading.Lock()


@contextlib.contextmanager
def hold_open_stream() -> Iterator[None]:
    """Say that a stream is open, so that no rescan pulls PortAudio away from under it."""
    global _open_streams
    with _open_streams_lock:
        _open_streams += 1
    try:
        yield
    finally:
        with _open_streams_lock:
            _open_streams -= 1


def rescan_devices() -> None:
    """Make PortAudio look again for devices: it reads their list once, when it starts.

    There is no other way than to restart it, and that ends every open stream of the process. So while another
    microphone is running the old list stays, and a device comes back under its old entry or not at all.
    """
    sounddevice = import_portaudio()
    with _open_streams_lock:
        if _open_streams == 0:
            with silence_stderr():
                if sounddevice._initialized:  # the documented way, in spite of the names
                    sounddevice._terminate()
                sounddevice._initialize()


@contextlib.contextmanager
def silence_stderr() -> Iterator[None]:
    """Keep the system's sound libraries from writing to the terminal; they report to us by return value as well."""
    sys_stderr = 2
    kept = os.dup(sys_stderr)
    try:
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123 — a device, not a path
            os.dup2(nowhere.fileno(), sys_stderr)
        yield
    finally:
        os.dup2(kept, sys_stderr)
        os.close(kept)

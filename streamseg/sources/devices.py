"""Lists and finds the input devices of this machine, and loads PortAudio.

PortAudio is a library of the operating system. It is loaded at the first use of a microphone, so that everything else
works without it.
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
class InputDeviceInfo:
    """The name, number of channels and sample rate of one input device, as PortAudio reports them.

    index: PortAudio's number of the device, valid until `rescan_devices`. system: the host API, such as ALSA. channels:
    the largest number of input channels. sample_rate: the default one, Hz.
    """

    index: int
    name: str
    system: str
    channels: int
    sample_rate: int
    is_default: bool


def import_portaudio() -> ModuleType:
    """Import and return the module `sounddevice`, which loads PortAudio.

    Raises MissingLibraryError where PortAudio is not installed.
    """
    try:
        return importlib.import_module("sounddevice")
    except OSError as error:
        raise MissingLibraryError(
            f"a microphone needs the system library PortAudio, which was not found ({error}); "
            "install it: `apt-get install libportaudio2` (Debian, Ubuntu), `brew install portaudio` (macOS)"
        ) from None


def list_devices() -> list[InputDeviceInfo]:
    """List the input devices of this machine, as PortAudio found them when it started (see `rescan_devices`).

    Raises MissingLibraryError.
    """
    sounddevice = import_portaudio()
    default = sounddevice.default.device[0]
    if default < 0:  # not set by the program: use the system's default
        with contextlib.suppress(sounddevice.PortAudioError):
            default = sounddevice.query_devices(kind="input")["index"]
    systems = sounddevice.query_hostapis()
    return [
        InputDeviceInfo(
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


def find_device(name: str | None) -> InputDeviceInfo:
    """Find an input device by its name or a unique part of it, ignoring case; None finds the default device.

    Raises DeviceNotFoundError, which lists the devices.
    """
    devices = list_devices()
    if not devices:
        raise DeviceNotFoundError("no input device on this machine; plug one in, then see `streamseg devices`")
    device_list = f"{len(devices)} found: {', '.join(device.name for device in devices)} (streamseg devices)"
    if name is None:
        default = next((device for device in devices if device.is_default), None)
        if default is None:
            raise DeviceNotFoundError(f"no default input device; name one as mic:NAME; {device_list}")
        return default
    folded_name = name.casefold()
    exact_matches = [device for device in devices if device.name.casefold() == folded_name]
    matches = exact_matches or [device for device in devices if folded_name in device.name.casefold()]
    if not matches:
        raise DeviceNotFoundError(f"no input device matching {name!r}; {device_list}")
    if len(matches) > 1 and not exact_matches:
        raise DeviceNotFoundError(
            f"{len(matches)} input devices match {name!r}: {', '.join(device.name for device in matches)}; "
            "write more of the name"
        )
    return matches[0]  # the same name under two host APIs is one device: take the one that the system lists first


_open_streams = 0
_open_streams_lock = threading.Lock()


@contextlib.contextmanager
def prevent_rescan() -> Iterator[None]:
    """In the `with` block, make `rescan_devices` do nothing; use this while an audio stream is open."""
    global _open_streams
    with _open_streams_lock:
        _open_streams += 1
    try:
        yield
    finally:
        with _open_streams_lock:
            _open_streams -= 1


def rescan_devices() -> None:
    """Restart PortAudio, so that it reads the list of devices again; do nothing while a stream is open.

    PortAudio reads the list only when it starts, and a restart ends every open stream of the process. So while another
    microphone is open the old list stays, and a device can only return under its old entry.
    """
    sounddevice = import_portaudio()
    with _open_streams_lock:
        if _open_streams == 0:
            with silence_stderr():
                if sounddevice._initialized:  # private names, but the documented way
                    sounddevice._terminate()
                sounddevice._initialize()


@contextlib.contextmanager
def silence_stderr() -> Iterator[None]:
    """In the `with` block, discard what C code writes to standard error, so that sound libraries print nothing.

    Their errors are also in their return values.
    """
    stderr = 2
    stderr_copy = os.dup(stderr)
    try:
        with open(os.devnull, "w") as null_device:  # noqa: PTH123 — a device, not a path
            os.dup2(null_device.fileno(), stderr)
        yield
    finally:
        os.dup2(stderr_copy, stderr)
        os.close(stderr_copy)

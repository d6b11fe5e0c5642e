"""Named sounds: sections and jingles that a person gave a name, for the engine to recognise in later runs.

The engine gets a `NamedSounds` when an epoch begins and never changes it. Names given meanwhile go into the store
(`streamseg.live.name_store`) and are passed with the next epoch, so that the same samples with the same named sounds
give the same events.
"""

from __future__ import annotations

import hashlib
from io import BytesIO
from typing import Any, Literal, TypeAlias
from zipfile import BadZipFile

import msgspec
import numpy as np
from numpy.typing import NDArray

NamedSoundKind: TypeAlias = Literal["section", "cue"]


class NamedSound(msgspec.Struct, frozen=True, kw_only=True):
    """A section or a jingle that a person gave a name.

    kind: `section`, the descriptor of a section whose label has the name; `cue`, the fingerprint of a jingle.
    content: arrays as `pack_arrays` packs them, different for each kind (`SectionDescriptor.to_bytes`,
    `Fingerprint.to_bytes`).
    """

    name: str
    kind: NamedSoundKind
    content: bytes


class NamedSounds(msgspec.Struct, frozen=True):
    """All named sounds, in the order in which they were named."""

    entries: tuple[NamedSound, ...] = ()

    @property
    def hash(self) -> str:
        """The hash of all sounds and names, twelve hex digits; `none` when there are none."""
        if not self.entries:
            return "none"
        return hashlib.sha256(msgspec.msgpack.encode(self.entries)).hexdigest()[:12]

    def of_kind(self, kind: NamedSoundKind) -> tuple[NamedSound, ...]:
        """The named sounds of one kind."""
        return tuple(entry for entry in self.entries if entry.kind == kind)


def pack_arrays(**arrays: NDArray[Any]) -> bytes:
    """Pack arrays into bytes, a compressed npz archive; the same arrays give the same bytes."""
    file = BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # its stubs take a flag of that name for an array
    return file.getvalue()


def unpack_arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """Unpack the bytes of `pack_arrays` into arrays by name. Raises ValueError when they are something else."""
    try:
        with np.load(BytesIO(content), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, EOFError, KeyError, TypeError, AttributeError, BadZipFile) as error:
        raise ValueError(f"no packed arrays: {error}") from None

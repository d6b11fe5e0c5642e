"""Named sounds: sections and jingles that a person named, and that the engine recognises in later runs.

The engine gets a `NamedSounds` when an epoch begins and never changes it. Names given meanwhile go into the store
(`streamseg.live.name_store`) and are passed with the next epoch, so that the same samples with the same named sounds
give the same events.
"""

from __future__ import annotations

import hashlib
from typing import Literal, TypeAlias

import msgspec

NamedSoundKind: TypeAlias = Literal["section", "cue"]


class NamedSound(msgspec.Struct, frozen=True, kw_only=True):
    """A section or a jingle that a person named: the name, and the data by which the sound is recognised.

    kind: `section` for a section descriptor, whose label gets the name; `cue` for the fingerprint of a jingle.
    content: arrays as `pack_arrays` packs them, different for each kind (`SectionDescriptor.to_bytes`,
    `Fingerprint.to_bytes`).
    """

    name: str
    kind: NamedSoundKind
    content: bytes


class NamedSounds(msgspec.Struct, frozen=True):
    """The named sounds that the engine is to recognise, in the order in which they were named."""

    entries: tuple[NamedSound, ...] = ()

    @property
    def hash(self) -> str:
        """Hash of all names and sounds, twelve hex digits; the text `none` when there are no named sounds."""
        if not self.entries:
            return "none"
        return hashlib.sha256(msgspec.msgpack.encode(self.entries)).hexdigest()[:12]

    def of_kind(self, kind: NamedSoundKind) -> tuple[NamedSound, ...]:
        """Return the named sounds of one kind (`section`, or `cue` for jingles), in the order of naming."""
        return tuple(entry for entry in self.entries if entry.kind == kind)

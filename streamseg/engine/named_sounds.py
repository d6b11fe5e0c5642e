"""What is remembered from one run to the next: sounds that somebody gave a name.

The engine is handed a `NamedSounds` when an epoch begins and never changes it. What listeners teach meanwhile goes into
the store (`streamseg.live.name_store`) and is handed over with the next epoch, so that the same samples under the
same memory give the same events.
"""

from __future__ import annotations

import hashlib
from typing import Literal, TypeAlias

import msgspec

NamedSoundKind: TypeAlias = Literal["section", "cue"]


class NamedSound(msgspec.Struct, frozen=True, kw_only=True):
    """One sound with its name.

    kind: `section`, what a section with a named label sounded like; `cue`, a short sound found again note for note.
    content: arrays as `pack_arrays` packs them; what they are, only the engine's room for the kind knows.
    """

    name: str
    kind: NamedSoundKind
    content: bytes


class NamedSounds(msgspec.Struct, frozen=True):
    """Everything remembered, in the order in which it was taught."""

    entries: tuple[NamedSound, ...] = ()

    @property
    def hash(self) -> str:
        """Twelve hex digits that differ when anything differs; `none` when there is nothing."""
        if not self.entries:
            return "none"
        return hashlib.sha256(msgspec.msgpack.encode(self.entries)).hexdigest()[:12]

    def of_kind(self, kind: NamedSoundKind) -> tuple[NamedSound, ...]:
        """What is remembered of one kind."""
        return tuple(entry for entry in self.entries if entry.kind == kind)

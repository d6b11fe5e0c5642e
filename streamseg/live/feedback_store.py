"""What the listeners of this installation taught, kept in one small file.

All streams of a process share one book. It is read when an epoch begins and written when somebody marks a boundary,
so a lesson is in force from the next epoch on, in this process or another.
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import get_args

import msgspec

from streamseg.destinations import convert_write_errors, make_folder, write_atomically
from streamseg.engine.boundaries.feedback import FeedbackModel, FeedbackObservation, fit_feedback
from streamseg.errors import UsageError
from streamseg.settings import Profile

_MAX_OBSERVATIONS = 500  # of one profile; the oldest are forgotten
_SAME_BOUNDARY_S = 1.0  # marks nearer than this in one epoch speak of one boundary, and the later one holds


class StoredObservation(
    FeedbackObservation, frozen=True, kw_only=True, rename={"distances": "moved", "is_boundary": "right"}
):
    """A mark, and where it was made."""

    epoch: str
    t: float


class FeedbackStore:
    """The marks of each profile, oldest first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()  # several streams learn, each in its own thread

    def observations(self, profile: Profile) -> list[StoredObservation]:
        """Those of one profile. Raises AskedWrongly when the file is damaged."""
        return self.read_all().get(profile, [])

    def fit_model(self, profile: Profile) -> FeedbackModel | None:
        """What the marks amount to. Raises AskedWrongly when the file is damaged."""
        return fit_feedback(self.observations(profile))

    def add_observation(self, profile: Profile, mark: StoredObservation) -> None:
        """Keep one more mark. Raises OutputFailed when it cannot be written."""
        with self._lock:
            everything = self.read_all()
            others = [
                kept
                for kept in everything.get(profile, [])
                if kept.epoch != mark.epoch or abs(kept.t - mark.t) > _SAME_BOUNDARY_S
            ]
            everything[profile] = [*others, mark][-_MAX_OBSERVATIONS:]
            self._write_all(everything)

    def delete_all(self) -> int:
        """Unlearn everything; how many marks there were. Works on a damaged file of lessons too.

        Raises AskedWrongly when the file is something else, OutputFailed when it cannot be removed.
        """
        count = 0
        try:
            count = sum(len(marks) for marks in self.read_all().values())
        except UsageError:
            if not self.path.is_file() or not _is_lessons(self.path.read_bytes()):
                raise UsageError(f"{self.path} holds no lessons and is left as it is") from None
        else:
            if not count:
                return 0
        with convert_write_errors(self.path):
            self.path.unlink(missing_ok=True)
        return count

    def read_all(self) -> dict[Profile, list[StoredObservation]]:
        """All marks by profile. Raises AskedWrongly when the file is damaged."""
        try:
            if self.path.exists() and not self.path.is_file():  # a device may never end
                raise UsageError(f"{self.path} is not a file; name another with --lessons")
            return msgspec.json.decode(self.path.read_bytes(), type=dict[Profile, list[StoredObservation]])
        except FileNotFoundError:
            return {}
        except (msgspec.DecodeError, OSError) as error:
            raise UsageError(
                f"cannot read the lessons in {self.path} ({error}); `streamseg lessons --forget` begins anew"
            ) from None

    def _write_all(self, everything: dict[Profile, list[StoredObservation]]) -> None:
        make_folder(self.path.parent)
        with write_atomically(self.path, replace=True) as file:  # whoever reads meanwhile finds the old or the new one
            file.write(msgspec.json.encode(everything))


def _is_lessons(content: bytes) -> bool:
    """Whether a file holds lessons, or did before it was damaged: it begins with a profile and its marks."""
    profiles = get_args(Profile)
    try:
        known = msgspec.json.decode(content, type=dict[str, list[msgspec.Raw]])
    except (msgspec.DecodeError, UnicodeDecodeError):
        start = bytes(content[:40]).replace(b" ", b"")
        return any(start.startswith(f'{{"{profile}":['.encode()) for profile in profiles)
    return known.keys() <= set(profiles)

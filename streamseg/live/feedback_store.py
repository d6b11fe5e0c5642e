"""The feedback store: clients' marks of right, wrong and missed boundaries, in one JSON file (`lessons.json`).

All streams of a process share one store. A session reads it when an epoch begins and writes it when a client marks a
boundary, so a mark has effect from the next epoch on, in this process or another.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from threading import Lock
from typing import get_args

import msgspec

from streamseg.atomic_files import convert_write_errors, make_folder, write_atomically
from streamseg.engine.boundaries.feedback import FeedbackModel, FeedbackObservation, fit_feedback_model
from streamseg.errors import UsageError
from streamseg.settings import Profile

_MAX_OBSERVATIONS = 500  # of one profile; the oldest are dropped
_SAME_BOUNDARY_S = 1.0  # marks at most this far apart in one epoch are of one boundary; the later replaces the earlier


class StoredObservation(
    FeedbackObservation, frozen=True, kw_only=True, rename={"distances": "moved", "is_boundary": "right"}
):
    """A boundary that a client marked as right, wrong or missed, with the feature changes measured at that boundary.

    epoch: the run of the stream in which the mark was made. t: stream time of the boundary, seconds.
    """

    epoch: str
    t: float


class FeedbackStore:
    """Reads and writes the JSON file of observations: boundaries that clients marked as right, wrong or missed.

    It keeps the newest 500 of each profile.
    """

    def __init__(self, path: Path) -> None:
        """path: the file; it is created when the first observation is added."""
        self.path = path
        self._lock = Lock()  # the streams of a process write it, each from its own thread

    def list_observations(self, profile: Profile) -> list[StoredObservation]:
        """Return the observations of one profile, the oldest first. Raises UsageError when the file is damaged."""
        return self.read_all().get(profile, [])

    def fit_model(self, profile: Profile) -> FeedbackModel | None:
        """Return the feedback model fitted to the observations of one profile; None if there are no observations.

        Raises UsageError when the file is damaged.
        """
        return fit_feedback_model(self.list_observations(profile))

    def add_observation(self, profile: Profile, observation: StoredObservation) -> None:
        """Add an observation to the file; it replaces an earlier one of the same boundary (same epoch, within 1 s).

        Raises UsageError when the file is damaged, OutputError when it cannot be written.
        """
        with self._lock:
            observations = self.read_all()
            others = [
                other
                for other in observations.get(profile, [])
                if other.epoch != observation.epoch or abs(other.t - observation.t) > _SAME_BOUNDARY_S
            ]
            observations[profile] = [*others, observation][-_MAX_OBSERVATIONS:]
            self._write_all(observations)

    def delete_all(self) -> int:
        """Delete the file of observations, even a damaged one; return the number of observations read from it before.

        A file without observations stays.

        Raises UsageError when the file is not a feedback file, OutputError when it cannot be deleted.
        """
        count = 0
        try:
            count = sum(len(marks) for marks in self.read_all().values())
        except UsageError:
            if not self.path.is_file() or not _is_feedback(self.path.read_bytes()):
                raise UsageError(f"{self.path} is not a feedback file and was not deleted") from None
        else:
            if not count:
                return 0
        with convert_write_errors(self.path):
            self.path.unlink(missing_ok=True)
        return count

    def read_all(self) -> dict[Profile, list[StoredObservation]]:
        """Return {profile: its observations, the oldest first}; empty when there is no file.

        Raises UsageError when the file is damaged.
        """
        try:
            if self.path.exists() and not self.path.is_file():  # reading a device may never end
                raise UsageError(f"{self.path} is not a file; name another with --lessons")
            return msgspec.json.decode(self.path.read_bytes(), type=dict[Profile, list[StoredObservation]])
        except FileNotFoundError:
            return {}
        except (msgspec.DecodeError, OSError) as error:
            raise UsageError(
                f"cannot read the feedback in {self.path} ({error}); "
                f"`streamseg feedback --forget --lessons {shlex.quote(str(self.path))}` deletes it"
            ) from None

    def _write_all(self, observations: dict[Profile, list[StoredObservation]]) -> None:
        make_folder(self.path.parent)
        with write_atomically(self.path, replace=True) as file:  # a reader finds either the old file or the new one
            file.write(msgspec.json.encode(observations))


def _is_feedback(content: bytes) -> bool:
    """Whether a file holds observations, or did before it was damaged: it starts with a profile and its list."""
    profiles = get_args(Profile)
    try:
        content_by_profile = msgspec.json.decode(content, type=dict[str, list[msgspec.Raw]])
    except (msgspec.DecodeError, UnicodeDecodeError):
        start = bytes(content[:40]).replace(b" ", b"")
        return any(start.startswith(f'{{"{profile}":['.encode()) for profile in profiles)
    return content_by_profile.keys() <= set(profiles)

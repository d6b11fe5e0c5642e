"""The program of the decoding child: started as a process, and spoken to by its parent's protocol."""

import contextlib
import os
import select
import signal
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from streamseg.decoding import slots
from streamseg.sources.decoder import CPU_WITHOUT_SOUND_S, MEMORY_BYTES

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="descriptors are inherited, and read by select")

START = "from streamseg.decoding.child_process import main; main()"
RATE = 8_000
SOON_S = 20.0
WHILE_S = 0.3


class Child:
    """A child that decodes one file, with the pipes and the memory that its parent has."""

    def __init__(self, path, memory_bytes=MEMORY_BYTES, cpu_s=CPU_WITHOUT_SOUND_S):
        self.slots, handle = slots.create_slots()
        self.process = subprocess.Popen(
            [sys.executable, "-c", START, str(path), handle, str(memory_bytes), str(cpu_s)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, pass_fds=[int(handle)],
        )  # fmt: skip
        os.close(int(handle))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()
        self.slots.close()

    def line(self, patience_s=SOON_S):
        """The next line; None if none comes in time."""
        if not select.select([self.process.stdout], [], [], patience_s)[0]:
            return None
        return self.process.stdout.readline().decode().rstrip("\n")

    def free_slot(self):
        with contextlib.suppress(BrokenPipeError):  # the child may have ended, as the parent knows
            self.process.stdin.write(b"\0")

    def samples(self, number, count):
        return np.frombuffer(self.slots.get_slot(number), np.float32, count).copy()


@pytest.fixture(scope="module")
def seven(tmp_path_factory):
    """Seven seconds of stereo; one block each."""
    path = tmp_path_factory.mktemp("sound") / "seven.wav"
    soundfile.write(path, np.random.default_rng(1).uniform(-1, 1, (7 * RATE, 2)), RATE, subtype="FLOAT")
    return path


def test_the_slots_are_used_in_turn_and_none_before_the_parent_has_emptied_it(seven):
    expected = soundfile.read(seven, dtype="float32")[0].reshape(-1)
    frames = []
    got = []
    with Child(seven) as child:
        assert child.line() == f"format {RATE} 2"
        frames += [int(child.line().removeprefix("block ")) for _ in range(slots.SLOT_COUNT)]
        assert child.line(WHILE_S) is None  # all four are full
        got.append(child.samples(0, 2 * frames[0]))
        child.free_slot()
        frames.append(int(child.line().removeprefix("block ")))
        assert child.line(WHILE_S) is None
        for number in range(1, 20):
            got.append(child.samples(number, 2 * frames[number]))
            child.free_slot()
            line = child.line()
            if line.startswith("end"):
                break
            frames.append(int(line.removeprefix("block ")))
        got += [child.samples(later, 2 * frames[later]) for later in range(number + 1, len(frames))]
        assert line == "end complete"
        assert child.line() == ""
        assert child.process.wait(SOON_S) == 0
    assert len(frames) == 7
    np.testing.assert_array_equal(np.concatenate(got), expected)


def test_a_block_that_no_slot_holds_comes_in_parts(tmp_path):
    """Of 100 channels a slot holds less than a packet of FFmpeg adds."""
    path = tmp_path / "wide.wav"
    whole = np.random.default_rng(2).uniform(-1, 1, (20_000, 100)).astype(np.float32)
    soundfile.write(path, whole, 192_000, subtype="FLOAT")
    got = []
    with Child(path) as child:
        assert child.line() == "format 192000 100"
        while (line := child.line()).startswith("block"):
            frames = int(line.removeprefix("block "))
            assert frames * 400 <= slots.SLOT_BYTES
            got.append(child.samples(len(got), 100 * frames))
            child.free_slot()
    assert line == "end complete"
    np.testing.assert_array_equal(np.concatenate(got).reshape(-1, 100), whole)


def test_a_parent_that_ends_takes_the_waiting_child_with_it(seven):
    with Child(seven) as child:
        assert child.line().startswith("format")
        child.process.stdin.close()
        assert child.process.wait(SOON_S) == 1


def test_a_parent_that_no_longer_reads_ends_the_child_without_a_complaint(seven):
    with Child(seven) as child:
        assert child.line().startswith("format")
        while child.line(WHILE_S):
            pass
        child.process.stdout.close()
        child.free_slot()
        assert child.process.wait(SOON_S) == 1
        assert child.process.stderr.read() == b""


def test_ctrl_c_in_the_terminal_is_the_parents_to_handle(seven):
    with Child(seven) as child:
        assert child.line().startswith("format")
        child.process.send_signal(signal.SIGINT)
        lines = []
        while line := child.line():
            lines.append(line)
            child.free_slot()
        assert child.process.wait(SOON_S) == 0
    assert lines[-1] == "end complete"


def test_a_fault_of_the_program_itself_is_reported_as_the_streams_error(seven):
    with Child(seven, cpu_s="soon") as child:
        assert child.line().startswith("end failed cannot be decoded: ValueError: invalid literal")
        assert child.process.wait(SOON_S) == 0

"""A file that cannot be decoded costs no earlier result."""

from pathlib import Path

import pytest

from tools.command import run


@pytest.mark.parametrize("format_", ["jsonl", "cue", "jams"])
def test_force_keeps_the_earlier_result(format_, tmp_path: Path):
    (noise := tmp_path / "noise.mp3").write_bytes(bytes(range(1, 256)) * 20)
    (result := tmp_path / "result").write_text("of an earlier run")
    done = run("analyze", noise, "--format", format_, "-o", result, "--force")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"streamseg: {noise}")
    assert result.read_text() == "of an earlier run"

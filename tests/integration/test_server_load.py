"""A few seconds of each harness of `load/`; run whole, they are commands of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.load import fan_out, full_disk, fuzz, kill_storm


async def test_killed_servers_and_cut_connections_lose_nothing(tmp_path):
    options = kill_storm.parser().parse_args(["--kills", "2", "--drops", "15", "--listeners", "4", "--life-s", "2"])
    found = await kill_storm.storm(options, tmp_path)
    assert not kill_storm.failed(found), found
    assert found["kills"] == 2
    assert found["connections"] > 4  # they came back
    assert found["compared"] > 50


def test_a_server_killed_on_a_full_disk_deceives_nobody():
    command = [sys.executable, "-m", "tools.load.full_disk", "--rounds", "3"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=240)
    if done.returncode == full_disk.NOT_ALLOWED:
        assert sys.platform != "linux" or os.geteuid() != 0, f"root must be able to mount a tmpfs: {done.stderr}"
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr + done.stdout
    assert json.loads(done.stdout)["kills_while_full"] == 2


def test_a_hundred_clients_get_everything():
    options = fan_out.parser().parse_args(["--clients", "100", "--events-per-s", "20", "--seconds", "1", "--bare"])
    bare, ours = fan_out.main(options)
    assert ours["delivered_fraction"] == 1
    assert ours["closed"] == 0
    # Loose here, where everything else runs too; the harness alone measures it.
    assert ours["cpu_us_per_message"] < 4 * bare["cpu_us_per_message"]
    assert ours["kib_per_idle_client"] < 60


def test_stalled_clients_cost_little():
    options = fan_out.parser().parse_args(
        ["--clients", "60", "--events-per-s", "100", "--seconds", "2", "--pad", "8000"]
    )
    run = fan_out.measure(options, bare=False, stalled=20)
    assert run["delivered_fraction"] == 1
    assert run["rss_growth_kib"] < 20 * 1024 + 8192


def test_fuzzed_frames():
    found = fuzz.frames(20_000, seed=2)
    assert found["longest_ms"] < 1000
    assert {"CloseConnectionAction", "HandleRequestAction", "JoinStreamsAction", "SendMessageAction"} <= set(
        found["outcomes"]
    )


async def test_fuzzed_handshakes():
    found = await fuzz.handshakes(100, seed=3)
    assert any(status.startswith("HTTP/1.1 101") for status in found["answers"])

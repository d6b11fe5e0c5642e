"""What we use of other packages beyond what they promise: each test names the place to look at when it changes.

Such a package has an upper bound in pyproject.toml. Where a test here fails with a new version: mend the place that the
message names, then raise the bound.
"""

import importlib.metadata
import inspect
import io
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numba
import pytest
import typer
import websockets.asyncio.client
import websockets.asyncio.server
from msgspec import Meta
from packaging.requirements import Requirement
from rich.console import Console
from rich.panel import Panel
from rich.text import Text
from typer.testing import CliRunner

from streamseg.cli.app import app
from streamseg.cli.console import SanitisingConsole
from streamseg.engine import kernels
from streamseg.server.limits import LimitedConnection, make_limited_connection_class
from streamseg.server.protocol import _error_code_of
from streamseg.settings import ServerSettings
from streamseg.wire import frames
from streamseg.wire import requests as r
from streamseg.wire.codes import CloseCode, RequestErrorCode

BOUNDED = {"msgspec", "numba", "pydub", "rich", "river", "sounddevice", "typer", "websockets"}
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
NEEDS = {need.name: need for need in map(Requirement, tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"])}


@pytest.mark.parametrize("name", sorted(BOUNDED))
def test_what_is_known_from_inside_has_an_upper_bound_and_is_within_it(name):
    assert any(bound.operator == "<" for bound in NEEDS[name].specifier), f"{name} has no upper bound in {PYPROJECT}"
    version = importlib.metadata.version(name)
    assert version in NEEDS[name].specifier, (
        f"{name} {version} is not {NEEDS[name].specifier}: look at this file's tests"
    )


def changed(part: str, what: str, place: str) -> str:
    version = importlib.metadata.version(part)
    return f"{part} {version} changed {what}; look at {place}, then at the bound in pyproject.toml"


# --- websockets: streamseg/server/limits.py, client.py and websocket.py


@pytest.mark.parametrize("name", ["connection_made", "connection_lost", "data_received", "send_data", "process_event"])
def test_websockets_has_what_a_visitor_overrides(name):
    ours, theirs = getattr(LimitedConnection, name), getattr(websockets.asyncio.server.ServerConnection, name, None)
    why = changed("websockets", f"ServerConnection.{name}", "streamseg/server/limits.py (Visitor)")
    assert theirs is not None, why
    assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters), why


async def test_websockets_calls_what_a_visitor_overrides_and_has_what_a_client_touches():
    called, seen = set(), []

    class Counted(make_limited_connection_class(ServerSettings())):
        def connection_made(self, transport):
            called.add("connection_made")
            super().connection_made(transport)

        def data_received(self, data):
            called.add("data_received")
            super().data_received(data)

        def process_event(self, event):
            called.add("process_event")
            super().process_event(event)

        def send_data(self):
            called.add("send_data")
            super().send_data()

    async def converse(connection):
        await connection.recv()
        why = changed("websockets", "a connection's insides", "streamseg/server/connection.py and websocket.py")
        assert connection.request is not None, why
        assert connection.protocol.state is websockets.protocol.State.OPEN, why
        assert connection.protocol.eof_sent is False, why
        assert connection.transport.get_write_buffer_size() == 0, why
        assert connection.protocol.data_to_send() == [], why
        await connection.drain()
        seen.append(why)
        connection.transport.write(frames.make_text_frame(b"beside it"))  # a frame of our own, past the library
        connection.protocol.send_close(CloseCode.SLOW, "too slow")
        connection.send_data()
        assert connection.protocol.state is websockets.protocol.State.CLOSING, why

    async with websockets.asyncio.server.serve(
        converse, "127.0.0.1", 0, create_connection=Counted, compression=None
    ) as server:
        port = server.sockets[0].getsockname()[1]
        async with websockets.asyncio.client.connect(f"ws://127.0.0.1:{port}", compression=None, proxy=None) as client:
            await client.send("hello")
            assert await client.recv() == "beside it"
            with pytest.raises(websockets.exceptions.ConnectionClosed) as closed:
                await client.recv()
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4308, "too slow")
    assert seen
    missing = {"connection_made", "data_received", "process_event", "send_data"} - called
    assert not missing, changed("websockets", f"who calls {missing}", "streamseg/server/limits.py (Visitor)")


# --- msgspec: the sentences that server/protocol.py (_refusal) tells apart


class Asked(msgspec.Struct):
    n: int
    short: Annotated[str, Meta(max_length=2)] = ""
    low: Annotated[float, Meta(le=1)] = 0.0
    word: Literal["a", "b"] = "a"


FAULTS = [
    ({}, RequestErrorCode.MISSING_FIELD),
    ({"n": "x"}, RequestErrorCode.WRONG_TYPE),
    ({"n": None}, RequestErrorCode.WRONG_TYPE),
    ({"n": 1, "short": 1}, RequestErrorCode.WRONG_TYPE),
    ({"n": 1, "word": []}, RequestErrorCode.WRONG_TYPE),
    ({"n": 1, "short": "abc"}, RequestErrorCode.WRONG_VALUE),
    ({"n": 1, "low": 2.0}, RequestErrorCode.WRONG_VALUE),
    ({"n": 1, "word": "Object missing required field"}, RequestErrorCode.WRONG_VALUE),
    ({"n": 1, "word": "Expected `int`, got `str`"}, RequestErrorCode.WRONG_VALUE),
]


@pytest.mark.parametrize(("asked", "refusal"), FAULTS)
def test_msgspec_tells_faults_apart_by_its_sentences(asked, refusal):
    with pytest.raises(msgspec.ValidationError) as fault:
        msgspec.convert(asked, Asked)
    why = changed("msgspec", f"its sentence to {str(fault.value)!r}", "streamseg/server/protocol.py (_refusal)")
    assert _error_code_of(fault.value) is refusal, why


def test_msgspec_lets_a_struct_refuse_a_value():
    with pytest.raises(msgspec.ValidationError, match="visible"):
        msgspec.convert({"stream": "s", "label": "A", "name": " "}, r.NameLabelRequest)


# --- numba: streamseg/engine/kernels.py


def test_numba_keeps_kernels_as_we_know_it():
    def twice(x: float) -> float:
        return 2 * x

    place = "streamseg/engine/kernels.py (_kept, KEPT, and the options above)"
    cache = getattr(numba.njit(twice, cache=True), "_cache", None)
    assert hasattr(cache, "_index_key"), changed("numba", "Dispatcher._cache._index_key", place)
    files = getattr(cache, "_cache_file", None)
    for name in ("_load_index", "_load_data"):
        assert hasattr(files, name), changed("numba", f"Dispatcher._cache._cache_file.{name}", place)
    parameters = list(inspect.signature(cache._index_key).parameters)
    assert parameters == ["sig", "codegen"], changed("numba", "what _index_key takes", place)
    assert hasattr(getattr(kernels._empty_kernel, "_cache", None), "_index_key") == kernels.CACHE_IS_WRITABLE


def test_numba_knows_the_options_that_make_starting_fast():
    place = "streamseg/engine/kernels.py (_NOTHING_ALLOCATED, _NOT_FOR_PYTHON)"
    assert hasattr(numba.config, "SLP_VECTORIZE"), changed("numba", "config.SLP_VECTORIZE", place)
    from numba.core.cpu import CPUTargetOptions

    for name in ("_nrt", "no_cpython_wrapper", "no_cfunc_wrapper", "nogil", "error_model"):
        assert hasattr(CPUTargetOptions, name), changed("numba", f"the option {name}", place)


# --- sounddevice: streamseg/sources/devices.py


def test_sounddevice_can_be_started_anew():
    try:
        import sounddevice
    except OSError as missing:
        pytest.skip(f"no PortAudio: {missing}")
    for name in ("_initialized", "_initialize", "_terminate"):
        assert hasattr(sounddevice, name), changed("sounddevice", name, "streamseg/sources/devices.py (rescan)")
    assert isinstance(sounddevice._initialized, int)


# --- river: streamseg/engine/labels/river_clusterers.py


def test_river_shows_its_centres():
    from river import cluster

    place = "streamseg/engine/labels/river_clusterers.py (_kmeans, _read_centres, _last_seen)"
    model = cluster.KMeans(n_clusters=2, seed=1)
    model.centers[0].update({0: 1.0})
    assert model.predict_one({0: 1.0}) == 0, changed("river", "KMeans.centers", place)
    dense = cluster.DenStream(n_samples_init=4, epsilon=1.0, mu=2.0)
    for value in (0.0, 0.1, 0.0, 0.1, 0.0):
        dense.learn_one({0: value})
    (found,) = dense.p_micro_clusters.values()
    assert set(found.center) == {0}, changed("river", "DenStream.p_micro_clusters", place)


# --- rich and typer: streamseg/cli/console.py and app.py


def test_rich_renders_everything_through_one_method_and_one_file():
    rendered = []

    class Watched(Console):
        def render(self, renderable, options=None):
            for segment in super().render(renderable, options):
                rendered.append(segment.text)
                yield segment

    place = "streamseg/cli/console.py (SanitisingConsole)"
    console = Watched(file=io.StringIO(), width=40)
    console.print("a string", Text("a text"), Panel("inside", title="above"))
    for words in ("a string", "a text", "inside", "above"):
        assert any(words in text for text in rendered), changed("rich", f"the way of {words!r}", place)
    assert isinstance(inspect.getattr_static(Console, "file"), property), changed("rich", "Console.file", place)
    written = io.StringIO()
    SanitisingConsole(file=written).print("one\x1b[31m")
    assert written.getvalue() == "one�[31m\n"


def test_typer_raises_usage_errors_of_its_own_with_a_message():
    place = "streamseg/cli/app.py (_Commands)"
    command = typer.main.get_command(app)
    for words in (["nonsense"], ["--nonsense"], ["export", "--nonsense"], ["export", "x", "--format", "nonsense"]):
        with pytest.raises(Exception, match="nonsense") as raised:
            command.main(words, standalone_mode=False)
        module = type(raised.value).__module__.split(".")[0]
        assert module in ("typer", "click"), changed("typer", "where its errors live", place)
        assert isinstance(raised.value.message, str), changed("typer", "an error's message", place)
        assert CliRunner().invoke(app, words).exit_code == 2, changed("typer", "how it answers errors", place)


def test_typer_answers_a_reader_that_went_away():
    gone = "import os, sys; r, w = os.pipe(); os.close(r); os.dup2(w, 1); sys.argv = ['streamseg', '--help']\n"
    run = "from streamseg.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", gone + run], capture_output=True, text=True, timeout=60, check=False, env=os.environ
    )
    assert (done.returncode, done.stderr) == (1, ""), changed("typer", "EPIPE", "streamseg/cli/__init__.py and app.py")


# --- pydub: streamseg/outputs/split.py


def test_pydub_has_what_cutting_uses():
    from pydub import AudioSegment

    place = "streamseg/outputs/split.py (_cut)"
    parameters = inspect.signature(AudioSegment.from_file).parameters
    assert {"start_second", "duration"} <= set(parameters), changed("pydub", "from_file", place)
    assert hasattr(AudioSegment, "get_sample_slice"), changed("pydub", "get_sample_slice", place)

"""Names are checked where they are taken: over the WebSocket, by commands, and by the file that keeps them."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from streamseg.cli.app import app
from streamseg.engine.named_sounds import NamedSound
from streamseg.errors import UsageError
from streamseg.live.name_store import NameStore
from streamseg.server.protocol import _error_code_of
from streamseg.sources import parse_source
from streamseg.wire import requests as r
from streamseg.wire.codes import RequestErrorCode
from streamseg.wire.label_names import MAX_NAME_BYTES, check_and_normalise_name

GOOD = {
    "Chorus": "Chorus",
    " News at noon ": "News at noon",
    "Cafe\u0301": "Café",  # as macOS types it
    "👩\u200d🎤 שיר": "👩\u200d🎤 שיר",
    "x" * MAX_NAME_BYTES: "x" * MAX_NAME_BYTES,
    "=1+1": "=1+1",
}
BAD = {
    "": "visible",
    " \t ": "visible",
    "\u200b\u00a0": "visible",
    "a\nb": "control characters",
    "a\x00": "control characters",
    "\x1b[31mred": "control characters",
    "a\x9bb": "control characters",
    "\u202etxt.exe": "control characters",
    "\ud800": "control characters",
    "é" * (MAX_NAME_BYTES // 2 + 1): "202",
    "🎵" * 51: "204",
}


@pytest.mark.parametrize(("given_", "kept"), GOOD.items())
def test_good_names(given_, kept):
    assert check_and_normalise_name(given_) == kept


@pytest.mark.parametrize(("name", "why"), BAD.items(), ids=range(len(BAD)))
def test_bad_names_say_why(name, why):
    with pytest.raises(UsageError, match=why) as refused:
        check_and_normalise_name(name)
    str(refused.value).encode()


@given(st.text(st.characters(), max_size=220))
def test_a_checked_name_stays_as_it_is_checked_again(name):
    try:
        checked = check_and_normalise_name(name)
    except UsageError:
        return
    assert check_and_normalise_name(checked) == checked
    assert 0 < len(checked.encode()) <= MAX_NAME_BYTES


@pytest.mark.parametrize("name", [name for name in BAD if name and len(name) <= 200 and name != "\ud800"])
def test_a_client_that_sends_a_bad_name_is_refused_its_value(name):
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert({"stream": "mic", "label": "A", "name": name, "type": "name"}, r.NameLabelRequest)
    assert _error_code_of(refused.value) is RequestErrorCode.WRONG_VALUE


def test_a_client_s_name_is_composed():
    asked = msgspec.convert({"stream": "mic", "label": "A", "name": " Cafe\u0301", "type": "name"}, r.NameLabelRequest)
    assert asked.name == "Café"


def test_what_a_client_sends_does_not_choose_the_refusal():
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert({"subscribe": ["missing required field"], "type": "subscribe"}, r.SubscribeRequest)
    assert _error_code_of(refused.value) is RequestErrorCode.WRONG_VALUE


def sound(name):
    return NamedSound(name=name, kind="section", content=b"x")


def test_the_memory_keeps_checked_names_only(tmp_path):
    file = NameStore(tmp_path / "memory.sqlite")
    number = file.add_entry(sound(" Cafe\u0301 "))
    for change in (
        lambda: file.add_entry(sound("a\nb")),
        lambda: file.rename_section_entries("Café", "\x1b[2J"),
        lambda: file.replace_entry(number, sound(" ")),
    ):
        with pytest.raises(UsageError):
            change()
    assert [entry.name for entry in file.list_entries()] == ["Café"]
    file.rename_section_entries("Café", "Ba\u0301r")
    assert file.delete_entries("Bár") == 1  # however it is typed


def test_a_name_kept_before_names_were_checked_is_shown_clean_and_can_be_forgotten(tmp_path):
    path = tmp_path / "memory.sqlite"
    file = NameStore(path)
    file.add_entry(sound("good"))
    with file._transaction() as db:
        db.execute("UPDATE remembered SET name=?, stream=?", ("bad\x1b[2J\nname", "\x9bmic"))
    shown = CliRunner().invoke(app, ["names", "--memory", str(path)])
    assert "bad�[2J name" in shown.stdout
    assert not {"\x1b", "\x9b"} & set(shown.stdout)
    assert file.delete_entries("bad�[2J name") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("teach", "no such file.wav", "--name", "\x1b[31m"),
        ("name", "ws://127.0.0.1:1/ws", "A", "two\nlines"),
    ],
)
def test_commands_refuse_a_bad_name_before_anything_else(arguments, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert "control characters" in done.stderr
    assert "\x1b" not in done.stderr


def test_a_stream_s_name_is_a_word(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.wav").touch()
    (tmp_path / "x y=a.wav").touch()
    assert parse_source("studio=a.wav") == ("studio", "a.wav")
    assert parse_source("x y=a.wav") == ("x-y-a", "x y=a.wav")  # a file is the file it is
    for name in ("two words", "\x1b[31m", "", "-x", "é", "x" * 65):
        with pytest.raises(UsageError, match="cannot name a stream") as refused:
            parse_source(f"{name}=a.wav")
        assert "\x1b" not in str(refused.value)


def test_where_no_sound_has_a_name_it_says_how_to_give_one(tmp_path):
    shown = CliRunner().invoke(app, ["names", "--memory", str(tmp_path / "m.sqlite")])
    assert (shown.exit_code, shown.stdout) == (0, "")
    assert "`streamseg teach`" in shown.stderr

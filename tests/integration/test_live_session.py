"""One stream from its source to stamped envelopes, with sources made of lists."""

import numpy as np
import pytest

from streamseg.blocks import Block, Gap, SourceAvailabilityChange, Title
from streamseg.cli.signals import handle_stop_signals
from streamseg.errors import TruncatedSourceError, UsageError
from streamseg.live.session import Session, public_source_name
from streamseg.settings import make_settings
from streamseg.wire.events import Event, LabelNamed, StreamStarted

RATE = 22_050


class Items:
    """A source that gives these items, then fails if it is told to. `between` is called before each."""

    name = "items"
    dropped_samples = 0

    def __init__(self, *items, failure=None, between=lambda n: None):
        self.items = items
        self.failure = failure
        self.between = between
        self.closed = False

    def __iter__(self):
        for n, item in enumerate(self.items):
            self.between(n)
            if self.closed:
                return
            yield item
        if self.failure:
            raise self.failure

    def close(self):
        self.closed = True


def second():
    return Block(np.random.default_rng(0).standard_normal((RATE, 1)).astype(np.float32) / 10, RATE)


def heard(hearing):
    return [envelope for envelopes in hearing for envelope in envelopes]


def kinds(envelopes):
    return [envelope.type.removeprefix("streamseg.").removesuffix(".v1") for envelope in envelopes]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("/srv/secret customer/night.flac", "night.flac"),
        ("takes/1.wav", "1.wav"),
        ("song.ogg", "song.ogg"),
        ("-", "-"),
        ("mic", "mic"),
        ("mic:USB/2", "mic:USB/2"),
        ("https://radio.example/live/stream.mp3", "https://radio.example/live/stream.mp3"),
        ("demo programme", "demo programme"),
    ],
)
def test_listeners_are_told_a_file_name_and_no_folder(source, told):
    items = Items(second())
    items.name = source
    started = heard(Session("s", items, make_settings()))[0].data
    assert started.source == told == public_source_name(source)


def test_what_comes_before_the_first_block_is_not_lost():
    hearing = Session("s", Items(Title("News"), second(), SourceAvailabilityChange("unplugged")), make_settings())
    envelopes = heard(hearing)
    assert [kind for kind in kinds(envelopes) if kind.startswith("stream.")] == [
        "stream.started",
        "stream.title",
        "stream.lost",
        "stream.stopped",
    ]
    assert [envelope.offset for envelope in envelopes] == list(range(1, len(envelopes) + 1))
    assert hearing.failure is None


def test_a_source_without_a_block_says_nothing():
    assert heard(Session("s", Items(), make_settings())) == []


def test_a_failure_is_kept_until_everything_was_said():
    failure = TruncatedSourceError("cut")
    hearing = Session("s", Items(second(), second(), failure=failure), make_settings())
    envelopes = heard(hearing)
    assert envelopes[-1].data.reason == "failed"
    assert envelopes[-1].data.t == 2.0
    assert hearing.failure is failure


def test_finish_says_what_is_pending():
    hearing = Session("s", Items(*[second()] * 5), make_settings())
    hearing.source.between = lambda n: hearing.finish() if n == 3 else None
    envelopes = heard(hearing)
    assert envelopes[-1].data.reason == "stopped"
    assert envelopes[-1].data.t == 3.0
    assert "section.closed" in kinds(envelopes)


def test_reset_begins_a_new_epoch_over_the_same_source():
    hearing = Session("s", Items(*[second()] * 4), make_settings())
    hearing.source.between = lambda n: hearing.request_new_epoch() if n == 2 else None
    envelopes = heard(hearing)
    epochs = list(dict.fromkeys(envelope.epoch for envelope in envelopes))
    assert len(epochs) == 2
    assert epochs == sorted(epochs)
    for epoch, reason, t in zip(epochs, ("reset", "end"), (3.0, 1.0), strict=True):
        run = [envelope for envelope in envelopes if envelope.epoch == epoch]
        assert [envelope.offset for envelope in run] == list(range(1, len(run) + 1))
        assert run[0].type == "streamseg.stream.started.v1"
        assert (run[-1].data.reason, run[-1].data.t) == (reason, t)


def test_a_new_sensitivity_is_in_force_from_the_next_epoch():
    hearing = Session("s", Items(*[second()] * 4), make_settings())

    def between(n: int) -> None:
        if n == 1:
            hearing.set_next_epoch_sensitivity(0.9)
        elif n == 2:
            hearing.request_new_epoch()

    hearing.source.between = between
    started = [envelope.data for envelope in heard(hearing) if isinstance(envelope.data, StreamStarted)]
    assert [fact.settings["sensitivity"] for fact in started] == [0.5, 0.9]
    assert started[0].hashes["settings"] != started[1].hashes["settings"]


def test_what_clients_ask_is_said_in_order_with_the_rest():
    hearing = Session("s", Items(second(), second()), make_settings())
    hearing.source.between = lambda n: hearing.name_label("A", "Chorus", "page") if n == 1 else None
    envelopes = heard(hearing)
    named = next(envelope for envelope in envelopes if isinstance(envelope.data, LabelNamed))
    assert named.event == Event("A", LabelNamed(label="A", name="Chorus", by="page"))
    assert [envelope.offset for envelope in envelopes] == list(range(1, len(envelopes) + 1))


def test_marks_are_refused_where_nothing_learns():
    with pytest.raises(UsageError, match="without lessons"):
        Session("s", Items(), make_settings()).mark_boundary(1.0, "confirm")


def test_the_position_follows_the_sound_and_its_lag():
    late = Block(second().samples, RATE, captured_at=1.0)  # 1970
    hearing = Session("s", Items(late, Gap(RATE, "overflow"), late), make_settings())
    seen = [hearing.progress for _ in hearing]
    assert [position.t for position in seen] == [1.0, 2.0, 3.0, 3.0]
    assert seen[0].lag_s > 1e9
    assert seen[1].lag_s == 0.0
    assert seen[-1].engine_s > 0


def test_signals_are_put_back():
    import signal

    before = signal.getsignal(signal.SIGINT)
    asked = []
    with handle_stop_signals(lambda: asked.append(True)):
        signal.raise_signal(signal.SIGTERM)
    assert asked == [True]
    assert signal.getsignal(signal.SIGINT) is before

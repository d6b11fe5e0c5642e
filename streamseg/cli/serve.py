"""`streamseg serve`: sources to every client, and a page, on one port."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from streamseg.cli.options import (
    HistoryOption,
    LessonsOption,
    LookaheadOption,
    MemoryOption,
    ModelOption,
    NoHistoryOption,
    ProfileOption,
    SensitivityOption,
    SetOption,
    chosen_for_server,
    chosen_model,
    history_path,
    lessonbook,
    memory_file,
)

EXAMPLES = """Examples:

streamseg serve mic

streamseg serve mic:USB studio=night.flac --profile dj

streamseg serve mic --save take.wav

arecord -f cd -t raw | streamseg serve line=-

streamseg serve mic --host 0.0.0.0 --cert cert.pem --key key.pem   (with STREAMSEG_READ_TOKEN set)
"""


def command(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...", help="mic, mic:NAME, a file, or - (raw PCM). NAME=SOURCE names the stream."
        ),
    ],
    host: Annotated[
        str, typer.Option(help="Address to listen on. Any but loopback needs a token and TLS.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8765,
    profile: ProfileOption = "music",
    lookahead: LookaheadOption = None,
    sensitivity: SensitivityOption = None,
    changes: SetOption = None,
    model: ModelOption = None,
    lessons: LessonsOption = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Play files as fast as possible instead of in real time.")
    ] = False,
    stay: Annotated[bool, typer.Option("--stay", help="Serve on after every source has ended, until Ctrl-C.")] = False,
    save: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Keep what comes in: a .wav file, or a folder for several streams."),
    ] = None,
    history: HistoryOption = None,
    no_history: NoHistoryOption = False,
    memory: MemoryOption = None,
    sample_rate: Annotated[
        int | None, typer.Option(min=1, help="Of raw PCM, or asked of the microphone, in Hz.")
    ] = None,
    channels: Annotated[int | None, typer.Option(min=1, help="Of raw PCM, or asked of the microphone.")] = None,
    sample_format: Annotated[Literal["s16le", "s24le", "s32le", "f32le"], typer.Option(help="Of raw PCM.")] = "s16le",
    read_token: Annotated[
        str | None,
        typer.Option(envvar="STREAMSEG_READ_TOKEN", help="Clients must know it to listen; better set by its variable."),
    ] = None,
    control_token: Annotated[
        str | None, typer.Option(envvar="STREAMSEG_CONTROL_TOKEN", help="Clients must know it to change anything.")
    ] = None,
    origin: Annotated[list[str] | None, typer.Option(help="Another page that may connect; may be repeated.")] = None,
    cert: Annotated[Path | None, typer.Option(help="TLS certificate (PEM).")] = None,
    key: Annotated[Path | None, typer.Option(help="TLS key (PEM).")] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Off loopback without TLS: anyone on the way can read.")
    ] = False,
) -> None:
    """Listen to one or more sources and serve what is heard: WebSocket at /ws, a page at /."""
    from streamseg.cli import live, terminal
    from streamseg.cli.hearing import Hearing
    from streamseg.cli.paths import read_files, refuse_capture
    from streamseg.destinations import check_folder, make_folder
    from streamseg.sources import open_source, parse_spec

    engine, server = chosen_for_server(profile, changes, lookahead, sensitivity)
    judge = chosen_model(model)
    kept = history_path(history, none=no_history)
    remembered, book = memory_file(memory, kept), lessonbook(lessons, kept)
    named = [parse_spec(source) for source in sources]
    live.refuse_same_names([name for name, _ in named])
    reads = read_files(
        sounds=[spec for _, spec in named],
        files=[model, cert, key],
        databases=[kept, remembered.path if remembered else None],
        lessons=book.path if book else None,
    )
    captures = [_save_path(save, name, alone=len(named) == 1) for name, _ in named]
    for capture in captures:
        if capture is not None:
            refuse_capture(capture, reads)
    tls = _tls(cert, key)
    if save is not None and save not in captures:
        check_folder(save)
        make_folder(save)
    hearings = [
        Hearing(
            name,
            open_source(
                spec,
                live=True,
                fast=fast,
                save=capture,
                sample_rate=sample_rate,
                channels=channels,
                sample_format=sample_format,
                pcm_advice="do --channels and --sample-format say what was sent?",
            ),
            engine,
            telemetry=True,
            model=judge,
            memory=remembered,
            lessons=book,
        )
        for (name, spec), capture in zip(named, captures, strict=True)
    ]
    if insecure:
        terminal.err.print("--insecure: everything said here, tokens aside, can be read on the way", style="bold red")
    options: dict[str, Any] = {
        "read_token": read_token,
        "control_token": control_token,
        "origins": origin or (),
        "tls": tls,
        "insecure": insecure,
    }
    live.show(hearings, live.Port(host, port, stay=stay, settings=server, history=kept, options=options))


def _save_path(save: Path | None, stream: str, *, alone: bool) -> Path | None:
    from streamseg.errors import AskedWrongly

    if save is None:
        return None
    if save.suffix.lower() == ".wav":
        if not alone:
            raise AskedWrongly(f"several streams cannot be kept in one file {str(save)!r}; name a folder")
        return save
    if save.exists() and not save.is_dir():
        raise AskedWrongly(f"{save} is neither a .wav file nor a folder; what comes in is kept in one of these")
    return save / f"{stream}.wav"


def _tls(cert: Path | None, key: Path | None) -> Any:
    import ssl

    from streamseg.errors import AskedWrongly

    if cert is None:
        if key is not None:
            raise AskedWrongly(
                f"--key {key} was given without --cert, so nothing would be encrypted; name the certificate as well, "
                "or, where one file holds both, that file as --cert"
            )
        return None
    for path in (cert, key):
        if path is not None and path.is_char_device():  # it may never end
            raise AskedWrongly(f"{path} is a device; a certificate and its key are PEM files")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise AskedWrongly(f"cannot use {cert} with {key or cert} for TLS: {error}") from None
    return context

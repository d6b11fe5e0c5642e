"""`streamseg serve`: serves the events of one or more sources to any number of clients, and a page, on one port."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from streamseg.cli.options import (
    FeedbackOption,
    HistoryOption,
    LookaheadOption,
    MemoryOption,
    ModelOption,
    NoHistoryOption,
    ProfileOption,
    SensitivityOption,
    SetOption,
    all_settings_from_options,
    choose_stores,
    load_chosen_model,
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
        str, typer.Option(help="Address to serve on. Any but loopback needs a token and TLS.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to serve on; 0 takes a free one.")] = 8765,
    profile: ProfileOption = "music",
    lookahead: LookaheadOption = None,
    sensitivity: SensitivityOption = None,
    changes: SetOption = None,
    model: ModelOption = None,
    feedback: FeedbackOption = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Play files as fast as possible instead of in real time.")
    ] = False,
    keep_serving: Annotated[
        bool, typer.Option("--stay", help="Go on serving after every source has ended, until Ctrl-C.")
    ] = False,
    save: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Save the sound: a .wav file, or a folder for several streams."),
    ] = None,
    history: HistoryOption = None,
    no_history: NoHistoryOption = False,
    memory: MemoryOption = None,
    sample_rate: Annotated[
        int | None, typer.Option(min=1, help="Sample rate of raw PCM, or to ask of the microphone, in Hz.")
    ] = None,
    channels: Annotated[
        int | None, typer.Option(min=1, help="Channels of raw PCM, or to ask of the microphone.")
    ] = None,
    sample_format: Annotated[
        Literal["s16le", "s24le", "s32le", "f32le"], typer.Option(help="Sample format of raw PCM.")
    ] = "s16le",
    read_token: Annotated[
        str | None,
        typer.Option(
            envvar="STREAMSEG_READ_TOKEN", help="Token that clients need to read; better set by the variable."
        ),
    ] = None,
    control_token: Annotated[
        str | None, typer.Option(envvar="STREAMSEG_CONTROL_TOKEN", help="Token that clients need to change anything.")
    ] = None,
    origin: Annotated[
        list[str] | None, typer.Option(help="Origin of another page that may connect; may be repeated.")
    ] = None,
    cert: Annotated[Path | None, typer.Option(help="TLS certificate, a PEM file.")] = None,
    key: Annotated[Path | None, typer.Option(help="TLS key, a PEM file.")] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Serve on any address without TLS: anyone on the network path can read.")
    ] = False,
) -> None:
    """Serve the events of one or more sources: WebSocket at /ws, a page at /."""
    from streamseg.atomic_files import check_folder_can_be_written, make_folder
    from streamseg.cli import serving, terminal
    from streamseg.cli.paths import collect_inputs, refuse_input_as_capture
    from streamseg.live import Session
    from streamseg.live.supervisor import refuse_duplicate_names
    from streamseg.sources import open_source, parse_source

    settings, server_settings = all_settings_from_options(profile, changes, lookahead, sensitivity)
    classifier = load_chosen_model(model)
    stores = choose_stores(history, memory, feedback, no_history=no_history)
    named_sources = [parse_source(source) for source in sources]
    refuse_duplicate_names([name for name, _ in named_sources])
    inputs = collect_inputs(
        sounds=[spec for _, spec in named_sources],
        files=[model, cert, key],
        databases=stores.database_paths,
        feedback_file=stores.feedback_path,
    )
    captures = [_capture_path(save, name, alone=len(named_sources) == 1) for name, _ in named_sources]
    for capture in captures:
        if capture is not None:
            refuse_input_as_capture(capture, inputs)
    tls = _load_tls(cert, key)
    if save is not None and save not in captures:
        check_folder_can_be_written(save)
        make_folder(save)
    sessions = [
        Session(
            name,
            open_source(
                spec,
                live=True,
                fast=fast,
                save=capture,
                sample_rate=sample_rate,
                channels=channels,
                sample_format=sample_format,
                pcm_advice="do --channels and --sample-format describe what was sent?",
            ),
            settings,
            telemetry=True,
            model=classifier,
            name_store=stores.names,
            feedback_store=stores.feedback,
        )
        for (name, spec), capture in zip(named_sources, captures, strict=True)
    ]
    if insecure:
        terminal.stderr.print(
            "--insecure: anyone on the network path can read all events (tokens are not sent)", style="bold red"
        )
    options: dict[str, Any] = {
        "read_token": read_token,
        "control_token": control_token,
        "origins": origin or (),
        "tls": tls,
        "insecure": insecure,
    }
    serving.run_and_print_sessions(
        sessions,
        serving.ServeOptions(
            host, port, keep_serving=keep_serving, settings=server_settings, history=stores.history, options=options
        ),
    )


def _capture_path(save: Path | None, stream: str, *, alone: bool) -> Path | None:
    from streamseg.errors import UsageError

    if save is None:
        return None
    if save.suffix.lower() == ".wav":
        if not alone:
            raise UsageError(f"several streams cannot be saved in one file {str(save)!r}; name a folder")
        return save
    if save.exists() and not save.is_dir():
        raise UsageError(f"{save} is neither a .wav file nor a folder; give --save one of these")
    return save / f"{stream}.wav"


def _load_tls(cert: Path | None, key: Path | None) -> Any:
    import ssl

    from streamseg.errors import UsageError

    if cert is None:
        if key is not None:
            raise UsageError(
                f"--key {key} was given without --cert, so nothing would be encrypted; name the certificate too, "
                "or, if one file holds both, that file as --cert"
            )
        return None
    for path in (cert, key):
        if path is not None and path.is_char_device():  # reading it may never end
            raise UsageError(f"{path} is a device; a certificate and its key are PEM files")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"cannot use {cert} with {key or cert} for TLS: {error}") from None
    return context

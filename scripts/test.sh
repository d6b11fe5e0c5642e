#!/bin/sh
# All tests, from nothing: installs what is missing, checks format, rules and types, then runs the tests.
# Arguments go to pytest, which then runs one test after another: `sh scripts/test.sh tests/unit/test_ring_buffer.py`.
set -eu
. "$(dirname "$0")/set-up.sh"

has git || install_parts "what belongs to the project" git git
has ffmpeg || install_parts "a foreign program that reads what streamseg writes" ffmpeg ffmpeg
has metaflac && has cuebreakpoints ||
    install_parts "foreign programs that read CUE sheets" "flac cuetools" "flac cuetools"
has chromium || install_parts "the page in a real browser" chromium "--cask chromium"
NODE_PATH=/usr/share/nodejs node -e 'globalThis.WebSocket || require("ws")' 2>/dev/null ||
    install_parts "a foreign client" "nodejs node-ws" node
if [ "$(uname)" = Linux ]; then
    perl -MMojolicious -e 1 2>/dev/null || install_parts "another foreign client" libmojolicious-perl ""
    has_library libatomic || install_parts "what drives the browser" libatomic1 ""
    # elsewhere PortAudio cannot be led to a sound server of our own
    has pulseaudio && has paplay && ls /usr/lib/*/alsa-lib/libasound_module_pcm_pulse.so >/dev/null 2>&1 ||
        install_parts "a virtual sound card" "pulseaudio pulseaudio-utils libasound2-plugins" ""
fi
set_up "[test]"

.venv/bin/ruff format --check --quiet .
.venv/bin/ruff check --quiet .
.venv/bin/mypy
[ $# = 0 ] || exec .venv/bin/pytest "$@"
# All of them: side by side, as many wait for a sound that plays; then those that measure the machine, one by one.
failed=0
.venv/bin/pytest -n auto -m "not alone and not singing" --durations 20 || failed=1
.venv/bin/pytest -m alone || failed=1
exit $failed

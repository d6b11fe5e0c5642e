#!/bin/sh
# The main job, from nothing: installs what is missing, then plays a built-in programme through streamseg.
# Arguments go on: `sh scripts/demo.sh --open`.
set -eu
. "$(dirname "$0")/set-up.sh"

set_up ""
exec .venv/bin/streamseg demo "$@"

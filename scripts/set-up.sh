# What the two commands share: system parts, and a virtual environment with the package. Read by them, not run.

cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin # where ldconfig is, for everybody

has() {
    command -v "$1" >/dev/null
}

has_library() {
    ldconfig -p 2>/dev/null | grep -q "$1" || ls /opt/homebrew/lib/"$1"* /usr/local/lib/"$1"* >/dev/null 2>&1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# install_parts "what for" "Debian packages" "Homebrew's arguments"
install_parts() {
    if has apt-get; then
        echo "installing $2 ($1)"
        [ -n "${packages_listed-}" ] || as_root apt-get update -qq
        packages_listed=yes
        # shellcheck disable=SC2086 # several words each
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $2 >/dev/null
    elif has brew; then
        echo "installing $3 ($1)"
        # shellcheck disable=SC2086
        brew install --quiet $3
    else
        echo "missing: $2 ($1), and neither apt-get nor brew is here to install it" >&2
        exit 1
    fi
}

# Sets `python` to one that is new enough and can make virtual environments.
find_python() {
    for python in python3 python3.14 python3.13 python3.12 python3.11; do
        has $python && $python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return
    done
    return 1
}

# set_up "": the package in .venv; set_up "[test]": and what its tests need
set_up() {
    has_library libportaudio || install_parts "the microphone" libportaudio2 portaudio
    if [ ! -x .venv/bin/python ]; then
        find_python || install_parts "virtual environments" python3-venv python@3.13
        find_python || { echo "missing: Python 3.11 or newer; found: $(python3 --version 2>&1)" >&2; exit 1; }
        echo "making .venv with $($python --version)"
        $python -m venv .venv
    fi
    if [ ! ".venv/installed$1" -nt pyproject.toml ]; then
        echo "installing streamseg$1 into .venv"
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".$1"
        touch ".venv/installed$1"
    fi
}

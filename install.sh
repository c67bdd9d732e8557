#!/bin/sh
# Installs `provision` into an environment of its own and applies the profile that fits this machine.
#
#   ./install.sh          install, then `provision apply auto` in the current folder
#   ./install.sh tool     install only
#   ./install.sh test     set up the development environment in .venv and run every check and test
#
# Needs Python 3.11 or newer, or uv. Needs no root and may be run again. Writes to this clone, to the current
# folder and to the user's data, cache and ~/.local/bin folders. PROVISION_PYTHON names the Python to use.
set -eu

if [ -z "${HOME:-}" ]; then
    echo 'error: HOME is not set, and the tool is installed below it' >&2
    exit 2
fi
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
data=${XDG_DATA_HOME:-$HOME/.local/share}/provision

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "error: $1"
    say ''
    say "hint: $2"
    exit 4
}

is_recent_python() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

# The user's own `python3` first: wheels that they keep for it can then be used.
find_python() {
    for candidate in "${PROVISION_PYTHON:-python3}" python3 python3.13 python3.12 python3.11 python3.14 python; do
        if command -v "$candidate" >/dev/null 2>&1 && is_recent_python "$candidate"; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
}

# A private uv, fetched by pip, which knows the user's mirrors, proxies and certificates.
bootstrap_uv() {
    if ! [ -x "$data/bootstrap/bin/uv" ]; then
        say 'fetching uv with pip'
        rm -rf "$data/bootstrap"
        mkdir -p "$data"
        "$python" -m venv "$data/bootstrap" >&2 ||
            fail "$python cannot make an environment" 'sudo apt install python3-venv   # or install uv: pip install --user uv'
        "$data/bootstrap/bin/python" -m pip install --quiet --disable-pip-version-check uv >&2 ||
            fail 'pip could not fetch uv' "$data/bootstrap/bin/python -m pip install uv   # shows why"
    fi
    printf '%s\n' "$data/bootstrap/bin/uv"
}

# A setting of pip's: its environment variable, else its configuration files.
pip_setting() {
    variable=PIP_$(printf '%s' "$1" | tr 'a-z-' 'A-Z_')
    eval "value=\${$variable:-}"
    for section in install global; do
        # Not `pip config get`, which in some versions misses the global file where there is a user's.
        [ -n "$value" ] || [ -z "$python" ] ||
            value=$("$python" -m pip config list 2>/dev/null | sed -n "s/^$section\.$1='\(.*\)'\$/\1/p" | sed 's/\\n/ /g')
    done
    printf '%s' "$value" | sed 's/^ *//; s/ *$//'
}

# uv reads nothing of pip's configuration, and users behind a mirror rely on it.
export_pip_settings() {
    index=$(pip_setting index-url)
    extra=$(pip_setting extra-index-url)
    links=$(pip_setting find-links)
    certificate=$(pip_setting cert)
    [ -z "$index" ] || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"
    [ -z "$extra" ] || export UV_INDEX="${UV_INDEX:-$extra}" UV_INDEX_STRATEGY=unsafe-best-match
    [ -z "$links" ] || export UV_FIND_LINKS="${UV_FIND_LINKS:-$(printf '%s' "$links" | tr ' ' ',')}"
    [ -z "$certificate" ] || export SSL_CERT_FILE="${SSL_CERT_FILE:-$certificate}"
}

install_tool() {
    say "installing provision with $("$uv" --version)"
    (
        export_pip_settings
        "$uv" tool install --quiet --force --editable ${python:+--python "$python"} "$here"
    ) || fail 'uv could not install provision' "$uv tool install --force --editable $here   # shows why"
}

run_tests() {
    (
        export_pip_settings
        cd "$here"
        [ -x .venv/bin/python ] || "$uv" venv --quiet ${python:+--python "$python"} .venv
        "$uv" pip install --quiet --python .venv/bin/python --editable . --group dev
    ) || fail 'the development environment could not be made' "$uv pip install --editable . --group dev   # shows why"
    cd "$here"
    say 'ruff'
    .venv/bin/ruff check .
    .venv/bin/ruff format --check --quiet .
    say 'mypy'
    .venv/bin/mypy
    say 'pytest'
    exec .venv/bin/python -m pytest "$@"
}

python=$(find_python)
if command -v uv >/dev/null 2>&1; then
    uv=$(command -v uv)
elif [ -n "$python" ]; then
    uv=$(bootstrap_uv)
else
    fail 'neither Python 3.11 or newer nor uv was found' 'sudo apt install python3 python3-venv'
fi

case ${1:-} in
'')
    install_tool
    bin=$("$uv" tool dir --bin)
    "$bin/provision" apply auto --yes && code=0 || code=$?
    say ''
    if [ "$code" -eq 0 ]; then
        say "installed: $bin/provision"
    else
        say "provision is installed as $bin/provision, but apply ended with exit code $code: see above"
    fi
    case ":$PATH:" in
    *":$bin:"*) say 'next:      provision detect' ;;
    *) say "next:      export PATH=\"$bin:\$PATH\" && provision detect" ;;
    esac
    exit "$code"
    ;;
tool)
    install_tool
    ;;
test)
    shift
    run_tests "$@"
    ;;
*)
    say "usage: $0 [tool | test [PYTEST ARGUMENTS]]"
    exit 2
    ;;
esac

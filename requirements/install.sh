#!/bin/sh
# Make .venv from the locked lists: `install.sh run` (anew), `install.sh dev`, `install.sh browser`,
# `install.sh project`.
# Only pip and venv are used, nothing is compiled, and nothing without a locked hash is installed.
# The Makefile stamps each step after it ended well, so an interrupted one starts over.
set -eu
cd "$(dirname "$0")/.."

PYTHON_WANTED="Python 3.11, 3.12 or 3.13 (libp2p's dependencies have no wheels for others)"

fail() {
    echo "setup: $1" >&2
    exit 1
}

find_python() {
    for name in ${PYTHON:-python3 python3.11 python3.12 python3.13}; do
        if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
            >/dev/null 2>&1; then
            echo "$name"
            return
        fi
    done
    fail "no suitable ${PYTHON:-python3} found: Econode needs $PYTHON_WANTED. \
Install one, or name it: make setup PYTHON=/path/to/python3.11"
}

install() {
    .venv/bin/python -m pip install -qq --disable-pip-version-check --no-input --no-deps \
        --no-build-isolation --use-pep517 "$@"
}

install_locked() {
    install --require-hashes --only-binary :all: --no-binary varint --no-binary python-baseconv "$@"
}

case "${1:-}" in
run)
    python=$(find_python)
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python has no venv module. On Debian or Ubuntu: apt-get install python3-venv"
    echo "setup: $("$python" --version), $(grep -c '==' requirements/requirements.lock)" \
        "locked packages into .venv (about a minute)"
    rm -rf .venv
    "$python" -m venv .venv
    install_locked -r requirements/build.lock
    install_locked -r requirements/requirements.lock
    ;;
dev)
    echo "setup: tools for tests and checks"
    install_locked -r requirements/requirements-dev.lock
    # trio-typing brings stubs of an old trio that would hide trio's own types from mypy.
    rm -rf .venv/lib/python3.*/site-packages/trio-stubs
    ;;
browser)
    install_locked -r requirements/requirements-browser.lock
    ;;
project)
    install --editable .
    ;;
*)
    fail "usage: install.sh run | dev | browser | project"
    ;;
esac

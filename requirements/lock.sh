#!/bin/sh
# Resolve every *.in beside this file into a *.lock with the hashes of all published files.
# Pins already in a lock stay unless they no longer fit; `sh requirements/lock.sh --upgrade` lifts
# them. The index is pip's own (its configuration), and its address is not written down.
set -eu
cd "$(dirname "$0")"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check --no-deps --require-hashes \
    -r lock-tool.lock

index=${PIP_INDEX_URL:-$("$work/venv/bin/pip" config get global.index-url 2>/dev/null || true)}
if [ -n "$index" ]; then
    export UV_DEFAULT_INDEX="$index"
fi
export UV_CUSTOM_COMPILE_COMMAND="make lock"

compile() { # NAME OPTIONS...: NAME.in -> NAME.lock
    name=$1
    shift
    "$work/venv/bin/uv" pip compile --quiet --no-config --universal --python-version 3.11 \
        --generate-hashes --no-emit-index-url --no-emit-find-links "$@" \
        "$name.in" -o "$name.lock"
    echo "$name.lock: $(grep -c '^[a-z]' "$name.lock") packages"
}

compile requirements --override overrides.in "$@"
compile requirements-dev "$@"
compile requirements-browser "$@"
compile build "$@"
compile lock-tool "$@"

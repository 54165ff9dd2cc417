#!/bin/sh
# Make the homes of a network of containers, once: found.sh DIR ADDRESS...
#
# DIR/node1, DIR/node2, ... get a key each, one genesis, and the capability `file-stats`. ADDRESS is
# where node N is dialled, an IPv4 address on the containers' network. A home that exists stays.
set -eu
dir=$1
shift
port=4710

capability() {
    python - <<'PYTHON'
from node import file_stats
import json

print("\n[[capability]]")
for key, value in (
    ("name", file_stats.NAME),
    ("version", file_stats.VERSION),
    ("kind", "python"),
    ("target", file_stats.TARGET),
    ("specification", file_stats.SPECIFICATION),
):
    print(f"{key} = {json.dumps(value)}")
PYTHON
}

if [ -e "$dir/founded" ]; then
    echo "the network in $dir is founded already"
    exit 0
fi
number=0
for address in "$@"; do
    number=$((number + 1))
    home=$dir/node$number
    mkdir -p -m 0700 "$home"
    [ -e "$home/config.toml" ] || econode init --home "$home" --listen "/ip4/0.0.0.0/tcp/$port" >/dev/null
    grep -q '^\[\[capability\]\]' "$home/config.toml" || capability >>"$home/config.toml"
    peer=$(econode id --home "$home" | cut -d @ -f 1)
    if [ "$number" = 1 ]; then
        rm -f "$home/genesis.json"
        econode genesis new containers --home "$home" --bond 10000 --free 1000000 \
            --address "/ip4/$address/tcp/$port" >/dev/null
    else
        econode genesis add "$peer@/ip4/$address/tcp/$port" --home "$dir/node1" \
            --bond 10000 --free 1000000 >/dev/null
    fi
done
for other in $(seq 2 "$number"); do
    econode init --home "$dir/node$other" --genesis "$dir/node1/genesis.json" >/dev/null
done
touch "$dir/founded"
econode genesis show --home "$dir/node1"

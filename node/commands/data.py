"""econode data set, get, list, watch, remove: values for applications in peers' logs."""

import base64
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.commands.common import (
    HomeOption,
    JsonOption,
    hint,
    make_app,
    make_printable,
    open_client,
    render_pairs,
    render_table,
    shorten,
    show,
)
from node.service_data import KEYS_PER_PAGE_MAX, DataChange, DataValue

if TYPE_CHECKING:
    from node.client import NodeClient

SHOWN_CHARS_MAX = 120
PEER_CHARS = 16

app = make_app("Application data, in the logs of peers. Everybody can read them.")

NamespaceArgument = Annotated[
    str, typer.Argument(metavar="NAMESPACE", help="The application's; 1 to 64 characters.")
]
KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="1 to 64 characters.")]
PeerOption = Annotated[
    str | None, typer.Option("--peer", metavar="PEERID", help="Only this peer's.")
]


@app.command("set")
def set_value(
    namespace: NamespaceArgument,
    key: KeyArgument,
    value: Annotated[
        str | None, typer.Argument(metavar="[VALUE]", help="Text.", show_default=False)
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="Instead: a file's bytes.")
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Set a value of this node's own.

    It answers when the value stands in this node's log; others have it soon after. Each
    change stays in that log for good: this is no place for what changes every second.

    \b
    Example:
      econode data set chess opening e2e4
    """
    if (value is None) == (file is None):
        raise typer.BadParameter("give a VALUE or --file FILE")
    data = os.fsencode(value) if value is not None else _read(file or Path())
    with open_client(home) as client:
        done = client.set_data(_check(namespace), _check(key), data)
    pairs = [("set", f"{len(data)} bytes"), ("log position", done.position)]
    show(done, json, lambda: render_pairs(pairs))


@app.command("remove")
def remove(
    namespace: NamespaceArgument,
    key: KeyArgument,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Remove a value of this node's own.

    Its former values stay in the log, and whoever has that can read them.

    \b
    Example:
      econode data remove chess opening
    """
    with open_client(home) as client:
        done = client.set_data(_check(namespace), _check(key), None)
    show(done, json, lambda: render_pairs([("removed", key), ("log position", done.position)]))


@app.command("get")
def get(
    namespace: NamespaceArgument,
    key: KeyArgument,
    peer: PeerOption = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write the bytes there; needs --peer."),
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show what peers have set under a key, as far as this node has heard of it.

    Bytes that are no text, and control characters, are shown escaped.

    \b
    Example:
      econode data get chess opening
      econode data get chess board --peer 12D3KooW… --out board.png
    """
    from node.problem import not_found

    if out is not None and peer is None:
        raise typer.BadParameter("--out needs --peer PEERID")
    with open_client(home) as client:
        values = _read_all(client, _check(namespace), _check(key), peer)
    if peer is not None and not values:
        raise not_found("value", f"{namespace} {key}", "`econode data list` shows the keys")
    if out is not None:
        from node.files import write_atomic

        data = base64.b64decode(values[0].base64)
        write_atomic(out, data)
        document = {"file": str(out), "bytes": len(data), "position": values[0].position}
        show(document, json, lambda: [f"{len(data)} bytes in {out}"])
        return
    head = ("peer", "position", "bytes", "value")
    rows = [(_shorten_peer(v.peer_id), v.position, v.size_bytes, _render_value(v)) for v in values]
    show({"values": values}, json, lambda: render_table(head, rows) if rows else ["no value"])


@app.command("list")
def list_keys(
    namespace: NamespaceArgument,
    peer: PeerOption = None,
    limit: Annotated[
        int, typer.Option(min=1, max=KEYS_PER_PAGE_MAX, help="At most so many.")
    ] = 100,
    cursor: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="Go on where a page ended.")
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """List the keys of a namespace.

    \b
    Example:
      econode data list chess
    """
    with open_client(home) as client:
        page = client.list_data(_check(namespace), peer, cursor, limit)
    head = ("peer", "key", "bytes", "position")
    rows = [(_shorten_peer(k.peer_id), k.key, k.size_bytes, k.position) for k in page.keys]
    show(page, json, lambda: render_table(head, rows) if rows else ["no keys"])
    if page.next is not None:
        hint(f"more: --cursor {page.next}", json)


@app.command("watch")
def watch(
    namespace: NamespaceArgument,
    key: KeyArgument,
    peer: PeerOption = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="End after so many lines.", show_default=False)
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show a key's values, and each change from then on, until Ctrl-C.

    With --json one document a line, the value null where it was removed. Changes that come
    faster than they are read are left out but for the last.

    \b
    Example:
      econode data watch chess opening
    """
    lines = 0
    with open_client(home) as client:
        for change in client.watch_data(_check(namespace), _check(key), peer):
            if not change.ready:
                _print_change(change, json)
                lines += 1
            if lines == count:
                return


def _print_change(change: DataChange, as_json: bool) -> None:
    """At once, also into a pipe."""
    if as_json:
        import msgspec

        typer.echo(json.dumps(msgspec.to_builtins(change), ensure_ascii=False))
    else:
        text = "removed" if change.value is None else _render_value(change.value)
        position = "" if change.value is None else change.value.position
        typer.echo(make_printable(f"{_shorten_peer(change.peer_id)}  {position}  {text}"))
    sys.stdout.flush()


def _read_all(client: "NodeClient", namespace: str, key: str, peer: str | None) -> list[DataValue]:
    values: list[DataValue] = []
    cursor: str | None = None
    while True:
        page = client.get_data(namespace, key, peer, cursor)
        values += page.values
        cursor = page.next
        if cursor is None:
            return values


def _read(file: Path) -> bytes:
    from crdt.items import VALUE_BYTES_MAX
    from node.problem import Problem

    with open(file, "rb") as opened:
        data = opened.read(VALUE_BYTES_MAX + 1)
    if len(data) > VALUE_BYTES_MAX:
        raise Problem(
            "too-large",
            f"a value has at most {VALUE_BYTES_MAX} bytes",
            where=str(file),
            remedy="put large things into tasks' inputs, and their digest here",
            status=413,
        )
    return data


def _check(name: str) -> str:
    """A name that can be sent: an argument that is no UTF-8 cannot."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise typer.BadParameter("namespace and key must be UTF-8") from None
    return name


def _shorten_peer(peer: str | None) -> str:
    return shorten(peer, PEER_CHARS)


def _render_value(value: DataValue) -> str:
    """Text as it is, with backslashes doubled; what is no text, and control characters, as
    escapes; cut to SHOWN_CHARS_MAX."""
    data: Any = base64.b64decode(value.base64)[: 4 * SHOWN_CHARS_MAX]
    text = data.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    is_cut = len(escaped) > SHOWN_CHARS_MAX or value.size_bytes > 4 * SHOWN_CHARS_MAX
    escaped = escaped[:SHOWN_CHARS_MAX] + "…" * is_cut
    return f"{escaped}  (its author forked its log)" if value.frozen else escaped

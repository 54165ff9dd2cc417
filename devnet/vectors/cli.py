"""econode vectors: the test vectors of the protocol, and a verifier for those of others."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.commands.common import JsonOption, get_columns, make_app, render_pairs, show

if TYPE_CHECKING:  # these take long to import, and `econode --help` needs none of them
    from devnet.vectors.form import Vector, VectorFile
    from devnet.vectors.verify import Report

app = make_app("Test vectors of the protocol.")

FolderArgument = Annotated[
    Path | None,
    typer.Argument(metavar="[DIR]", help="A folder of vectors. [those of this program]"),
]
WRAP_COLUMNS = 96


def _find(folder: Path | None) -> Path:
    from devnet.vectors.generate import find_folder

    return find_folder() if folder is None else folder


@app.command("verify")
def verify(folder: FolderArgument = None, json: JsonOption = False) -> None:
    """Judge every vector of a folder with the program's own checks.

    Ends with 1 if a vector is judged otherwise than it says.

    \b
    Example:
      econode vectors verify my-vectors --json
    """
    from devnet.vectors.verify import verify as run

    report = run(_find(folder))
    show(report, json, lambda: _render_report(report))
    raise typer.Exit(1 if report.failed else 0)


def _render_report(report: "Report") -> Iterable[str]:
    yield from (
        f"{f.id}: expected {f.expected}, got {f.got} ({f.comment})" for f in report.failures
    )
    yield (
        f"{report.total} vectors of {report.kinds} kinds, {report.negative} to be refused, "
        f"and {report.traces} traces: {report.failed} failed"
    )


@app.command("list")
def list_(folder: FolderArgument = None, json: JsonOption = False) -> None:
    """How many vectors there are of each kind with each flag.

    Kinds with equal rows stand in one line; `econode vectors explain ID` shows a vector, such as
    commit/wrong-epoch-1, and what its flags stand for.

    \b
    Example:
      econode vectors list
    """
    from devnet.vectors.coverage import count_cells, render_cells
    from devnet.vectors.verify import read_folder

    files = list(read_folder(_find(folder)))
    cells = count_cells(files)
    flags = sorted({flag for counts in cells.values() for flag in counts})
    words = {flag: text for file in files for flag, text in file.flags.items()}
    document = {
        "flags": flags,
        "explanations": words,
        "kinds": {kind: dict(counts) for kind, counts in cells.items()},
    }
    show(document, json, lambda: render_cells(cells, flags, get_columns()))


@app.command("explain")
def explain(
    id_: Annotated[str, typer.Argument(metavar="ID", help="Such as commit/valid-1.")],
    folder: FolderArgument = None,
    json: JsonOption = False,
) -> None:
    """Show one vector: what it stands for, its parts, and what the program says of it.

    \b
    Example:
      econode vectors explain commit/wrong-epoch-1
    """
    from devnet.vectors.verify import find_vector, judge

    file, vector = find_vector(_find(folder), id_)
    got = judge(file, vector)
    flags = {flag: file.flags.get(flag, "") for flag in vector.flags}
    document = {"vector": vector, "flags": flags, "setting": file.setting, "judged": got}
    show(document, json, lambda: _render_vector(file, vector, flags, got))


def _render_vector(
    file: "VectorFile", vector: "Vector", flags: dict[str, str], got: str
) -> Iterable[str]:
    from devnet.vectors.verify import expect

    parts = [
        ("id", vector.id),
        ("about", file.about),
        ("comment", vector.comment),
        *(("flag", f"{flag}: {words}") for flag, words in flags.items()),
        ("expected", expect(vector)),
        ("judged", got),
    ]
    if vector.signer is not None:
        parts.append(("signer", f"{vector.signer.peer} ({vector.signer.public})"))
    yield from render_pairs(parts)
    blocks = []
    if vector.input is not None:
        shown = [("input", vector.input.diagnostic), ("input, as CBOR", vector.input.hex)]
        blocks += [block for block in shown if block[1]]
    if vector.signing is not None:
        blocks.append(("bytes that were signed", vector.signing.to_be_signed))
    blocks.append(("data", vector.data))
    for name, text in blocks:
        yield ""
        yield name
        yield from (text[at : at + WRAP_COLUMNS] for at in range(0, len(text), WRAP_COLUMNS))


@app.command("generate")
def generate(
    folder: FolderArgument = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; end with 1 if a file is not current.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Write the vectors that this program produces: the same ones each time.

    \b
    Example:
      econode vectors generate --check
    """
    from devnet.vectors.generate import find_differences, write

    target = _find(folder)
    names = find_differences(target) if check else write(target)
    show({"changed": names}, json, lambda: _render_changes(names, check))
    raise typer.Exit(1 if check and names else 0)


def _render_changes(names: list[str], check: bool) -> Iterable[str]:
    what = "is not what the program produces" if check else "written"
    yield from (f"{name}: {what}" for name in names)
    if not names:
        yield "every file is what the program produces"

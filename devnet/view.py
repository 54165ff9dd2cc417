"""The live view: what a person sees of a running devnet in 80 columns, and plain lines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from devnet.progress import TaskLine
from node.service import TASK_STATES

SHORT_ID_CHARS = 6
_STATE_STYLES = {"settled": "green", "failed": "red", "accepted": "green"}
_GRADE_STYLES = {"excellent": "green", "satisfactory": "cyan", "poor": "yellow", "byzantine": "red"}


@dataclass(frozen=True, slots=True)
class NodeLine:
    """One node's row; None is what is not known (yet)."""

    number: int
    peer_id: str
    role: str
    state: str
    """up, down, starting."""
    is_primary: bool = False
    position: int | None = None
    view: int | None = None
    rss_bytes: int | None = None
    bonded: int | None = None
    free: int | None = None
    score_ppm: int | None = None
    mark: str = ""
    """slashed, banned, or empty."""


@dataclass(frozen=True, slots=True)
class Scene:
    """All that the view shows at one moment."""

    step: str
    elapsed_s: float
    nodes: Sequence[NodeLine] = ()
    tasks: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    recent: Sequence[TaskLine] = ()

    def count_ended(self) -> int:
        return self.counts.get("settled", 0) + self.counts.get("failed", 0)


def shorten(peer_id: str) -> str:
    """The end of a PeerId: its beginning is the same for all Ed25519 keys."""
    return peer_id[-SHORT_ID_CHARS:]


def format_credits(amount: int | None) -> str:
    """Credits in six characters at most for amounts below a billion: 9999, 99.99M."""
    if amount is None:
        return "-"
    if abs(amount) < 1_000_000:
        return str(amount)
    return f"{amount / 1_000_000:.2f}M"


def format_bytes(size: int | None) -> str:
    return "-" if size is None else f"{size / (1 << 20):.0f}M"


def format_score(ppm: int | None) -> str:
    return "-" if ppm is None else f"{ppm / 1_000_000:.3f}"


def format_line(scene: Scene) -> str:
    """One plain line of progress, for logs."""
    parts = [f"[{scene.elapsed_s:6.1f} s] {scene.step}"]
    if scene.tasks:
        parts.append(f"{scene.count_ended()}/{scene.tasks} tasks ended")
        parts += [
            f"{scene.counts[state]} {state}"
            for state in ("submitted", *TASK_STATES)
            if scene.counts.get(state) and state not in ("settled",)
        ]
    down = [str(node.number) for node in scene.nodes if node.state == "down"]
    if down:
        parts.append(f"node {', '.join(down)} down")
    return ", ".join(parts)


def render(scene: Scene) -> RenderableType:
    """The whole view."""
    parts: list[RenderableType] = [
        Text.assemble((scene.step, "bold"), f"   {scene.elapsed_s:.0f} s", overflow="ellipsis"),
        _render_nodes(scene.nodes),
    ]
    if scene.tasks:
        parts += [_render_counts(scene), _render_recent(scene)]
    return Group(*parts)


def _render_nodes(nodes: Sequence[NodeLine]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", expand=False)
    for name in ("node", "peer", "role", "at", "view", "rss", "bond", "free", "score", ""):
        right = name in ("at", "view", "rss", "bond", "free", "score")
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    for node in nodes:
        mark = node.mark or ("" if node.state == "up" else node.state)
        view = "-" if node.view is None else f"{node.view}{'*' if node.is_primary else ''}"
        table.add_row(
            str(node.number),
            shorten(node.peer_id),
            Text(node.role, style="red" if node.role == "liar" else ""),
            "-" if node.position is None else str(node.position),
            view,
            format_bytes(node.rss_bytes),
            format_credits(node.bonded),
            format_credits(node.free),
            format_score(node.score_ppm),
            Text(mark, style="bold red"),
        )
    return table


def _render_counts(scene: Scene) -> RenderableType:
    bar = ProgressBar(total=scene.tasks, completed=scene.count_ended(), width=30)
    counts = Text()
    for state in ("submitted", *TASK_STATES):
        if scene.counts.get(state):
            counts.append(f"{scene.counts[state]} {state}  ", style=_STATE_STYLES.get(state, ""))
    head = Text(f"\n{scene.count_ended()} of {scene.tasks} tasks ended")
    return Group(head, bar, counts)


def _render_recent(scene: Scene) -> Table:
    names = {node.peer_id: f"node {node.number}" for node in scene.nodes}
    table = Table(box=None, pad_edge=False, header_style="dim", expand=False)
    for name in ("task", "round", "winner", "price", "grade", "end"):
        right = name in ("round", "price")
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    for line in scene.recent:
        table.add_row(
            line.task[:8],
            str(line.round),
            names.get(line.executor, shorten(line.executor)),
            "-" if line.price is None else str(line.price),
            Text(line.grade, style=_GRADE_STYLES.get(line.grade, "")),
            Text(line.state, style=_STATE_STYLES.get(line.state, "")),
        )
    return table

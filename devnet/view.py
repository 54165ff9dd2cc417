"""The live view: what a person sees of a running devnet in 80 columns, and plain lines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console, ConsoleOptions, Group, JustifyMethod, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from devnet.progress import TaskLine
from devnet.roles import BYZANTINE
from node.service import TASK_STATES

SHORT_ID_CHARS = 6
BAR_COLUMNS = 32
WIDE_COLUMNS = 76
WIDE_NODE_COLUMNS = frozenset({"peer", "view", "rss", "bond", "free"})
WIDE_TASK_COLUMNS = frozenset({"round", "end"})
"""Columns that only terminals of WIDE_COLUMNS or more show."""
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


class SceneView:
    """The whole view as a rich renderable; narrow terminals get fewer columns, never cut ones."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        scene, is_wide = self._scene, options.max_width >= WIDE_COLUMNS
        yield Text.assemble((scene.step, "bold"), f"  {scene.elapsed_s:.0f} s")
        yield _render_nodes(scene.nodes, is_wide)
        if scene.tasks:
            yield _render_counts(scene)
            yield _render_recent(scene, is_wide)


def _make_table(columns: Mapping[str, JustifyMethod]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for name, justify in columns.items():
        table.add_column(name, justify=justify, no_wrap=True)
    return table


def _render_nodes(nodes: Sequence[NodeLine], is_wide: bool) -> Table:
    columns: dict[str, JustifyMethod] = {"node": "left", "peer": "left", "role": "left"}
    columns |= dict.fromkeys(("at", "view", "rss", "bond", "free", "score"), "right")
    columns |= {"": "left"}
    shown = [name for name in columns if is_wide or name not in WIDE_NODE_COLUMNS]
    table = _make_table({name: columns[name] for name in shown})
    for node in nodes:
        cells: dict[str, str | Text] = {
            "node": str(node.number),
            "peer": shorten(node.peer_id),
            "role": Text(node.role, style="red" if node.role in BYZANTINE else ""),
            "at": "-" if node.position is None else str(node.position),
            "view": "-" if node.view is None else f"{node.view}{'*' if node.is_primary else ''}",
            "rss": format_bytes(node.rss_bytes),
            "bond": format_credits(node.bonded),
            "free": format_credits(node.free),
            "score": format_score(node.score_ppm),
            "": Text(node.mark or ("" if node.state == "up" else node.state), style="bold red"),
        }
        table.add_row(*(cells[name] for name in shown))
    return table


def _render_counts(scene: Scene) -> RenderableType:
    done = BAR_COLUMNS * scene.count_ended() // scene.tasks
    bar = Text.assemble(("━" * done, "green"), ("─" * (BAR_COLUMNS - done), "dim"))
    counts = Text()
    for state in ("submitted", *TASK_STATES):
        if scene.counts.get(state):
            counts.append(f"{scene.counts[state]} {state}  ", style=_STATE_STYLES.get(state, ""))
    head = Text(f"\n{scene.count_ended()} of {scene.tasks} tasks ended")
    return Group(head, bar, counts)


def _render_recent(scene: Scene, is_wide: bool) -> Table:
    names = {node.peer_id: f"node {node.number}" for node in scene.nodes}
    columns: dict[str, JustifyMethod] = {"task": "left", "round": "right", "winner": "left"}
    columns |= {"price": "right", "grade": "left", "end": "left"}
    shown = [name for name in columns if is_wide or name not in WIDE_TASK_COLUMNS]
    table = _make_table({name: columns[name] for name in shown})
    for line in scene.recent:
        cells: dict[str, str | Text] = {
            "task": line.task[:8],
            "round": str(line.round),
            "winner": names.get(line.executor, shorten(line.executor)),
            "price": "-" if line.price is None else str(line.price),
            "grade": Text(line.grade, style=_GRADE_STYLES.get(line.grade, "")),
            "end": Text(line.state, style=_STATE_STYLES.get(line.state, "")),
        }
        table.add_row(*(cells[name] for name in shown))
    return table

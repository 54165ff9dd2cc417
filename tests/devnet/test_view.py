"""What a person sees: whole at 80 columns, usable below, and as plain lines."""

import io

import pytest
from rich.console import Console

from devnet.progress import RECENT_MAX, JobProgress, TaskLine
from devnet.reporter import LiveReporter, PlainReporter
from devnet.view import NodeLine, Scene, SceneView, format_line

PEERS = [f"12D3KooW{'x' * 38}{n:06d}" for n in range(1, 8)]


def make_scene(nodes: int = 7) -> Scene:
    lines = [
        NodeLine(
            number=n,
            peer_id=PEERS[n - 1],
            role="requester" if n == 1 else "liar" if n == nodes else "agent",
            state="up" if n != 2 else "down",
            is_primary=n == 3,
            position=123_456,
            view=1,
            rss_bytes=118 << 20,
            bonded=10_000,
            free=100_012_345,
            score_ppm=958_123,
            mark="banned" if n == nodes else "",
        )
        for n in range(1, nodes + 1)
    ]
    recent = [TaskLine("ab" * 32, "settled", 1, PEERS[2], 238, "excellent")] * RECENT_MAX
    counts = {"settled": 30, "failed": 1, "bidding": 12, "verifying": 3, "submitted": 18}
    return Scene("working", 12.3, lines, 64, counts, recent)


def draw(scene: Scene, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, record=True, force_terminal=True)
    console.print(SceneView(scene))
    return console.export_text().splitlines()


def test_nothing_is_cut_at_80_columns():
    lines = draw(make_scene(), 80)
    assert all(len(line.rstrip()) <= 80 for line in lines)
    text = "\n".join(lines)
    assert "…" not in text
    for word in ("000007", "banned", "100.01M", "1*", "0.958", "31 of 64", "node 3"):
        assert word in text
    assert "down" in next(line for line in lines if "000002" in line)


@pytest.mark.parametrize("width", [40, 120])
def test_other_widths_show_every_node_and_the_count(width):
    lines = draw(make_scene(), width)
    assert all(len(line.rstrip()) <= width for line in lines)
    text = "\n".join(lines)
    assert "31 of 64 tasks ended" in text
    assert all(f"\n{n} " in text for n in range(1, 8))


def test_unknown_values_are_dashes():
    text = "\n".join(draw(Scene("starting", 0.0, [NodeLine(1, PEERS[0], "agent", "starting")]), 80))
    assert "starting" in text
    assert "None" not in text


def test_plain_lines_say_the_step_the_counts_and_who_is_down():
    line = format_line(make_scene())
    assert "31/64 tasks ended" in line
    assert "12 bidding" in line
    assert "node 2 down" in line


def test_plain_lines_come_with_news_only():
    stream = io.StringIO()
    reporter = PlainReporter(stream)
    for step in ("a", "a", "b", "b"):
        reporter.show(Scene(step, 1.0))
    assert [line.split()[-1] for line in stream.getvalue().splitlines()] == ["a", "b"]


def test_the_live_view_leaves_the_terminal_as_it_was():
    stream = io.StringIO()
    reporter = LiveReporter(Console(file=stream, width=80, force_terminal=True))
    reporter.show(make_scene())
    reporter.close()
    reporter.close()
    text = stream.getvalue()
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1


def test_progress_follows_a_task_through_two_rounds():
    progress = JobProgress()
    task = "aa"
    told = [
        ({"kind": "task_opened"}, "opened"),
        ({"kind": "auction_opened", "round": 0}, "bidding"),
        ({"kind": "awarded", "winner": "liar", "price": 5}, "working"),
        ({"kind": "unsold", "round": 0}, "opened"),
        ({"kind": "auction_opened", "round": 1}, "bidding"),
        ({"kind": "awarded", "winner": "honest", "price": 9}, "working"),
        ({"kind": "verifiers_drawn"}, "verifying"),
        ({"kind": "accepted"}, "accepted"),
        ({"kind": "settled", "grade": "excellent"}, "accepted"),
        ({"kind": "task_ended", "outcome": "settled"}, "settled"),
    ]
    for fact, state in told:
        progress.apply({"task": task, **fact})
        assert progress.tasks[task].state == state
    line = progress.tasks[task]
    assert (line.executor, line.price, line.grade, line.round) == ("honest", 9, "excellent", 1)
    assert list(progress.recent) == [line]
    progress.apply({"kind": "slashed", "task": task, "offender": "liar", "amount": 7})
    progress.apply({"kind": "paid", "account": "x"})
    assert progress.slashed == {"liar": 7}
    assert progress.count_states([task, "bb"]) == {"settled": 1, "submitted": 1}
    assert progress.count_ended([task, "bb"]) == 1

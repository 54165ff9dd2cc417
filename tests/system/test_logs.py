"""One id, looked for in the logs of all nodes, gives a task's whole way."""

import json

from tests.system.network import wait_until

EVERYWHERE = (
    *("task_opened", "auction_opened", "awarded", "work_committed", "verifiers_drawn"),
    *("work_revealed", "accepted", "settled", "task_ended"),
)


def find(node, id_):
    return [line for line in node.home.log_path.read_text().splitlines() if id_ in line]


def restart(village, node, *flags):
    assert node.stop() == 0
    node.start(*flags)
    village.wait_linked()


def read_events(node, id_):
    return {line.split(" ")[2] for line in find(node, id_)}


def test_one_id_follows_a_task_through_four_logs(village, tmp_path):
    file = tmp_path / "input.txt"
    secret = "a-payload-that-nobody-logs"
    file.write_text(secret)
    node = village.nodes[0]
    what = ["task", "submit", "--capability", "words", "--input", file, "--budget", 1_000]
    done = node.econode(*what, "--wait", "--json")
    assert done.code == 0, done.out + done.err
    task = done.document["tasks"][0]["id"]
    for each in village.nodes:
        wait_until(lambda each=each: set(EVERYWHERE) <= read_events(each, task), each.log_path)
    submitted = [line for line in find(node, task) if "operation_submitted" in line]
    assert "kind=open_tasks" in submitted[0]
    operation = submitted[0].split("operation=")[1].split(" ")[0]
    assert all("operation_ordered" in read_events(each, operation) for each in village.nodes)
    ran = [each for each in village.nodes if "capability_ended" in read_events(each, task)]
    assert len(ran) >= 2  # the executor, and who verified it
    for each in village.nodes:
        text = each.home.log_path.read_text() + each.read_log()
        assert secret not in text
        assert each.home.load_token() not in text
        assert each.key.seed.hex() not in text


def test_json_lines_are_objects_with_the_operation_s_id(village):
    node = village.nodes[2]
    restart(village, node, "--log-format", "json", "--log-level", "debug")
    try:
        done = node.client.transfer(village.nodes[0].peer_id, 3)
        lines = node.home.log_path.read_text().splitlines()
        parsed = [json.loads(line) for line in lines if done.operation in line and line[0] == "{"]
        assert [line["event"] for line in parsed[:2]] == [
            "operation_submitted",
            "operation_ordered",
        ]
        assert {line["node"] for line in parsed} == {node.peer_id}
        assert parsed[1]["committee"] == "main"
        assert parsed[1]["position"] == done.position
    finally:
        restart(village, node)

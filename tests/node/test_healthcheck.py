"""What a container's HEALTHCHECK says of a home."""

import http.server
import json
import subprocess
import sys
import threading

import pytest

from node.healthcheck import check


class Answer(http.server.BaseHTTPRequestHandler):
    body = b'{"status": "ok"}'
    status = 200

    def do_GET(self):
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_):
        pass


@pytest.fixture
def home(tmp_path):
    """A home whose node.json names an HTTP server, which answers as `Answer` says."""
    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        info = {"api_address": "127.0.0.1", "api_port": server.server_port}
        (tmp_path / "node.json").write_text(json.dumps(info))
        yield tmp_path
        server.shutdown()
        thread.join()


def test_a_node_that_answers_is_healthy(home):
    assert check(home) is None


@pytest.mark.parametrize(("status", "body"), [(500, b"{}"), (200, b"no JSON"), (200, b"[]")])
def test_other_answers_are_not(home, monkeypatch, status, body):
    monkeypatch.setattr(Answer, "status", status)
    monkeypatch.setattr(Answer, "body", body)
    assert check(home) is not None


@pytest.mark.parametrize("text", ["", "[]", '{"api_address": "127.0.0.1"}', "{}"])
def test_a_damaged_info_file_is_not(tmp_path, text):
    (tmp_path / "node.json").write_text(text)
    assert "node.json" in check(tmp_path)


def test_a_node_that_does_not_listen_is_not(home):
    info = json.loads((home / "node.json").read_text())
    (home / "node.json").write_text(json.dumps({**info, "api_port": 1}))
    assert "does not answer" in check(home)


def test_the_command_ends_with_1_and_says_why(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "node.healthcheck"],
        env={"ECONODE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "node.json" in done.stderr

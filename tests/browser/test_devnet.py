"""`make devnet` prints the address of a dashboard, which shows its job while it runs."""

import contextlib
import os
import pty
import re
import signal
import subprocess
import threading

import pytest

from tests.browser.conftest import ROOT, WAIT_MS
from tests.browser.pages import VIEWS, shoot, show
from tests.system.network import make_environment

ADDRESS = re.compile(r"the dashboard, live: (http://127\.0\.0\.1:\d+/#token=[\w-]+)")
FILES = 48
START_S_MAX = 120


@pytest.fixture
def address(tmp_path):
    """The address that `make devnet` has printed on a terminal, where it stays up after its job."""
    for number in range(FILES):
        (tmp_path / f"{number}.txt").write_text(f"file {number} of the job\n" * 50)
    ours, terminal = pty.openpty()
    process = subprocess.Popen(
        ["make", "-s", "devnet", f"ARGS=--job {tmp_path}"],
        cwd=ROOT,
        env=make_environment() | {"TERM": "xterm", "COLUMNS": "200"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    with open(ours, "rb", buffering=0) as screen:
        reader = Screen(screen)
        try:
            yield reader.find(ADDRESS)
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(60)
            reader.thread.join(60)


class Screen:
    """What a program writes to a terminal, read all the time so that it never waits."""

    def __init__(self, file):
        self._file, self._text, self._news = file, "", threading.Condition()
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self):
        # Linux ends the reading of a terminal that nobody holds any more with EIO
        with contextlib.suppress(OSError):
            while data := self._file.read(4096):
                with self._news:
                    self._text += data.decode(errors="replace")
                    self._news.notify_all()

    def find(self, pattern):
        """The first group of the first match; fails after START_S_MAX."""
        with self._news:
            assert self._news.wait_for(lambda: pattern.search(self._text), START_S_MAX), self._text
            return pattern.search(self._text)[1]


def test_its_dashboard_shows_the_job_in_every_view(browser, address):
    errors = []
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.set_default_timeout(WAIT_MS)
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    page.wait_for_selector("#link.good")
    page.wait_for_selector(".flow [data-key=working] .chips a")
    shoot(page, "devnet", whole=False)  # docs/dashboard.png is this one
    for name in VIEWS:
        show(page, name)
        shoot(page, f"devnet-{name.lower()}")
    show(page, "Network")
    page.wait_for_function(
        "n => document.querySelector('.flow [data-key=settled] b').textContent === n",
        arg=str(FILES),
        timeout=120_000,
    )
    shoot(page, "devnet-done")
    page.close()
    assert errors == []

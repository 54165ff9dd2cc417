"""The real command in processes of its own, and a fake node behind the real API."""

import contextlib
import gc
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import node.client
import node.commands.home
import node.config_file  # noqa: F401 - loaded once here, so that forks need not
from node import cli

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "api"))

import fake_node  # noqa: E402

FINISHED_S_MAX = 60

with contextlib.redirect_stdout(io.StringIO()):
    cli.run(["status", "--home", os.devnull, "--json"])  # what the first command loads, once here


def make_environment(**extra):
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ECONODE_")}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"} | extra


class Done:
    """How a command ended."""

    def __init__(self, code, out, err):
        self.code = code
        self.bytes = out
        self.out = out.decode(errors="replace")
        self.err = err.decode(errors="replace")
        assert "Traceback" not in self.err, self.err

    @property
    def document(self):
        return json.loads(self.out)


def run(*arguments, **extra):
    """`econode ARGUMENTS` in a fresh interpreter, with extra environment variables."""
    command = [sys.executable, "-m", "node.cli", *map(str, arguments)]
    done = subprocess.run(
        command,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        env=make_environment(**extra),
        cwd=ROOT,
        timeout=FINISHED_S_MAX,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def run_forked(*arguments, **extra):
    """The same in a fork of this process, which saves the imports."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            _become(arguments, extra, out.fileno(), err.fileno())
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read())
    return Done(code, *texts)


def _become(arguments, extra, out, err):
    """The child's side: never returns."""
    code = 99
    gc.freeze()  # a collection would copy every page of pytest's
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - until the process ends, all three
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
        for name in [name for name in os.environ if name.startswith("ECONODE_")]:
            del os.environ[name]
        os.environ.update(extra)
        os.chdir(ROOT)
        code = cli.run(list(map(str, arguments)))
    except BaseException:  # whatever it was: it is shown, and the copy of pytest must end here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class FakeProcess:
    """A fake node in a fork of this process, serving a home."""

    def __init__(self, home):
        ready, write = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.dup2(write, 1)
                sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - until the process ends
                fake_node.serve_home(home)
                os._exit(0)
            except BaseException:  # shown; the copy of pytest must end here
                traceback.print_exc(file=sys.__stderr__)
            finally:
                os._exit(99)
        os.close(write)
        with open(ready, "rb") as file:
            assert file.readline() == b"ready\n"

    def send_signal(self, number):
        os.kill(self._pid, number)

    def wait(self):
        """The exit code, negative for a signal."""
        code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        self._pid = 0
        return code

    def kill(self):
        if self._pid:
            self.send_signal(signal.SIGKILL)
            self.wait()


class Person:
    """Somebody with a home."""

    def __init__(self, home):
        self.home = home

    def run(self, *arguments, **extra):
        return run_forked(*arguments, "--home", self.home, **extra)

    def do(self, *arguments, **extra):
        """A verb that must work; its document."""
        done = self.run(*arguments, "--json", **extra)
        assert done.code == 0, done.out + done.err
        return done.document

    def fail(self, kind, *arguments, code=1, **extra):
        """A verb that must fail; its error, which the message for people must agree with."""
        document = self.run(*arguments, "--json", **extra)
        plain = self.run(*arguments, **extra)
        assert (document.code, plain.code) == (code, code), document.out + plain.err
        error = document.document["error"]
        assert error["type"] == f"urn:econode:problem:{kind}"
        assert plain.out == ""
        assert error["detail"] in plain.err
        return error

    def list_files(self):
        """Every file of the home with its content, to see that nothing changed."""
        if not self.home.exists():
            return {}
        files = (path for path in sorted(self.home.rglob("*")) if path.is_file())
        return {str(path): path.read_bytes() for path in files if path.name != "lock"}

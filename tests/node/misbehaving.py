"""Capabilities that go wrong, each in its own way. Run in worker processes only."""

import ctypes
import os
import subprocess
import sys
import tempfile
import time

calls = 0


def upper(data):
    return data.upper()


def count_calls(data):
    global calls
    calls += 1
    return b"%d %d" % (os.getpid(), calls)


def raises(data):
    raise ValueError("no\x1b[31m luck " + "x" * 5000)


def exits_politely(data):
    sys.exit(3)


def returns_text(data):
    return "text"


def exits(data):
    os._exit(7)


def segfaults(data):
    ctypes.string_at(0)


def hangs(data):
    while True:
        time.sleep(3600)


def burns(data):
    while True:
        pass


def floods_output(data):
    return b"x" * (2 << 20)


def floods_prints(data):
    for _ in range(1000):
        print("noise " * 1000)
        os.write(1, b"noise" * 1000)
        os.write(2, b"noise" * 1000)
    return sys.stdin.read().encode() + b"quiet"


def eats_memory(data):
    return bytes(len(bytearray(1 << 33)))


def leaves_child(data):
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    return b"done"


def daemonises_then_hangs(data):
    """Two pids into the file that `data` names: its own, and a daemon's in another session."""
    daemon_pid = os.fork()
    if daemon_pid == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        _note(data, os.getpid())
        hangs(data)
    os.waitpid(daemon_pid, 0)
    _note(data, os.getpid())
    hangs(data)


def _note(path, pid):
    with open(path, "a") as file:
        file.write(f"{pid}\n")


def sees(data):
    with open(os.path.join(tempfile.gettempdir(), "left"), "w") as file:
        file.write("x")
    os.mkdir("locked", 0o000)
    return repr((sorted(os.environ), tempfile.gettempdir(), os.getcwd())).encode()


def fills_disk(data):
    with open("big", "wb") as file:
        for _ in range(64):
            file.write(b"x" * (1 << 20))
    return b"done"


def forks_a_tree(data):
    """64 processes, each in a session of its own, noted in the file that `data` names."""
    for _ in range(6):
        if os.fork() == 0:
            os.setsid()
    _note(data, os.getpid())
    hangs(data)


def kills_its_supervisor(data):
    os.kill(os.getppid(), 9)
    hangs(data)

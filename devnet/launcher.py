"""Starts a node that cannot outlive its devnet: `python -m devnet.launcher PARENT_PID PROGRAM ...`

Linux' PR_SET_PDEATHSIG (prctl(2)) kills the process when the thread that started it ends, however
that happened; the setting survives the exec below. It is made here, in a process of its own, and
not between fork and exec of the devnet, which has threads. Other systems have no such call:
there only an orderly end of the devnet ends its nodes.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # it ended before the call above
        sys.exit(1)
    os.execv(program[0], program)


if __name__ == "__main__":
    main()

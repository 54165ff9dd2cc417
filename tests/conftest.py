"""What holds for all tests, also on the two processes that `make test` runs them on."""

import os
import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Whoever runs the tests in the background ignores Ctrl-C, and processes inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Each of the hundreds of processes would compile all its modules anew, a third of its start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ.pop("COLUMNS", None)  # xdist sets it, and what no terminal shows has no width

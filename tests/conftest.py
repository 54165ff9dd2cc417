"""What holds for all tests, also on the two processes that `make test` runs them on."""

import os
import signal

from hypothesis import settings

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Whoever runs the tests in the background ignores Ctrl-C, and processes inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Each of the hundreds of processes would compile all its modules anew, a third of its start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ.pop("COLUMNS", None)  # xdist sets it, and what no terminal shows has no width

# No test asserts how fast it is: a loaded machine is no failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

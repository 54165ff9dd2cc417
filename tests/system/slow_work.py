"""A capability that takes its time and says how far it is: `python slow_work.py SECONDS`."""

import sys
import time

begun, needed = time.monotonic(), float(sys.argv[1])
data = sys.stdin.buffer.read()
while (passed := time.monotonic() - begun) < needed:
    with open("progress", "w") as file:
        file.write(f"{100 * passed / needed:.0f}")
    time.sleep(0.05)
sys.stdout.buffer.write(data[::-1])

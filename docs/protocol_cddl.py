"""Print docs/protocol.cddl, the schema of every message, from the program.

python docs/protocol_cddl.py          print it
python docs/protocol_cddl.py --write  write it
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from devnet.vectors.cddl import TARGET, generate  # noqa: E402

if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        TARGET.write_text(generate(), encoding="utf-8")
    else:
        print(generate(), end="")

"""`python -m node.healthcheck`: exit code 0 when the node of this home answers.

For the HEALTHCHECK of a container, every few seconds: it reads `node.json`, asks `/health` and
imports nothing that takes long.
"""

import http.client
import json
import os
import sys
from pathlib import Path

TIMEOUT_S = 3.0
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def check(home: Path) -> str | None:
    """Why the node of `home` is not healthy; None when it is."""
    try:
        info = json.loads((home / "node.json").read_bytes())
        address, port = str(info["api_address"]), int(info["api_port"])
    except (OSError, ValueError, KeyError, TypeError):
        return "no node is running: its node.json cannot be read"
    connection = http.client.HTTPConnection(_ANY.get(address, address), port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/health")
        response = connection.getresponse()
        status = json.loads(response.read()).get("status")
    except (OSError, ValueError, AttributeError, http.client.HTTPException) as error:
        return f"the API does not answer: {error}"
    finally:
        connection.close()
    return None if response.status == 200 and status == "ok" else f"the API answers {status!r}"


def main() -> int:
    trouble = check(Path(os.environ.get("ECONODE_HOME") or Path.home() / ".econode"))
    if trouble is not None:
        sys.stderr.write(f"{trouble}\n")
    return trouble is not None


if __name__ == "__main__":
    sys.exit(main())

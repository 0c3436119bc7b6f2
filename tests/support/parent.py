"""A process that starts servers and then only lives, to be killed by tests: `python -m tests.support.parent DATA`.

It prints one line when the servers run: their process ids and URLs, as JSON.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from local.postgres import Postgres
from local.valkey import Valkey


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: None)
    data = Path(sys.argv[1])
    postgres, valkey = Postgres(data / "postgres"), Valkey(data / "valkey")
    postgres.start()
    valkey.start()
    found = {"pids": [postgres.pid, valkey.pid], "postgres": postgres.admin_url, "valkey": valkey.url}
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()
    signal.pause()
    valkey.stop()
    postgres.stop()


if __name__ == "__main__":
    main()

"""What run.py does, with runs that count: `python -m tests.kit.count CONF ARGUMENTS`, CONF by `write_conf`."""

import sys
from pathlib import Path

from geocompose.cli import main
from geocompose.launchers import fork_server

if __name__ == "__main__":
    fork_server.PRELOADED = [fork_server.PRELOADED[0], "tests.kit.counted_runs"]
    conf = Path(sys.argv.pop(1)).absolute()
    main(conf)

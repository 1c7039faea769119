"""What run.py does, with runs of searches: `python -m tests.kit.searching CONF ARGUMENTS`, CONF by `write_conf`."""

import sys
from pathlib import Path

from geocompose.cli import main
from geocompose.launchers import fork_server

if __name__ == "__main__":
    fork_server.PRELOADED = [fork_server.PRELOADED[0], "tests.kit.searched_runs"]
    main(Path(sys.argv.pop(1)).absolute())

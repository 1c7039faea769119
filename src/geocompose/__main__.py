"""The command `geocompose`: from any folder what `run.py` does, `geocompose backbone=prithvi decoder=upernet`."""

from geocompose.cli import main as run
from geocompose.program import conf_dir


def main() -> None:
    """Run what the command line says, with the configuration that the package has."""
    run(conf_dir())


if __name__ == "__main__":
    main()

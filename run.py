"""Compose a model from conf/ and run an action on it: `python run.py backbone=prithvi decoder=upernet`."""

from pathlib import Path

from geocompose.cli import main

if __name__ == "__main__":
    main(Path(__file__).resolve().parent / "conf")

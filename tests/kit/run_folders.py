"""Runs' folders in any state, made without training; and another process that computes one."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from geocompose.runs import Record, RunFolder

ID = "0123456789"
HOLD = """
import os, sys, time
from geocompose.runs import Record, RunFolder
run = RunFolder(sys.argv[1])
with run.lock():
    run.begin(Record(run_id="0123456789"), config="a: 1\\n", overrides=[])
    run.last.write_text("state")
    if sys.argv[2] == "fork":
        child = os.fork()
        if child == 0:
            print(os.getpid(), flush=True)
            time.sleep(60)
            os._exit(0)
        time.sleep(0.2)
    print("held", flush=True)
    time.sleep(60)
"""


def begin(run: RunFolder, **options: object) -> Record:
    return run.begin(Record(run_id=ID), config="seed: 0\n", overrides=["optimizer.lr=1"], **options)


def complete(run: RunFolder, checkpoint: bool = True) -> RunFolder:
    with run.lock():
        record = begin(run)
        if checkpoint:
            run.best.write_bytes(b"weights")
        record.metrics["test/mIoU"] = 0.5
        run.finish(record)
    return run


@contextmanager
def holding(run: RunFolder, how: str = "plain") -> Iterator[tuple[subprocess.Popen, list[str]]]:
    """Let another process compute the run until the block ends."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(run.path), how], stdout=subprocess.PIPE, text=True)
    said = []
    try:
        while (line := process.stdout.readline().strip()) != "held":
            assert line, "the holding process ended early"
            said.append(line)
        yield process, said
    finally:
        process.kill()
        process.wait()
        process.stdout.close()

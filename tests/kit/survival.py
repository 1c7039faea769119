"""Sweeps that are killed at drawn moments and begun again, and what must be true of their study meanwhile and after.

    python -m tests.kit.survival --real --cells 60 --kills 10 --ways one two slices

does so with runs of a tiny network (without --real: with runs that count), and prints what it saw.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

import psutil

from geocompose.launchers import fork_server
from tests.kit.command import SMALL
from tests.kit.counted_runs import write_conf
from tests.kit.jobs import servers, wait_until
from tests.kit.places import ROOT

Way = Literal["one", "two", "slices"]
SLICES = ("1/2", "2/2", "2/3")  # each cell is in one at least, and most are in two


@dataclass
class Study:
    """One study in a folder of its own, and those who compute it.

    folder: the working directory. seconds: how long after a cell is begun, or after the start, a kill comes.
    """

    folder: Path
    commands: list[list[str]]
    cells: int
    seconds: tuple[float, float]
    processes: dict[int, subprocess.Popen] = field(default_factory=dict)
    completed: dict[str, bytes] = field(default_factory=dict)
    kills: list[str] = field(default_factory=list)
    starts: int = 0
    log: IO[bytes] | None = None

    def begin(self) -> None:
        """Start each process that does not run."""
        self.log = self.log or open(self.folder / "output.txt", "ab")  # noqa: SIM115 - the processes write to it
        for number, command in enumerate(self.commands):
            process = self.processes.get(number)
            if process is None or process.poll() is not None:
                self.starts += 1
                self.processes[number] = subprocess.Popen(
                    command, cwd=self.folder, stdout=self.log, stderr=subprocess.STDOUT
                )

    def look(self) -> None:
        """Read every record: each parses at any moment, and a completed one never changes."""
        for path in self.folder.glob("outputs/*/*/record.json"):
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue  # a run that is begun anew
            record = json.loads(content)
            name = path.parent.name
            if name in self.completed:
                assert self.completed[name] == content, f"{name} was computed again"
            elif record["status"] == "completed":
                self.completed[name] = content

    def watch(self, seconds: float) -> None:
        """Look for so long, or until no process runs."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and any(each.poll() is None for each in self.processes.values()):
            self.look()
            time.sleep(0.1)

    def works(self) -> bool:
        """Return whether a cell is computed."""
        alive = [each.pid for each in self.processes.values() if each.poll() is None]
        return not alive or any(server.children() for pid in alive for server in servers(pid))

    def kill(self, rng: random.Random) -> None:
        """Kill a sweep, a worker or both."""
        victim = rng.choice(("sweep", "worker", "both"))
        alive = [each for each in self.processes.values() if each.poll() is None]
        if not alive:
            self.kills.append("nobody: all had ended")
            return
        process = rng.choice(alive)
        server = servers(process.pid)
        workers = server[0].children() if server else []
        if victim == "worker" and not workers:
            victim = "sweep"
        if victim in ("worker", "both") and workers:
            worker = rng.choice(workers)
            worker.kill()
            wait_until(lambda: not fork_server.is_alive(worker.pid))
        if victim in ("sweep", "both"):
            process.kill()
            process.wait()
            for each in (*server, *workers):
                wait_until(lambda each=each: not fork_server.is_alive(each.pid), seconds=5)
        self.kills.append(f"{victim} ({len(workers)} workers, {len(self.completed)} cells done)")

    def survive(self, kills: int, rng: random.Random) -> None:
        """Compute the study with so many kills on the way."""
        try:
            for _ in range(kills):
                self.begin()
                if rng.random() < 0.75:  # else while cells are composed, planned and tried
                    wait_until(self.works, seconds=300)
                self.watch(rng.uniform(*self.seconds))
                self.kill(rng)
            for _ in range(5):
                self.begin()
                self.watch(3600)
                self.look()
                if len(self.completed) == self.cells:
                    break
        finally:
            for process in self.processes.values():
                process.kill()
                process.wait()
            if self.log is not None:
                self.log.close()

    def metrics(self) -> dict[str, dict[str, float]]:
        """Return the metrics of each run; all are completed, each once."""
        names = [path.parent.name for path in self.folder.glob("outputs/*/*/config.yaml")]
        assert len(names) == self.cells == len(self.completed), f"{len(names)} runs, {len(self.completed)} completed"
        assert len({name.rpartition("-")[2] for name in names}) == self.cells
        return {name: json.loads(content)["metrics"] for name, content in self.completed.items()}


def commands(way: Way, cells: int, conf: Path | None, step_s: float = 0.0) -> list[list[str]]:
    """Return those who compute a study. conf: of runs that count, step_s: how fast; None: real ones."""
    program = [sys.executable, str(ROOT / "run.py")]
    rest = [*SMALL, "launcher=local"]
    if conf is not None:
        program, rest = [sys.executable, "-m", "tests.kit.count", str(conf)], [f"action.step_s={step_s}"]
    sweep = [*program, "-m", *rest, "study=s", "launcher.workers=2", f"seed=range(0,{cells})"]
    if way == "slices":
        work = [*program, *([] if conf else ["launcher=local"]), "action=work", "study=s", "launcher.workers=1"]
        return [[*work, f"action.slice={part}"] for part in SLICES]
    return [sweep] * {"one": 1, "two": 2}[way]


def compare(folder: Path, ways: Sequence[Way], cells: int, kills: int, seed: int, *, real: bool = False) -> list[Study]:
    """Compute a study undisturbed and one per way with kills, hold them against the first, and return them."""
    conf = None if real else write_conf(folder / "conf")
    seconds = (0.0, 20.0) if real else (0.0, 3.0)
    calm = Study(folder / "calm", commands("one", cells, conf), cells, seconds)
    calm.folder.mkdir(parents=True)
    calm.survive(0, random.Random(seed))
    expected = calm.metrics()
    studies = []
    for way in ways:
        killed = Study(folder / way, commands(way, cells, conf, 0.1), cells, seconds)
        killed.folder.mkdir()
        if way == "slices":  # a plan without runs
            shutil.copytree(calm.folder / "outputs", killed.folder / "outputs", ignore=shutil.ignore_patterns("*-*"))
        began = time.monotonic()
        killed.survive(kills, random.Random(seed))
        assert killed.metrics() == expected, "the metrics are not those of the undisturbed sweep"
        seconds_taken = time.monotonic() - began
        print("killed:", *killed.kills, sep="\n  ", flush=True)
        print(
            f"{way}: {cells} cells, {len(killed.kills)} kills, {killed.starts} starts, {seconds_taken:.0f} s: "
            "every cell completed once, all metrics as undisturbed",
            flush=True,
        )
        studies.append(killed)
    return studies


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ways", choices=["one", "two", "slices"], nargs="+", default=["one", "two", "slices"])
    parser.add_argument("--cells", type=int, default=60)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=20250)
    parser.add_argument("--real", action="store_true")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="survival-"))
    print(f"in {folder}; {psutil.cpu_count()} cores", flush=True)
    compare(folder, given.ways, given.cells, given.kills, given.seed, real=given.real)


if __name__ == "__main__":
    main()

"""A run that several processes compute: the first one decides, holds the lock and writes; the others do their part."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from geocompose.actions.preparation import prepared
from geocompose.configuration.working_folder import search_working_folder, targets_in
from geocompose.data.preflight import data_source
from geocompose.launchers.companions import companions
from geocompose.runs import RunFolder
from geocompose.training.processes import Processes, free_port, met, told_by_the_first


@dataclass(frozen=True)
class Part:
    """What the other processes are to do: see `geocompose.training.computation.compute`."""

    folder: Path
    train: bool
    resume: bool
    test: bool


class Lead:
    """The first process's hold on the others."""

    def __init__(self, processes: Processes, config: Mapping[str, Any]) -> None:
        if processes.size > 1 and not processes.outside:
            processes = replace(processes, port=free_port())
        self.processes = processes
        self._config = config
        self._told = False

    @contextmanager
    def together(self, part: Part) -> Iterator[None]:
        """Let all processes work for the block: the others do their `part` and end."""
        self._told = True
        with (
            companions(self.processes, _follow_here, (dict(self._config), part)),
            met(self.processes, self._config["trainer"]["accelerator"]),
        ):
            if self.processes.outside:
                told_by_the_first(self.processes, part)
            yield

    def release(self) -> None:
        """Let those that wait for their part go, if they were not told one: there is nothing to compute."""
        if self.processes.outside and not self._told:
            with met(self.processes, self._config["trainer"]["accelerator"]):
                told_by_the_first(self.processes, None)


@contextmanager
def leading(processes: Processes, config: Mapping[str, Any]) -> Iterator[Lead]:
    """Lead the other processes in the block, which ends with all of them told what to do."""
    lead = Lead(processes, config)
    try:
        yield lead
    finally:
        lead.release()


def follow(processes: Processes, config: Mapping[str, Any]) -> None:
    """Be another process of a run, started by torchrun or Slurm: wait for a part and do it, silently."""
    logging.getLogger("geocompose").setLevel(logging.ERROR)
    with met(processes, config["trainer"]["accelerator"]):
        part = told_by_the_first(processes, None)
        if isinstance(part, Part):
            _accompany(processes, config, part)


def _follow_here(processes: Processes, config: dict[str, Any], part: Part) -> None:
    """Be another process of a run, started by the first one."""
    logging.getLogger("geocompose").setLevel(logging.ERROR)
    search_working_folder(targets_in(config))
    with met(processes, config["trainer"]["accelerator"]):
        _accompany(processes, config, part)


def _accompany(processes: Processes, config: Mapping[str, Any], part: Part) -> None:
    folder = RunFolder(part.folder)
    session = prepared(config, data_source(config["data"]), folder, processes)
    from geocompose.training.computation import accompany

    accompany(session, folder, train=part.train, resume=part.resume, test=part.test)

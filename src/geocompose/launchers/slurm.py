"""launcher=slurm: cells in the jobs of a Slurm array, handed over by submitit."""

import logging
import re
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from geocompose.errors import UserError, at_least, counted, first_line, shortened
from geocompose.launchers.engine import Ended, Job, Started
from geocompose.launchers.local import LocalEngine
from geocompose.launchers.needed import launcher_package
from geocompose.launchers.pack import Pack, packs, told_of
from geocompose.launchers.stopping import Stopped, StopRequest, stop_requests

if TYPE_CHECKING:
    import submitit
    from submitit.helpers import DelayedSubmission

log = logging.getLogger("geocompose")

_LOOK_S = {"slurm": 10.0, "local": 0.5}  # submitit itself asks Slurm less often


class ArrayJob(Pack):
    """A pack that submitit hands to Slurm, and once more when the job is preempted or its time is nearly over."""

    def checkpoint(self) -> "DelayedSubmission":
        """Return what is handed over again: the jobs that are not over, which go on from their checkpoints."""
        from submitit.helpers import DelayedSubmission

        rest = self.rest()
        return DelayedSubmission(ArrayJob(rest.jobs, rest.engine, rest.until_s, rest.ended))


@dataclass(frozen=True)
class SlurmEngine:
    """Computes jobs in a Slurm array, which submitit submits; each job in a process of its own.

    cluster: slurm, or local: submitit's own processes on this machine, all at once, for trying out.
    cells_per_job: how many cells one job of the array computes. cells_at_once: how many of these at a time.
    max_parallel: how many jobs of the array may run at a time. job_minutes: a job's time limit; half-finished cells are
    handed over again, `requeues` times at most (preemptions not counted). partition, account, qos, cpus, gpus,
    job_memory_gb: what each job asks Slurm for; None: what Slurm gives. extra: further options of sbatch, such as
    constraint=a100 or exclusive. setup: shell lines before the job's command. wait: until all have ended; False: until
    they are submitted.
    timeout_minutes, memory_gb: of a cell, hours: of the whole, see `LocalEngine`.

    Raises:
        UserError: a number is out of range, or submitit is not installed.
    """

    cluster: Literal["slurm", "local"] = "slurm"
    cells_per_job: int = 1
    cells_at_once: int = 1
    max_parallel: int = 32
    job_minutes: int = 240
    requeues: int = 10
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    cpus: int = 4
    gpus: int = 0
    job_memory_gb: float | None = None
    extra: Sequence[str] = ()
    setup: Sequence[str] = ()
    wait: bool = True
    timeout_minutes: float | None = None
    memory_gb: float | None = None
    hours: float | None = None

    def __post_init__(self) -> None:
        least = {"cells_per_job": 1, "cells_at_once": 1, "max_parallel": 1, "job_minutes": 1, "requeues": 0, "cpus": 1}
        for name, number in {**least, "gpus": 0}.items():
            at_least(f"launcher.{name}", getattr(self, name), number)
        self._on_the_node()  # checks the rest
        _options(self.extra)
        launcher_package("submitit", "slurm")

    def compute(self, jobs: Sequence[Job], told: Callable[[Started | Ended], None]) -> None:
        """Compute jobs, and tell of each one its start and its end; without `wait`, of their start alone.

        Raises:
            Stopped: SIGINT or SIGTERM came, and the array was cancelled; or SIGHUP, and it goes on without this.
            UserError: Slurm takes no jobs here.
        """
        if not jobs:
            return
        made = [
            ArrayJob(pack.jobs, pack.engine, pack.until_s)
            for pack in packs(jobs, self.cells_per_job, self._on_the_node(), self.hours)
        ]
        with stop_requests() as stop:  # from here on, so that no array is left behind
            submitted = self._submitted(made, jobs[0].log.parent / "slurm")
            for job in jobs:
                told(Started(job))
            names, folder = shortened([job.job_id for job in submitted], 4), jobs[0].log.parent / "slurm"
            log.info("%s submitted: %s; their output is in %s.", counted(len(submitted), "job"), names, folder)
            if self.wait or stop.numbers:
                self._wait(dict(zip(submitted, made, strict=True)), told, stop)
            else:
                log.info("action=status study=%s tells how far they are.", jobs[0].log.parent.parent.name)

    def _on_the_node(self) -> LocalEngine:
        return LocalEngine(self.cells_at_once, self.timeout_minutes, self.memory_gb, "auto", self.hours)

    def _submitted(self, made: Sequence[ArrayJob], folder: Path) -> "list[submitit.Job[list[Ended]]]":
        submitit = launcher_package("submitit", "slurm")
        retries = {f"{self.cluster}_max_num_timeout": self.requeues}
        try:
            executor = submitit.AutoExecutor(folder, cluster=self.cluster, **retries)
        except RuntimeError as error:  # there is no sbatch
            raise UserError(
                f"launcher=slurm can't submit jobs here: {first_line(error)}. Run it where sbatch is; "
                "launcher.cluster=local tries it on this machine."
            ) from error
        executor.update_parameters(
            name="geocompose",
            timeout_min=self.job_minutes,
            cpus_per_task=self.cpus,
            gpus_per_node=self.gpus,
            mem_gb=self.job_memory_gb,
            slurm_partition=self.partition,
            slurm_account=self.account,
            slurm_qos=self.qos,
            slurm_array_parallelism=self.max_parallel,
            slurm_additional_parameters={"requeue": True, **_options(self.extra)},
            slurm_setup=list(self.setup) or None,
        )
        with executor.batch():  # one array
            return [executor.submit(each) for each in made]

    def _wait(
        self,
        waiting: "dict[submitit.Job[list[Ended]], ArrayJob]",
        told: Callable[[Started | Ended], None],
        stop: StopRequest,
    ) -> None:
        cancelled = False
        while waiting:
            for job in [each for each in waiting if each.done()]:
                pack = waiting.pop(job)
                error = job.exception()
                if error is None:
                    told_of(pack, job.result(), None, told)
                else:
                    why = "cancelled" if cancelled else f"ended without a result ({job.state})"
                    told_of(pack, [], f"its Slurm job {job.job_id} was {why}; see {job.paths.stderr}", told)
            if stop.numbers and not cancelled:
                if stop.numbers[0] == signal.SIGHUP:
                    log.warning("The terminal has gone; the jobs go on without this process.")
                    raise Stopped(signal.SIGHUP)
                log.warning("The sweep is stopped: its Slurm jobs are cancelled.")
                cancelled = True
                for job in waiting:
                    job.cancel()
            if waiting:
                time.sleep(_LOOK_S[self.cluster] if not cancelled else 0.5)
        if cancelled:
            raise Stopped(stop.numbers[0])


def _options(texts: Sequence[str]) -> dict[str, str | bool]:
    """Return options of sbatch by their names; one without a value is a flag."""
    found: dict[str, str | bool] = {}
    for text in texts:
        name, sign, value = text.strip().lstrip("-").partition("=")
        if not re.fullmatch(r"[a-z][a-z0-9-]*", name) or (sign and not value) or "\n" in value:
            raise UserError(
                f"launcher.extra must be options of sbatch, such as constraint=a100 or exclusive; got {text!r}."
            )
        found[name] = value if sign else True
    return found

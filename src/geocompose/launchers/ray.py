"""launcher=ray: a Ray task per cell, on this machine or on a cluster."""

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from geocompose.errors import UserError, at_least, first_line
from geocompose.launchers.engine import Ended, Job, Started
from geocompose.launchers.local import LocalEngine
from geocompose.launchers.needed import launcher_package
from geocompose.launchers.pack import Pack, packs, told_of
from geocompose.launchers.stopping import Stopped, StopRequest, stop_requests
from geocompose.launchers.watched import SAVING_S

if TYPE_CHECKING:
    from ray import ObjectRef

log = logging.getLogger("geocompose")

_LOOK_S = 0.5
_STORE_BYTES = 100 * 2**20  # of a local instance's shared memory; cells hand each other nothing


@dataclass(frozen=True)
class RayEngine:
    """Computes jobs as Ray tasks; each job in a process of its own where its task runs.

    address: of the cluster that is joined, auto for the one that runs on this machine; None starts an instance for this
    sweep. cpus, gpus: what each cell takes; a part of a GPU where several may share it. retries: how often a task is
    begun again when its node or its worker dies; its run goes on from its checkpoint. timeout_minutes, memory_gb: of a
    cell, hours: of the whole, see `LocalEngine`.

    Raises:
        UserError: a number is out of range, or ray is not installed.
    """

    address: str | None = None
    cpus: float = 1
    gpus: float = 0
    retries: int = 3
    timeout_minutes: float | None = None
    memory_gb: float | None = None
    hours: float | None = None

    def __post_init__(self) -> None:
        for name in ("cpus", "gpus", "retries"):
            at_least(f"launcher.{name}", getattr(self, name), 0)
        self._on_the_node()  # checks the rest
        launcher_package("ray", "ray")

    def compute(self, jobs: Sequence[Job], told: Callable[[Started | Ended], None]) -> None:
        """Compute jobs, and tell of each one its start and its end.

        Raises:
            Stopped: SIGINT, SIGTERM or SIGHUP came; the running jobs have been asked to save what they had.
            UserError: the cluster can't be joined, or no machine here has what a cell takes.
        """
        ray = launcher_package("ray", "ray")
        ours = not ray.is_initialized()
        if ours:
            self._join(ray)
        try:
            with stop_requests() as stop:  # after Ray has set what it makes of signals
                self._compute(ray, jobs, told, stop)
            if stop.numbers:
                raise Stopped(stop.numbers[0])
        finally:
            if ours:
                ray.shutdown()

    def _on_the_node(self) -> LocalEngine:
        return LocalEngine(1, self.timeout_minutes, self.memory_gb, None, self.hours)

    def _join(self, ray: ModuleType) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")  # a cell without GPUs sees none
        own = {"include_dashboard": False, "object_store_memory": _STORE_BYTES} if self.address is None else {}
        try:
            ray.init(address=self.address or "local", log_to_driver=False, logging_level="warning", **own)
        except (ConnectionError, ValueError) as error:
            raise UserError(
                f"launcher.address={self.address}: this Ray cluster can't be joined ({first_line(error)}). Give the "
                "address that `ray status` shows there, or leave it out to compute on this machine."
            ) from error
        there = ray.cluster_resources()
        for name, wanted in (("CPU", self.cpus), ("GPU", self.gpus)):
            if self.address is None and wanted > there.get(name, 0):
                raise UserError(
                    f"launcher.{name.lower()}s={wanted:g} is more than this machine has ({there.get(name, 0):g}), so "
                    "that no cell would ever begin. Lower it, or join a cluster by launcher.address."
                )

    def _compute(
        self, ray: ModuleType, jobs: Sequence[Job], told: Callable[[Started | Ended], None], stop: StopRequest
    ) -> None:
        task = ray.remote(_computed).options(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=self.retries)
        waiting: dict[ObjectRef[list[Ended]], Pack] = {}
        for pack in packs(jobs, 1, self._on_the_node(), self.hours):
            told(Started(pack.jobs[0]))
            waiting[task.remote(pack, os.getcwd())] = pack
        give_up_s = float("inf")
        while waiting and time.monotonic() < give_up_s:
            ready, _ = ray.wait(list(waiting), num_returns=1, timeout=_LOOK_S)
            for reference in ready:
                _tell(ray, reference, waiting.pop(reference), told)
            if stop.numbers and give_up_s == float("inf"):
                log.warning("The sweep is stopped: the running cells save what they have.")
                give_up_s = time.monotonic() + SAVING_S + 10
                for reference in waiting:
                    ray.cancel(reference)


def _computed(pack: Pack, folder: str) -> list[Ended]:
    """Compute a pack, in a process of Ray's."""
    try:
        os.chdir(folder)
    except FileNotFoundError as error:
        raise UserError(f"{folder} is not on this node: launcher=ray needs a disk that all nodes share.") from error
    return pack()


def _tell(
    ray: ModuleType, reference: "ObjectRef[list[Ended]]", pack: Pack, told: Callable[[Started | Ended], None]
) -> None:
    try:
        ends, lost = ray.get(reference), None
    except ray.exceptions.TaskCancelledError:
        for job in pack.jobs:
            told(Ended(job, "cancelled", "the sweep was stopped"))
        return
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None) or error
        ends, lost = [], f"its Ray task ended without a result ({first_line(cause)})"
    told_of(pack, ends, lost, told)

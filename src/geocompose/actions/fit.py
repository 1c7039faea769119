"""Train, test and record one model; a finished run only prints its result."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import yaml

from geocompose.actions.judged import judged
from geocompose.actions.next_steps import next_steps
from geocompose.actions.own_command import own_command
from geocompose.actions.preparation import prepared
from geocompose.actions.run_identity import Identifier, Identity, check_run_settings
from geocompose.actions.shared_run import Lead, Part, follow, leading
from geocompose.actions.trial import try_composition
from geocompose.console import console, show_result
from geocompose.data.declaration import DataSource
from geocompose.data.preflight import data_source
from geocompose.errors import TRACEBACK, UserError, at_least
from geocompose.experiment import Experiment
from geocompose.imagery.samples import Target
from geocompose.launchers.runs import computes_runs
from geocompose.runs import Record, RunFolder
from geocompose.runs.atomic import RefusedError, refusals_told
from geocompose.runs.environment import git_diff, git_state, hardware, source_folder, versions
from geocompose.runs.run_log import COURSE, QUIET, RunLog, run_log
from geocompose.runs.watching import StoppedError, Watch
from geocompose.search.settings import NEEDS_SWEEP, is_search
from geocompose.studies.cells import Outcome, outcome_of
from geocompose.studies.standing import is_finished, is_refused
from geocompose.training.processes import processes_of

if TYPE_CHECKING:
    from geocompose.training.session import Session

log = logging.getLogger("geocompose")


@computes_runs(Identifier, try_composition, judged)
def fit(
    experiment: Experiment,
    test: bool = True,
    scene_scores: bool = True,
    strict: bool = False,
    predictions_mb: int | None = 256,
) -> Outcome | None:
    """Compute the configured run, or print the result that it has already; return either.

    None is returned by a process that is not the first of its run, and where a search has stopped the run.

    test: open the test split when the model is trained; a run without it is tested by the same command with it.
    scene_scores: score the whole test scenes too, by overlapping windows, where pixels have labels; a run that was
        tested without them gets them by evaluate.
    strict: of a sweep: end with exit code 1 where a cell is refused, though others were computed.
    predictions_mb: predictions.npz, of the test tiles, is left out where its arrays are larger; 0: never written, None:
        always.

    Raises:
        UserError: a setting can't be, the run failed before (`retry=failed` runs it again), or another process has it.
    """
    _refuse_launcher(experiment)
    if predictions_mb is not None:
        at_least("action.predictions_mb", predictions_mb, 0)
    processes = processes_of(experiment.config["trainer"])
    if processes.size > 1 and experiment.watch is not None:
        raise UserError(
            "A search stops runs of one process alone at an epoch's end: use trainer=default, or search.pruner=none."
        )
    if not processes.first:
        follow(processes, experiment.config)
        return None
    with leading(processes, experiment.config) as lead, run_log() as said:
        return _fit(experiment, lead, _Tested(test, scene_scores, predictions_mb), said)


@dataclass(frozen=True)
class _Tested:
    """What is scored and kept of the test split: see `fit`."""

    test: bool
    scenes: bool
    predictions_mb: int | None


def _fit(experiment: Experiment, lead: Lead, tested: _Tested, said: RunLog) -> Outcome | None:
    QUIET.info(own_command(experiment))
    said.hear(experiment.told)
    config = experiment.config
    check_run_settings(config)  # before the data is looked at
    source = data_source(config["data"])
    identity = Identifier(experiment.conf_dir).identity(experiment, source)
    folder = identity.folder
    if is_finished(folder, config, test=tested.test):
        return _show_finished(experiment, folder)
    _refuse_failed(folder, config)
    if folder.status() == "running":
        with folder.lock():  # says who computes it
            pass
    # Nothing is written, and no earlier result touched, before all that can be wrong has been tried.
    session = prepared(config, source, folder, lead.processes)
    if (rate := experiment.default_rate) is not None:
        log.info("optimizer.lr is %g by default: %s.", rate.rate, rate.source)
    with folder.lock():
        if is_finished(folder, config, test=tested.test):  # by another process that held the lock until now
            return _show_finished(experiment, folder)
        _refuse_failed(folder, config)
        state = "absent" if config["rerun"] else folder.status()
        # A failed run that is tried again goes on as well: what it has learnt until then is not at fault.
        earlier = None if state == "absent" else folder.read()
        trained = earlier is not None and bool(earlier.training.get("finished"))  # and only scores are wanted
        resume = trained or (state in ("interrupted", "failed") and folder.resumable is not None)
        if earlier is not None and resume:
            said.go_on(earlier.said)
        record = folder.begin(
            _record(experiment, source, identity, said),
            config=yaml.safe_dump(config, sort_keys=False),
            overrides=experiment.overrides,
            code_diff=git_diff(source_folder()),
            code=None if identity.own is None else identity.own.files,
            resume=resume,
        )
        if earlier is not None and trained:
            # Figures are drawn again.
            record.training = {key: value for key, value in earlier.training.items() if key != "left_out"}
        elif resume:
            COURSE.info(
                "This run %s; it resumes from its last checkpoint.",
                "was interrupted" if state == "interrupted" else state,
            )
        _compute(
            session, folder, record, said, lead, tested,
            train=not trained, resume=resume, keep=config["trainer"]["keep"], watch=experiment.watch,
            brief=experiment.brief,
        )  # fmt: skip
        if record.stopped_by:
            return None
        _show(record, folder, brief=experiment.brief)
        _show_next(experiment, record, folder)
        return outcome_of(folder, record, computed=True)


def _refuse_launcher(experiment: Experiment) -> None:
    """Refuse a launcher and a search for a single run, which is computed in this process."""
    for text in () if experiment.in_sweep else experiment.overrides:
        if text.lstrip("+").partition("=")[0].partition(".")[0] == "launcher":
            raise UserError(
                f"{text} would change nothing: a single run is computed in this process. Add -m, which makes it a "
                "sweep of one cell for the launcher, or leave it out."
            )
    if not experiment.in_sweep and is_search((experiment.config.get("search") or {}).get("_target_")):
        raise UserError(NEEDS_SWEEP)


def _refuse_failed(folder: RunFolder, config: Mapping[str, Any]) -> None:
    if is_refused(folder, config):
        raise UserError(
            f"This run failed before: {folder.read().error} (log: {folder.log}). retry=failed runs it again."
        )


def _compute(
    session: "Session",
    folder: RunFolder,
    record: Record,
    said: RunLog,
    lead: Lead,
    tested: _Tested,
    *,
    train: bool,
    resume: bool,
    keep: Sequence[str],
    watch: Watch | None,
    brief: bool,
) -> None:
    from geocompose.training.computation import compute

    try:
        with refusals_told(folder.path):
            said.open(folder.log)
            part = Part(folder.path.resolve(), train, resume, tested.test)
            compute(
                session, folder, record, lead.together(part),
                train=train, resume=resume, watch=watch, brief=brief, **asdict(tested),
            )  # fmt: skip
        folder.finish(record, keep)
    except StoppedError as stopped:
        folder.stop(record, stopped.stop)
        COURSE.info("%s", stopped.stop.reason)
    except (KeyboardInterrupt, SystemExit):
        with _as_far_as_possible():
            folder.interrupt(record)
        COURSE.info("The same command resumes this run.")
        raise KeyboardInterrupt from None  # Lightning turns it into an exit
    except RefusedError as error:
        QUIET.error("The system stopped the run.", exc_info=error)
        with _as_far_as_possible():
            folder.interrupt(record, error)
        raise
    except BaseException as error:
        QUIET.error("The run failed.", exc_info=error)
        if not isinstance(error, UserError):
            error.add_note(f"{TRACEBACK} {folder.log}; retry=failed runs it again")
        with _as_far_as_possible():
            folder.fail(record, error)
        raise


@contextmanager
def _as_far_as_possible() -> Iterator[None]:
    """Let the block record how a run ended; where the disk refuses that, its first error is the one to be raised."""
    try:
        yield
    except RefusedError as error:
        log.warning("%s", error)


def _record(experiment: Experiment, source: DataSource | None, identity: Identity, said: RunLog) -> Record:
    config, inputs, own = experiment.config, identity.inputs, identity.own
    record = Record(
        run_id=identity.folder.path.name.rpartition("-")[2],
        command=own_command(experiment),
        choices={group: option for group, option in experiment.choices.items() if not group.startswith("hydra/")},
        seeds={"seed": config["seed"], "data.seed": config["data"].get("seed", 0)},
        versions=versions(),
        git=git_state(source_folder()),
        hardware=hardware(),
        said=said.lines,
    )
    record.training["lr"] = _rate(experiment)
    if own is not None:
        record.code = {"sha256": own.sha256, "files": sorted(own.files), "versions": dict(own.versions)}
    if "data" in inputs:
        record.data["fingerprint"] = inputs["data"]
        record.data["fingerprint_of"] = "every file below root" if source is None else "the files that are read"
    if "weights" in inputs:
        record.weights["sha256"] = inputs["weights"]
    return record


def _rate(experiment: Experiment) -> dict[str, Any]:
    """Return what the record says of the learning rate: the rate, whether it is given or the default, and whose."""
    default = experiment.default_rate
    if default is None:
        return {"rate": experiment.config["optimizer"].get("lr"), "from": "given"}
    return {"rate": default.rate, "from": "default", "source": default.source}


def _show_finished(experiment: Experiment, folder: RunFolder) -> Outcome:
    record = folder.read()
    COURSE.info("This run is already finished. rerun=true computes it again.")
    outcome = outcome_of(folder, record, computed=False)
    if outcome.other_code:
        COURSE.info("It was computed by %s.", outcome.other_code)
    if experiment.in_sweep:
        console().print(f"run: {folder.path}")
    else:
        _show(record, folder)
        _show_next(experiment, record, folder)
    return outcome


def _show(record: Record, folder: RunFolder, *, brief: bool = False) -> None:
    split = "test" if any(name.startswith("test/") for name in record.metrics) else "val"
    target = record.data.get("target")
    unit = None if target is None else Target.from_record(target).unit
    show_result(record.metrics, record.baselines, title=f"{split} split", prefix=f"{split}/", unit=unit, brief=brief)
    out = console()
    last = ", the last one: not converged" if record.training.get("converged") is False else ""
    out.print(
        f"{record.model['parameters']:,} parameters, {record.model['trainable']:,} trainable; best epoch "
        f"{record.training['best_epoch'] + 1} of {record.training['epochs']}{last}; {record.seconds:.0f} s"
    )
    out.print(f"run: {folder.path}")


def _show_next(experiment: Experiment, record: Record, folder: RunFolder) -> None:
    if experiment.in_sweep:
        return
    out = console()
    for word, step in next_steps(experiment, record, folder):
        out.print(f"{word}: {step}")

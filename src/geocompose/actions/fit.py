"""Train, test and record one model; a finished run only prints its result."""

import logging
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from geocompose.actions.collector import collector_paused
from geocompose.actions.early_agreement import check_early
from geocompose.actions.run_inputs import input_hashes
from geocompose.cli import Experiment
from geocompose.configuration.own_code import OwnCode, own_code
from geocompose.console import console, show_result
from geocompose.data.declaration import DataSource
from geocompose.data.preflight import data_source, preflight
from geocompose.errors import UserError, at_least
from geocompose.imagery.band_choice import check_rasters_read, chosen_bands
from geocompose.imagery.bands import check_names
from geocompose.imagery.missing_frames import masks_frames
from geocompose.runs import Record, RunFolder, folder_name, load_rules, run_id
from geocompose.runs.atomic import RefusedError, refusals_told
from geocompose.runs.environment import git_diff, git_state, hardware, source_folder, versions
from geocompose.runs.folder import check_study
from geocompose.runs.other_code import other_code
from geocompose.runs.run_log import COURSE, QUIET, RunLog, run_log
from geocompose.studies.cells import Outcome

if TYPE_CHECKING:
    from geocompose.training.session import Session

log = logging.getLogger("geocompose")

OUTPUTS = Path("outputs")


def fit(experiment: Experiment, test: bool = True, scene_scores: bool = True) -> Outcome:
    """Compute the configured run, or print the result that it has already; return either.

    test: open the test split when the model is trained; a run without it is tested by the same command with it.
    scene_scores: score the whole test scenes too, by overlapping windows, where pixels have labels; a run that was
        tested without them gets them by evaluate.

    Raises:
        UserError: a setting can't be, the run failed before (`retry=failed` runs it again), or another process has it.
    """
    with run_log() as said:
        return _fit(experiment, test, scene_scores, said)


def _fit(experiment: Experiment, test: bool, scene_scores: bool, said: RunLog) -> Outcome:
    QUIET.info(_command())
    said.hear(experiment.told)
    config = experiment.config
    _check_names(config)
    masks_frames(config)  # refuses what can't
    source = data_source(config["data"])
    rules = load_rules(experiment.conf_dir)
    own = own_code(config, rules.volatile)
    inputs = input_hashes(config, source, own)
    folder = _folder(experiment, run_id(config, inputs, rules))
    if _is_done(folder, config, test=test):
        return _show_finished(folder, brief=experiment.in_sweep)
    _refuse_failed(folder, config)
    if folder.status() == "running":
        with folder.lock():  # says who computes it
            pass
    # Nothing is written, and no earlier result touched, before all that can be wrong has been tried.
    session = _prepare(config, source, folder)
    if (rate := experiment.default_rate) is not None:
        log.info("optimizer.lr is %g by default: %s.", rate.rate, rate.source)
    with folder.lock():
        if _is_done(folder, config, test=test):  # by another process that held the lock until now
            return _show_finished(folder, brief=experiment.in_sweep)
        _refuse_failed(folder, config)
        state = "absent" if config["rerun"] else folder.status()
        # A failed run that is tried again goes on as well: what it has learnt until then is not at fault.
        earlier = None if state == "absent" else folder.read()
        trained = earlier is not None and bool(earlier.training.get("finished"))  # and only scores are wanted
        resume = trained or (state in ("interrupted", "failed") and folder.resumable is not None)
        if earlier is not None and resume:
            said.go_on(earlier.said)
        record = folder.begin(
            _record(experiment, source, folder, inputs, own, said),
            config=yaml.safe_dump(config, sort_keys=False),
            overrides=experiment.overrides,
            code_diff=git_diff(source_folder()),
            code=None if own is None else own.files,
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
            session, folder, record, said,
            train=not trained, resume=resume, test=test, scenes=scene_scores, keep=config["trainer"]["keep"],
        )  # fmt: skip
        _show(record, folder)
        return _outcome(record, folder, computed=True)


def _folder(experiment: Experiment, identity: str) -> RunFolder:
    """Return the run's folder; one that is there already under another name of the same parts stays the run's."""
    study = OUTPUTS / experiment.config["study"]
    for there in sorted(study.glob(f"*-{identity}")):
        return RunFolder(there)
    backbone, decoder, peft = (str(experiment.choices.get(group)) for group in ("backbone", "decoder", "peft"))
    return RunFolder(study / folder_name(backbone, decoder, peft, identity))


def _is_done(folder: RunFolder, config: Mapping[str, Any], *, test: bool) -> bool:
    if config["rerun"] or folder.status() != "completed":
        return False
    return not test or any(name.startswith("test/") for name in folder.read().metrics)


def _refuse_failed(folder: RunFolder, config: Mapping[str, Any]) -> None:
    if folder.status() == "failed" and not config["rerun"] and config["retry"] != "failed":
        raise UserError(
            f"This run failed before: {folder.read().error} (log: {folder.log}). retry=failed runs it again."
        )


def _prepare(config: Mapping[str, Any], source: DataSource | None, folder: RunFolder) -> "Session":
    """Build and check everything; the model first, before the training loop's libraries are loaded."""
    # Our own kinds of data are checked before torch is loaded.
    preview = None if source is None else preflight(source, partial(chosen_bands, config))
    if preview is not None:
        check_rasters_read(config, preview.inputs.bands, preview.values.more)
        check_early(config, preview.inputs.bands, preview.values)
        if preview.statistics is not None:
            preview.statistics.plausibility.check()
    built = None
    with collector_paused():
        from geocompose.from_config import build_model, seed_weights

        if preview is not None:
            seed_weights(config["seed"])
            built = build_model(config, inputs=preview.inputs, target=preview.target)
        from geocompose.training.session import prepare

    return prepare(config, preview, built, folder)


def _compute(
    session: "Session",
    folder: RunFolder,
    record: Record,
    said: RunLog,
    *,
    train: bool,
    resume: bool,
    test: bool,
    scenes: bool,
    keep: Sequence[str],
) -> None:
    from geocompose.training.session import compute

    try:
        with refusals_told(folder.path):
            said.open(folder.log)
            compute(session, folder, record, train=train, resume=resume, test=test, scenes=scenes)
        folder.finish(record, keep)
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


def _check_names(config: Mapping[str, Any]) -> None:
    """Refuse names that can't be, before any file is looked at."""
    check_study(config["study"])
    at_least("seed", config["seed"], 0)
    known = config["data"].get("band_names") or []
    for group in ("data", "backbone"):
        check_names(config[group].get("bands") or [], known=known)


def _record(
    experiment: Experiment,
    source: DataSource | None,
    folder: RunFolder,
    inputs: Mapping[str, str],
    own: OwnCode | None,
    said: RunLog,
) -> Record:
    config = experiment.config
    record = Record(
        run_id=folder.path.name.rpartition("-")[2],
        command=_command(),
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


def _command() -> str:
    return shlex.join(["python", *sys.argv])


def _outcome(record: Record, folder: RunFolder, *, computed: bool) -> Outcome:
    assert record.seconds is not None
    rate = record.training.get("lr") or {}
    default_lr = rate["rate"] if rate.get("from") == "default" else None
    code = None if computed else other_code(folder, record)
    return Outcome(folder.path, record.metrics, record.seconds, computed, default_lr, code)


def _show_finished(folder: RunFolder, *, brief: bool) -> Outcome:
    record = folder.read()
    COURSE.info("This run is already finished. rerun=true computes it again.")
    outcome = _outcome(record, folder, computed=False)
    if outcome.other_code:
        COURSE.info("It was computed by %s.", outcome.other_code)
    if brief:
        console().print(f"run: {folder.path}")
    else:
        _show(record, folder)
    return outcome


def _show(record: Record, folder: RunFolder) -> None:
    split = "test" if any(name.startswith("test/") for name in record.metrics) else "val"
    show_result(record.metrics, record.baselines, title=f"{split} split", prefix=f"{split}/")
    out = console()
    out.print(
        f"{record.model['parameters']:,} parameters, {record.model['trainable']:,} trainable; best epoch "
        f"{record.training['best_epoch']} (epochs 0 to {record.training['epochs'] - 1}); {record.seconds:.0f} s"
    )
    out.print(f"run: {folder.path}")

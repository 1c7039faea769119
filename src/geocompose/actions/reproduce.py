"""A recorded run computed again in another study, and compared: metrics within a tolerance, else what differs."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from geocompose.cli import refuse_other_overrides
from geocompose.configuration.checking import check_node
from geocompose.configuration.overrides import says_how
from geocompose.console import console
from geocompose.errors import UserError, counted, shortened
from geocompose.experiment import Action, Experiment, perform
from geocompose.runs import IdentityRules, RecordedRun, RunFolder, load_rules, open_run
from geocompose.runs.atomic import write_json
from geocompose.runs.keys import is_any
from geocompose.studies.cells import Outcome
from geocompose.studies.compared import show_environment, show_reproduced
from geocompose.studies.differences import (
    Difference,
    MetricDifference,
    environment_differences,
    metric_differences,
)
from geocompose.studies.locating import OUTPUTS
from geocompose.studies.settings import NAMED, recorded_choices, typed_overrides

log = logging.getLogger("geocompose")

STUDY = "reproduced"
REPORT = "reproduction.json"
_FIT = "geocompose.actions.fit.fit"
# What is this command's own, whatever the run was computed with: where, when and how, not what.
_OWN = ("study", "debug", "rerun", "retry", "logger", "launcher")


def reproduce(
    experiment: Experiment,
    run: str,
    tolerance: float = 0.001,
    changes: dict[str, object] | None = None,
    trust: list[str] | None = None,
) -> None:
    """Compute the configuration of the completed run in the folder `run` again, and compare the metrics.

    It is computed in the study `reproduced`, or in the one that is given, under the rules of any run: what is finished
    there already is compared at once, and an interrupted one resumes.

    tolerance: of shares (mIoU, F1, accuracy, R2, ECE) the difference itself, of errors and losses the difference as a
        part of the recorded value. changes: keys that change no result, and places of inputs, such as
        {data.root: DIR, trainer.accelerator: cpu}. trust: targets that the run may name beside those in conf/, such as
        [my_lab.Net]: they are imported and called.

    Raises:
        UserError: the run is not there, not completed or can't be computed here; or a metric is beyond the tolerance.
    """
    refuse_other_overrides(experiment, _OWN)
    if not tolerance >= 0:
        raise UserError(f"action.tolerance must be 0 or more; got {tolerance}.")
    rules = load_rules(experiment.conf_dir)
    recorded = open_run(run, rules, experiment.trust(trust), checkpoint=False)
    if recorded.bundle is not None:
        raise UserError(
            f"{recorded.bundle.path} is a bundle, which has a run's model and not all that computed it. Give the run's "
            "own folder; action=evaluate scores a bundle."
        )
    again, action = _again(experiment, recorded, rules, changes or {})
    outcome = perform(again, action)
    assert isinstance(outcome, Outcome)
    _compare(recorded, outcome, tolerance)


def _again(
    experiment: Experiment, recorded: RecordedRun, rules: IdentityRules, changes: Mapping[str, object]
) -> tuple[Experiment, Action]:
    """Return the recorded experiment as it is to be computed here, and the action that does it."""
    folder, record = recorded.folder, recorded.record
    typed = any(map(_is_of_study, experiment.overrides))
    study = experiment.config["study"] if typed else STUDY
    _check_own(recorded)
    if (OUTPUTS / study).resolve() == folder.path.resolve().parent:
        raise UserError(
            f"{folder.path} is itself in the study {study!r}, where it would be computed again. Write study=NAME for "
            "another one."
        )
    config = _changed(recorded.config, changes, rules) | {key: experiment.config.get(key) for key in _OWN}
    config["study"] = study
    root = config["data"].get("root")
    if root is not None and not Path(str(root)).expanduser().is_dir():
        raise UserError(
            f"The run's data is not here: data.root={root} is not an existing folder. Write "
            "'action.changes={data.root: DIR}' to say where it lies now."
        )
    checked = {name: check_node(name, node) if isinstance(node, dict) else node for name, node in config.items()}
    again = replace(
        experiment,
        config=checked,
        choices={**dict.fromkeys(NAMED, "recorded"), **recorded_choices(folder, record)},
        overrides=[*_typed(folder), f"study={study}"],
        default_rate=None,  # here the rate is given, by the record
    )
    given = recorded.config.get("action") or {}
    arguments = {
        "test": any(name.startswith("test/") for name in record.metrics),
        "scene_scores": bool(given.get("scene_scores", any("/scene_" in name for name in record.metrics))),
    }
    return again, Action(_FIT, arguments)


def _is_of_study(override: str) -> bool:
    return override.lstrip("+").startswith("study=")


def _typed(folder: RunFolder) -> list[str]:
    """Return what was typed for the run itself: neither its study nor its sweep's launcher are this command's."""
    return [text for text in typed_overrides(folder, []) if not (_is_of_study(text) or says_how(text))]


def _check_own(recorded: RecordedRun) -> None:
    """Refuse what was recorded without being computed by us, or has nothing to compare."""
    path = recorded.folder.path
    missing = [group for group in ("data", "task", "optimizer", "trainer") if not recorded.config.get(group)]
    if missing:
        raise UserError(
            f"{path} has no {', '.join(missing)} in its configuration, as a run that was imported: it can't be "
            "computed again. action=evaluate scores it."
        )
    target = (recorded.config.get("action") or {}).get("_target_", _FIT)
    if target != _FIT:
        raise UserError(f"{recorded.folder.config}: action is {target}, which is not what computes runs.")
    if not recorded.record.metrics:
        raise UserError(f"{path} has no metrics to compare with.")


def _changed(config: Mapping[str, Any], changes: Mapping[str, object], rules: IdentityRules) -> dict[str, Any]:
    """Return a configuration with other values for keys that do not say what is computed."""
    changed = dict(config)
    for key, value in changes.items():
        steps = tuple(key.split("."))
        free = (*rules.volatile, *rules.contents, *rules.file_names)
        if len(steps) < 2 or not any(is_any(free, steps[:length]) for length in range(2, len(steps) + 1)):
            raise UserError(
                f"action.changes: {key} says what is computed, so that it would be another run. Allowed are keys that "
                "change no result, such as trainer.accelerator, trainer.devices and data.num_workers, and places of "
                "inputs, such as data.root and backbone.ckpt_path."
            )
        _set(changed, steps, value)
    return changed


def _set(config: dict[str, Any], steps: tuple[str, ...], value: object) -> None:
    """Set a value under a key that is there, on copies of what holds it."""
    node = config
    for place, step in enumerate(steps):
        if step not in node or (place < len(steps) - 1 and not isinstance(node[step], Mapping)):
            raise UserError(f"action.changes: the run has no key {'.'.join(steps)}.")
        if place == len(steps) - 1:
            node[step] = value
        else:
            node[step] = dict(node[step])
            node = node[step]


def _compare(recorded: RecordedRun, outcome: Outcome, tolerance: float) -> None:
    folder = RunFolder(outcome.folder)
    record = folder.read()
    out = console()
    out.print(f"\nrecorded:   {recorded.folder.path}\nreproduced: {folder.path}")
    if not outcome.computed:
        out.print("It was computed before; rerun=true computes it again.")
    if record.run_id != recorded.record.run_id:
        log.warning(
            "The run is %s, and was %s: its data, weights or code, or what geocompose computes from one configuration, "
            "are not those of then.", record.run_id, recorded.record.run_id,
        )  # fmt: skip
    found = environment_differences((recorded.folder, recorded.record), (folder, record))
    show_environment(found)
    metrics = [
        each
        for each in metric_differences(recorded.record.metrics, record.metrics)
        if each.name in recorded.record.metrics
    ]
    new = [name for name in record.metrics if name not in recorded.record.metrics]
    if new:
        log.info("Not recorded then, so not compared: %s.", shortened(new, 6))
    show_reproduced(metrics, tolerance)
    beyond = [each for each in metrics if not each.within(tolerance)]
    _report(recorded, folder.path / REPORT, found, metrics, tolerance)
    if beyond:
        differs = shortened([each.field for each in found], 6) or "nothing that is recorded"
        raise UserError(
            f"{len(beyond)} of {counted(len(metrics), 'metric')} are not within action.tolerance={tolerance:g}: "
            f"{shortened([each.name for each in beyond], 6)}. What differs in the environment: {differs}."
        )
    out.print(f"reproduced: {counted(len(metrics), 'metric')} within a tolerance of {tolerance:g}")


def _report(
    recorded: RecordedRun, path: Path, found: list[Difference], metrics: list[MetricDifference], tolerance: float
) -> None:
    write_json(
        path,
        {
            "of": str(recorded.folder.path),
            "tolerance": tolerance,
            "reproduced": all(each.within(tolerance) for each in metrics),
            "metrics": {
                each.name: {"recorded": each.first, "reproduced": each.second, "within": each.within(tolerance)}
                for each in metrics
            },
            "environment": {each.field: [each.first, each.second] for each in found},
        },
    )

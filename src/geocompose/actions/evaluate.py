"""Metrics of a recorded run's best checkpoint, on its own data or on other data."""

import hashlib
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from geocompose.actions.data_to_score import data_to_score, open_as_trained
from geocompose.cli import Experiment, refuse_other_overrides
from geocompose.console import console, show_result
from geocompose.data.tile_table import tile_table
from geocompose.errors import UserError, in_one_line
from geocompose.imagery.missing_frames import masks_frames
from geocompose.imagery.samples import MAPPED, Target
from geocompose.runs import RecordedRun, RunFolder, load_rules, open_run
from geocompose.runs.arrays import write_arrays
from geocompose.runs.atomic import explained, write_json, write_text
from geocompose.runs.run_log import RunLog, run_log

if TYPE_CHECKING:
    from geocompose.data.module import SceneData
    from geocompose.inference.pictures import Answering
    from geocompose.inference.scene_scoring import SceneScores
    from geocompose.inference.trained import TrainedModel
    from geocompose.tasks.split_counts import SplitCounts

log = logging.getLogger("geocompose")


def evaluate(
    experiment: Experiment,
    run: str,
    split: Literal["train", "val", "test"] = "test",
    scene_scores: bool = True,
    data: dict[str, object] | None = None,
    base: str | None = None,
    trust: list[str] | None = None,
) -> None:
    """Score the run in the folder `run`, or a bundle, on a split; write what `fit` does of it in `evaluations`.

    That is scores, those of the data's baselines for the test split, counts per tile, and figures.

    scene_scores: score whole scenes too, by overlapping windows, where pixels have labels.
    data: arguments to lay over the run's own data, such as {root: NEW, batch_size: 4}; a data option on the command
    line (`data=sen1floods11 data.root=DIR`) is other data instead.
    base: the file of weights that the run started from, where it is not in the run and lies elsewhere here; or the
        folder of several.
    trust: targets that the run may name beside those in conf/, such as [my_lab.Net]: they are imported and called.

    Raises:
        UserError: the run is not there or not completed, or the data has other labels or lacks the run's bands.
    """
    with run_log() as said:
        said.hear(experiment.told)
        refuse_other_overrides(experiment, ["data", "experiment"])
        recorded = open_run(run, load_rules(experiment.conf_dir), experiment.trust(trust), base=base)
        _evaluate(experiment, recorded, split, scene_scores, data, said)


def _evaluate(
    experiment: Experiment,
    recorded_run: RecordedRun,
    split: Literal["train", "val", "test"],
    scene_scores: bool,
    data: dict[str, object] | None,
    said: RunLog,
) -> None:
    config, record = recorded_run.config, recorded_run.record
    target = Target.from_record(record.data.get("target"))
    results = _own_folder(recorded_run.folder.path / "evaluations")
    chosen, source, unchanged = data_to_score(experiment, config, record, data)
    from geocompose.inference.pictures import Answering
    from geocompose.inference.products import products_of
    from geocompose.inference.scoring import count_split
    from geocompose.inference.trained import load_trained
    from geocompose.tasks.masking import Masking

    trained = load_trained(recorded_run)
    masks_frames({**config, "data": chosen})  # refuses what can't
    data_module = open_as_trained(chosen, source, trained.data, target, split)
    masking = Masking.of_task(config["task"]) if target.kind == "reconstruction" else None
    with products_of(config):
        counts = count_split(trained.model, data_module, split, target, masking)
    name = hashlib.sha256(json.dumps([split, chosen], sort_keys=True).encode()).hexdigest()[:10]
    destination, beside = results / f"{name}.json", RunFolder(_own_folder(results / name))
    metrics = counts.scores()
    scenes = _scene_scores(trained, data_module, split) if scene_scores and target.kind in MAPPED else None
    if scenes is not None:
        metrics |= scenes.metrics
    result: dict[str, Any] = {
        "split": split,
        "data": chosen,
        "described": data_module.describe(),
        "metrics": metrics,
        **({} if scenes is None else {"scene_scores": scenes.described}),
        "baselines": (record.baselines if unchanged else _baselines(data_module, beside)) if split == "test" else [],
        "said": said.lines,
    }
    _write_counts(beside, counts, split, data_module)
    write_json(destination, result)
    with products_of(config):
        drawn = _draw(beside, Answering(trained.model, counts.target, masking), counts, data_module, split)
    show_result(metrics, result["baselines"], title=f"{split} split of {data_module.name}", prefix="", unit=target.unit)
    for what, place in (("figures", drawn), ("written", destination)):
        if place is not None:
            console().print(f"{what}: {place}")


def _own_folder(folder: Path) -> Path:
    """Return a folder for a run's results, created where it is missing.

    Raises:
        UserError: it is a link, which may lead out of the run's folder, or can't be written.
    """
    if folder.is_symlink():
        raise UserError(
            f"{folder} is a link to {folder.readlink()}; results are written in the run's folder. Remove it."
        )
    with explained(folder):
        folder.mkdir(exist_ok=True)
    return folder


def _write_counts(folder: RunFolder, counts: "SplitCounts", split: str, data: "SceneData") -> None:
    """Write what each tile counts, and which pixels it is, in files of a run's names and formats.

    Raises:
        UserError: the folder can't be written.
    """
    bins = counts.calibration_per_tile()
    place = folder.confusion if counts.target.of_classes else folder.tile_sums
    write_arrays(place, {split: counts.per_tile()})
    if bins is not None:
        write_arrays(folder.calibration, {split: bins})
    of_two = counts.thresholds_per_tile()
    if of_two is not None:
        write_arrays(folder.thresholds, {split: of_two})
    write_text(folder.splits, tile_table(data, [split]))


def _baselines(data: "SceneData", folder: RunFolder) -> list[dict[str, Any]]:
    """Return what the data's baselines, fitted to its own training split, say of its test split; write their counts."""
    from geocompose.data.baselines.rules import count_baselines

    if data.baselines:
        log.info("The baselines are fitted to the training split of these data, not to that of the run.")
    baselines = count_baselines(data, data.baselines)
    write_arrays(folder.baselines, {one.name: one.per_tile for one in baselines if one.per_tile is not None})
    return [one.as_record(data.target) for one in baselines]


def _draw(folder: RunFolder, model: "Answering", counts: "SplitCounts", data: "SceneData", split: str) -> Path | None:
    """Draw the figures of a split, and return their folder; None where that failed, which is said."""
    from geocompose.inference.pictures import draw

    try:
        draw(_own_folder(folder.figures), model, data, split, counts.per_tile())
    except Exception as error:  # noqa: BLE001 - whatever it is, the scores stand
        log.warning("The figures could not be made (%s); the scores are complete without.", in_one_line(error))
        return None
    return folder.figures


def _scene_scores(trained: "TrainedModel", data: "SceneData", split: str) -> "SceneScores | None":
    """Return the scores of whole scenes, or None where the model can't make a map of them, which is said."""
    from geocompose.inference.scene_scoring import score_scenes

    try:
        return score_scenes(trained.on_best_device(), data, split, trained.target)
    except (UserError, RuntimeError) as error:
        log.warning("The scores of whole scenes could not be made (%s); those of the tiles stand.", in_one_line(error))
        return None

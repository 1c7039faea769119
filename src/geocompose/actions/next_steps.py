"""What to do after a run: the lines that close it, each a command or a file."""

from collections.abc import Mapping

from geocompose.actions.own_command import command
from geocompose.configuration.overrides import key_and_value
from geocompose.configuration.own_parts import closed
from geocompose.console import first_metric, number
from geocompose.experiment import Experiment
from geocompose.imagery.samples import MAPPED
from geocompose.runs import Record, RunFolder
from geocompose.scores import better

_OF_MODEL = (
    "backbone",
    "neck",
    "decoder",
    "head",
    "auxiliary",
    "task",
    "data",
    "optimizer",
    "scheduler",
    "trainer",
    "peft",
)
_DECODERS = ("upernet", "unet", "fcn")  # to compare with, where pixels have labels: one of each kind


def next_steps(experiment: Experiment, record: Record, folder: RunFolder) -> list[tuple[str, str]]:
    """Return what to try next after a run, as pairs of a word and a command or a file, the most useful first."""
    steps = []
    better_one = _better_baseline(record)
    if better_one is not None:
        steps.append(("not yet worth it", better_one))
    if record.training.get("converged") is False:
        epochs = str(2 * experiment.config["trainer"]["max_epochs"])
        steps.append(("train longer", _changed(experiment, {"trainer.max_epochs": epochs})))
    elif better_one is not None:
        steps.append(("other rates", _changed(experiment, {"optimizer.lr": "1e-4,3e-4,1e-3"}, sweep=True)))
    if (samples := folder.figures / "samples.png").is_file():
        steps.append(("look at", str(samples)))
    if better_one is None:
        steps.append(("compare", _comparison(experiment, record)))
    if _kind(record) in MAPPED:
        of_run = ["action=predict", f"action.run={folder.path}", "action.input=SCENE.tif", "action.output=map.tif"]
        own = experiment.trust(None).untrusted(
            {key: node for key, node in experiment.config.items() if key in _OF_MODEL}
        )
        trusted = [f"action.trust=[{','.join(own)}]"] if own else []
        steps.append(("make a map", command(experiment, [*of_run, *trusted])))
    return steps


def _kind(record: Record) -> str | None:
    """Return the kind of the labels; None where an earlier version did not record it."""
    return (record.data.get("target") or {}).get("kind")


def _better_baseline(record: Record) -> str | None:
    """Return in words which baseline is better than the model on the test split; None where none is."""
    found = {name.removeprefix("test/"): value for name, value in record.metrics.items() if name.startswith("test/")}
    metric = first_metric(found)
    if metric is None:
        return None
    of_mean = found.get("loss_of_mean")
    if metric == "loss" and of_mean is not None and of_mean < found["loss"]:
        beside = f"loss {number(of_mean)} against {number(found['loss'])}"
        return f"each band's mean, which needs no network, is better ({beside})"
    sign = 1 if better(metric) == "higher" else -1
    scored = [one for one in record.baselines if one["metrics"].get(metric) is not None]
    best = max(scored, key=lambda one: sign * one["metrics"][metric], default=None)
    if best is None or not sign * best["metrics"][metric] > sign * found[metric]:
        return None
    return (
        f"the baseline {best['name']}, which needs no network, is better ({metric} {number(best['metrics'][metric])} "
        f"against {number(found[metric])})"
    )


def _comparison(experiment: Experiment, record: Record) -> str:
    """Return the sweep that says how much is chance, and what another decoder would do."""
    changes = {"seed": "0,1,2"}
    if _kind(record) in MAPPED and (own := experiment.choices.get("decoder")) is not None:
        changes["decoder"] = ",".join(dict.fromkeys([own, *_DECODERS]))
    return _changed(experiment, changes, sweep=True)


def _changed(experiment: Experiment, changes: Mapping[str, str], *, sweep: bool = False) -> str:
    """Return the run's own command with other values, as a sweep where a key has several."""
    dropped = (*changes, "rerun", "retry", "debug")
    kept = [text for text in closed(experiment.overrides) if key_and_value(text)[0] not in dropped]
    new = [f"{key}={value}" for key, value in changes.items()]
    return command(experiment, [*(["-m"] if sweep else []), *kept, *new])

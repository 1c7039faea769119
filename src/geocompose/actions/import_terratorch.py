"""Bring a TerraTorch run along: its YAML as an experiment option, its checkpoint as a run for evaluate and predict."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import yaml

from geocompose.actions.own_command import command
from geocompose.cli import Experiment, refuse_other_overrides
from geocompose.console import console
from geocompose.errors import UserError
from geocompose.migration.experiment_file import ASKED, asked_for, experiment_name, plan_experiment
from geocompose.migration.ledger import Verdict
from geocompose.migration.lightning_yaml import read_yaml
from geocompose.migration.translation import Options, Translation
from geocompose.program import conf_dir, is_installed, words
from geocompose.runs import RunFolder, Trust
from geocompose.runs.fingerprint import hash_file
from geocompose.runs.folder import check_study
from geocompose.studies.locating import OUTPUTS


def import_terratorch(
    experiment: Experiment,
    config: str | None = None,
    ckpt: str | None = None,
    name: str | None = None,
    task: Literal["segmentation", "regression", "classification", "multilabel", "scalar_regression", "reconstruction"]
    | None = None,
    label_names: list[str] | None = None,
    bands: list[str] | None = None,
    mean: list[float] | None = None,
    std: list[float] | None = None,
    tile_px: int | None = None,
    overwrite: bool = False,
    trust: list[str] | None = None,
) -> None:
    """Write experiment/imported/NAME.yaml from the YAML `config`, and a run's folder from the checkpoint `ckpt`.

    One of the two is enough: a YAML makes the experiment alone, a checkpoint the run alone. name: of the experiment,
    and of the study of its runs; the file's, or its folder's, where null. task, label_names (of classes or variables),
    bands, mean, std, tile_px: what the files do not say, or other than they say. overwrite: replace an experiment or a
    run that is there. trust: targets that the files may name, such as [my_lab.Net]: they are imported and called.

    Raises:
        UserError: a file can't be read or understood, something is missing, or the weights don't fit.
    """
    refuse_other_overrides(experiment, ["study"], reason="action=import_terratorch takes all settings from the files")
    if config is None and ckpt is None:
        raise UserError("Give action.config=FILE.yaml, action.ckpt=FILE.ckpt, or both, of a TerraTorch run.")
    yaml_file, ckpt_file = (None if text is None else Path(text).expanduser() for text in (config, ckpt))
    check_study(experiment.config["study"])
    destination = experiment.conf_dir if yaml_file is None else _own_conf(experiment)
    chosen = experiment_name(name, yaml_file, ckpt_file)
    believed = Trust((), tuple(trust or ()))  # TerraTorch's files name no part of ours
    tree, repeated = (None, []) if yaml_file is None else read_yaml(yaml_file)
    if tree is not None:
        believed.check(tree, f"action.config={yaml_file}")
    from geocompose.migration.checkpoint import read_checkpoint  # loads torch
    from geocompose.migration.translate import merged, translate

    checkpoint = None if ckpt_file is None else read_checkpoint(ckpt_file)
    if checkpoint is not None:
        believed.check(checkpoint.arguments, f"action.ckpt={ckpt_file}, hyper_parameters")
    tree, differences = merged(tree, checkpoint.arguments if checkpoint else {})
    beside = None if yaml_file is None else yaml_file.parent
    to = translate(tree, Options(experiment.conf_dir), kind=task, tile_px=tile_px, beside=beside)
    for line in repeated:
        to.ledger.remark(line)
    if label_names is not None:
        _rename_labels(to, label_names)
    _as_told(to, bands, mean, std)
    study = experiment.config["study"] if experiment.config["study"] != "default" else chosen
    planned = None
    if yaml_file is not None:
        from geocompose.migration.trying.experiment import try_experiment

        try_experiment(to, experiment.conf_dir, study)  # nothing is written that could not be run
        origin = [f"From {yaml_file.name}, sha256 {hash_file(yaml_file)}."]
        if ckpt_file is not None and differences:
            origin += [f"And from {ckpt_file.name}, sha256 {hash_file(ckpt_file)}:", *differences]
        planned = plan_experiment(
            to,
            destination,
            chosen,
            origin,
            command=command(experiment, [f"experiment=imported/{chosen}", *asked_for(to)]),
            overwrite=overwrite,
        )
    run = None
    if checkpoint is None:
        assert planned is not None
        planned.write()
    else:
        from geocompose.migration.imported_run import load_model, write_run

        # Nothing is written if it fails.
        loaded = load_model(to, experiment.conf_dir, study, checkpoint, is_settled=planned is not None)
        if planned is not None:
            planned.write()
        entries = to.ledger.entries()
        run = write_run(
            loaded,
            to,
            checkpoint,
            OUTPUTS,
            experiment.conf_dir,
            origin={
                "from": "TerraTorch",
                "config": config,
                "ckpt": ckpt,
                "settings": {key: f"{entry.verdict}: {entry.note}" for key, entry in entries.items()},
                "remarks": to.ledger.remarks,
                "differences": differences,
                "left_out": checkpoint.dropped,
            },
            overrides=experiment.overrides,
            overwrite=overwrite,
        )
    _show(to, differences, checkpoint.dropped if checkpoint else [])
    out = console()
    if to.here:
        out.print(
            "here: there is no accelerator for half precision; on a processor TerraTorch trains as "
            f"{' '.join(to.here)} says, and so does the command below."
        )
    if planned is not None:
        typed = command(experiment, [f"experiment=imported/{chosen}", *to.here, *asked_for(to)])
        out.print(f"experiment: {planned.path}\n  {typed}")
    if run is not None:
        out.print(f"run: {run.path}\n  {_evaluate_command(run)}")


def _evaluate_command(run: RunFolder) -> str:
    """Return the command that scores a run; what it has to be told of data that is not here stands in capitals."""
    from geocompose.migration.trying.composition import UNKNOWN

    overrides = ["action=evaluate", f"action.run={run.path}"]
    if "fingerprint" not in run.read().data:
        data = yaml.safe_load(run.config.read_text())["data"]
        unknown = [
            key for key, value in data.items() if UNKNOWN in (value.values() if isinstance(value, dict) else [value])
        ]
        asked = ["root", *(key for key in unknown if key != "root")]
        places = [f"{key}: {ASKED.get('data.' + key, key.upper())}" for key in asked]
        overrides.append(f"action.data={{{', '.join(places)}}}")
    return shlex.join([*words(), *overrides])


def _own_conf(experiment: Experiment) -> Path:
    """Return the folder of config groups that experiments are written to: the user's, or that of the checkout at work.

    Raises:
        UserError: there is none but that of the installed package, or of a checkout elsewhere.
    """
    if experiment.own_dirs:
        return experiment.own_dirs[0]
    elsewhere = not Path.cwd().is_relative_to(conf_dir().parent)
    if experiment.conf_dir == conf_dir() and (is_installed() or elsewhere):
        place = (
            "the installed package" if is_installed() else f"the checkout in {conf_dir().parent} from another folder"
        )
        raise UserError(
            f"Experiments are not written into {place}. Give a folder of yours, which has to be there: "
            "--config-dir=my_conf gets my_conf/experiment/imported/NAME.yaml."
        )
    return experiment.conf_dir


def _as_told(to: Translation, bands: list[str] | None, mean: list[float] | None, std: list[float] | None) -> None:
    """Put what the command line says in place of what the files say.

    Raises:
        UserError: not as many bands or numbers as the model reads bands, or two bands of one name.
    """
    if bands is not None:
        _rename_bands(to, bands)
    if mean is not None or std is not None:
        to.mean, to.std = (own if given is None else given for given, own in ((mean, to.mean), (std, to.std)))
        count = len(to.mean or ()) if to.bands is None else len(to.bands)
        if not count or len(to.mean or ()) != count or len(to.std or ()) != count:
            bands_read = "" if to.bands is None else f"; the model reads {count} bands ({', '.join(to.bands)})"
            raise UserError(
                f"action.mean={mean} and action.std={std}: both are needed, of the files or given here, with a number "
                f"per band{bands_read}."
            )
        to.set("data.normalize", {"mean": to.mean, "std": to.std})


def _rename_bands(to: Translation, names: list[str]) -> None:
    """Call the bands that the model reads by these names, in the files too.

    Raises:
        UserError: there are more or fewer of them, or another band of the files has such a name.
    """
    read = to.bands
    if read is not None and len(read) != len(names):
        raise UserError(
            f"action.bands has {len(names)} names, but the model reads {len(read)} bands ({', '.join(read)}); name "
            "each of them, in this order."
        )
    of_files = to.values.get("data", {}).get("band_names")
    if of_files is not None and read is not None:
        renamed = dict(zip(read, names, strict=True))
        others = [name for name in of_files if name not in renamed]
        twice = next((name for name in names if name in others or names.count(name) > 1), None)
        if twice is not None:
            raise UserError(
                f"action.bands: two bands would be called {twice}. The files have {', '.join(of_files)}, of which the "
                f"model reads {', '.join(read)}; give each a name of its own."
            )
        to.set("data.band_names", [renamed.get(name, name) for name in of_files])
    to.bands = list(names)
    to.set("data.bands", names)
    to.set("backbone.bands", names)


def _rename_labels(to: Translation, names: list[str]) -> None:
    """Call the classes or variables by these names.

    Raises:
        UserError: there are more or fewer of them.
    """
    if len(names) != len(to.names):
        raise UserError(
            f"action.label_names has {len(names)} names, but the model has {len(to.names)} outputs; name each of them."
        )
    for key in ("class_names", "variables"):
        if key in to.values.get("data", {}):
            to.set(f"data.{key}", names)
    to.names = list(names)


def _show(to: Translation, differences: Sequence[str], dropped: Sequence[str]) -> None:
    entries = to.ledger.entries().values()
    out = console()
    counts = {verdict: sum(entry.verdict == verdict for entry in entries) for verdict in get_args(Verdict)}
    out.print(f"{len(entries)} settings: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    for title, lines in (
        ("not carried over", to.ledger.told("not carried over")),
        ("not needed", to.ledger.told("not needed")),
        ("decided here", to.ledger.remarks),
        ("differences between YAML and checkpoint", differences),
        ("weights that are not part of the model, left out", dropped),
    ):
        if lines:
            out.print(f"{title}:")
            for line in lines:
                out.print(f"  {line}")

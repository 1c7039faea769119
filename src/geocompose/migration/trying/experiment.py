"""An experiment that an import would write, tried as a run tries its own: planned, in shapes alone, nothing downloaded.

What the trial finds and the configuration does not say is settled here: which differences between weights and data
TerraTorch takes without a word; and what necks have to be, in `settling`.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from geocompose.catalog.checks import check_source_names
from geocompose.configuration.instantiation import instantiate
from geocompose.configuration.weights import loads_weights, weight_files
from geocompose.data.loading import check_classes, check_variables
from geocompose.data.preflight import data_source
from geocompose.errors import quiet
from geocompose.imagery.units import MISMATCHES, Values
from geocompose.migration.translation import Translation
from geocompose.migration.trying.composition import composed, target_of
from geocompose.migration.trying.input_filters import tell_input_filters
from geocompose.migration.trying.settling import in_terms_of_the_file, likely_bands, settled_trial
from geocompose.tasks.own_losses import left_open
from geocompose.training.early_agreement import check_early
from geocompose.training.rehearsal import rehearse
from geocompose.training.settings import check_settings
from geocompose.trial import Trial


def try_experiment(to: Translation, conf_dir: Path, study: str) -> None:
    """Try what a translation composes, and settle what only the trial tells.

    Raises:
        UserError: it could not be built or trained; nothing is to be written then.
    """
    with in_terms_of_the_file(to):
        config = composed(to, conf_dir, study)
        check_source_names(config)
        _check_data(to, config)
        with quiet(logging.ERROR):
            if loads_weights(config["backbone"]):
                _settle_differences(to, config)
                tell_input_filters(to, config)
            trial = settled_trial(to, conf_dir, study)
            _try_training(to, config, trial)
    _settle_precision(to, config)
    for key, file in weight_files(config["backbone"]).items():
        if not Path(file).expanduser().exists():
            to.ledger.remark(f"{key}={file} is not here; a run needs it there, or another place in {key}.")


def _check_data(to: Translation, config: Mapping[str, Any]) -> None:
    """Refuse what a run would before it opens a file: numbers out of range, and names that can't be told apart."""
    data_source({**config["data"], "root": "."})
    if to.kind in ("regression", "scalar_regression"):
        check_variables(to.names)
    elif to.kind != "reconstruction":
        check_classes(to.names, int(config["data"].get("ignore_index", -1)))


def _try_training(to: Translation, config: Mapping[str, Any], trial: Trial) -> None:
    """Try task, optimizer and schedule, as a run does before its first batch."""
    check_settings(config)
    task = instantiate(left_open(config["task"]))(
        model=trial.model,
        optimizer=(make_optimizer := instantiate(config["optimizer"])),
        scheduler=(make_scheduler := instantiate(config["scheduler"])),
        target=target_of(to, config, likely_bands(to)),
        num_tiles={"val": 1, "test": 1},
    )
    rehearse(
        task.parameter_groups(),
        make_optimizer,
        make_scheduler,
        task.selection,
        config,
        num_steps=int(config["trainer"]["max_epochs"]),
        num_epochs=int(config["trainer"]["max_epochs"]),
        validation_every=int(config["trainer"]["check_val_every_n_epoch"]),
    )


def _settle_precision(to: Translation, config: Mapping[str, Any]) -> None:
    """Have a command on a machine without accelerator say what Lightning takes there for half precision."""
    if config["trainer"]["precision"] != "16-mixed" or torch.cuda.is_available() or torch.backends.mps.is_available():
        return
    to.here = ["trainer.precision=bf16-mixed"]


def _settle_differences(to: Translation, config: Mapping[str, Any]) -> None:
    """State as intended what TerraTorch gives pretrained weights without asking: values of any unit, level and band."""
    allowed = {**config, "data": {**config["data"], "allow_mismatch": list(MISMATCHES)}}
    differences = check_early(allowed, likely_bands(to), Values.of(config["data"]))
    kinds = [kind for kind in MISMATCHES if any(text.startswith(f"{kind}: ") for text in differences)]
    if not kinds:
        return
    to.set("data.allow_mismatch", kinds)
    unstated = [f"data.{kind}" for kind in kinds if kind != "band" and config["data"].get(kind) is None]
    advice = (
        f" State {' and '.join(unstated)}, and take that out of the list, to have values checked and converted."
        if unstated
        else ""
    )
    to.ledger.remark(
        f"TerraTorch gives the pretrained weights any values and bands without a word, so that "
        f"data.allow_mismatch=[{','.join(kinds)}].{advice}"
    )
    for text in differences:
        to.ledger.remark(f"Allowed: {text}")

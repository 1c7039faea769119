"""One composition explained before it is built: its parts, the features between them, the plan and the costs."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from geocompose.actions.collector import collector_paused
from geocompose.cli import Experiment, refuse_other_overrides
from geocompose.configuration.diagnosis import groups
from geocompose.configuration.weights import existing_weight_files, loads_weights
from geocompose.console import console, show_summary
from geocompose.data.preflight import Preview, data_source, preflight
from geocompose.errors import counted, quiet, shortened
from geocompose.imagery.band_choice import check_rasters_read, chosen_bands
from geocompose.training.early_agreement import check_early

if TYPE_CHECKING:
    from geocompose.contracts.features import FeatureSpec
    from geocompose.cost.examination import Found

# What no composition depends on.
_IDLE = ("scheduler", "logger", "launcher")


def explain(experiment: Experiment) -> None:
    """Print what the configuration composes for its data; nothing is downloaded, read or trained.

    Raises:
        UserError: the parts don't fit together, or not to the data.
    """
    looked_at = [group for group in groups(experiment.conf_dir) if group not in _IDLE]
    refuse_other_overrides(experiment, looked_at, "no composition depends on it")
    existing_weight_files(experiment.config["backbone"])
    preview = _preview(experiment.config)
    bands = chosen_bands(experiment.config, preview.inputs.bands)
    check_rasters_read(experiment.config, bands, preview.values.more)
    intended = check_early(experiment.config, bands, preview.values)

    with collector_paused():
        from geocompose.cost.examination import examine
        from geocompose.cost.summary import resolution, summarize

    with quiet():  # nothing is built for real: messages about weights would mislead
        with collector_paused():
            found = examine(experiment.config, preview)
        plan = found.trial.plan
        summary = summarize(found.trial.model, image_size=plan.image_size, num_frames=plan.num_frames)
    show_summary(summary, plan.necks)
    _show(found, experiment.config)
    if preview.target.pixel_wise and (told := resolution(summary)) is not None:
        console().print(told)
    for difference in intended:
        console().print(
            f"The data differs from what the pretrained weights have seen, as data.allow_mismatch allows: {difference}"
        )


def _preview(config: Mapping[str, Any]) -> Preview:
    source = data_source(config["data"])
    if source is not None:
        return preflight(source, lambda available: list(source.bands or available))
    from geocompose.from_config import build_data

    data = build_data(config)
    return Preview(data.inputs, data.target)


def _show(found: "Found", config: Mapping[str, Any]) -> None:
    from geocompose.contracts.backbone import contract_of

    plan, inputs = found.trial.plan, found.inputs
    out = console()
    frames = f", {plan.num_frames} frames" if plan.num_frames > 1 else ""
    beside = f", with {' and '.join(inputs.coordinates)}" if inputs.coordinates else ""
    out.print(
        f"image: {len(inputs.bands)} bands ({', '.join(inputs.bands)}), {inputs.tile_px} x {inputs.tile_px} "
        f"pixels{frames}{beside}"
    )
    for name, bands in (contract_of(found.trial.model.encoder).modalities or {}).items():
        out.print(f"  {name} reads {', '.join(bands)}")
    out.print(f"padded to multiples of {plan.pad_multiple} pixels")
    out.print(f"features of the backbone: {_features(plan.backbone_features)}")
    out.print(f"features for the decoder: {_features(plan.decoder_features)}")
    for warning in plan.warnings:
        out.print(f"warning: {warning}")
    if plan.unreached:
        shown = shortened(plan.unreached, 3)
        out.print(f"not used, will not be trained: {counted(len(plan.unreached), 'tensor')} ({shown})")
    if loads_weights(config["backbone"]):
        out.print("weights are not read here: whether they are available and fit is checked when they are loaded")
    memory = found.memory
    parts = {
        "weights": memory.weights,
        "gradients": memory.gradients,
        "optimizer": memory.optimizer,
        "kept for the backward": memory.kept,
        "passing": memory.passing,
        "batch": memory.batch,
    }
    told = ", ".join(f"{name} {size / 2**20:,.0f}" for name, size in parts.items())
    batch = config["data"]["batch_size"]
    out.print(
        f"training takes about {memory.total_mb:,} MB at data.batch_size={batch}, "
        f"trainer.precision={config['trainer']['precision']} ({told}, and the libraries)"
    )


def _features(specs: "Sequence[FeatureSpec]") -> str:
    """Return features in words, equal neighbours as one: `4 x 192 ch, 1/16, tokens`."""
    counts = [(len(list(same)), spec) for spec, same in groupby(specs)]
    return "; ".join(f"{count} x {spec}" if count > 1 else str(spec) for count, spec in counts)

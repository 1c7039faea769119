"""A translation as a checked configuration, and as what its labels ask a model for."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from geocompose.configuration.checking import check
from geocompose.configuration.diagnosis import groups
from geocompose.imagery.samples import Target
from geocompose.migration.translation import Translation

UNKNOWN = "not-imported"  # stands where the imported configuration says nothing and ours needs a text


def composed(to: Translation, conf_dir: Path, study: str) -> dict[str, Any]:
    """Return the checked configuration that a translation makes, weights and data paths as they may be.

    Raises:
        UserError: a value does not fit its key.
    """
    # Within the command line Hydra is at work already, on this folder.
    at_work = GlobalHydra.instance().is_initialized()
    with nullcontext() if at_work else initialize_config_dir(str(conf_dir), version_base="1.3"):
        config = compose("config", overrides=[f"{group}={option}" for group, option in to.choices.items()])
    OmegaConf.set_struct(config, False)
    config.merge_with({"study": study, **to.values})
    to.asked = sorted(OmegaConf.missing_keys(config))
    for key in to.asked:
        placeholder = UNKNOWN if key != "data.variables" else to.names or [UNKNOWN]
        OmegaConf.update(config, key, placeholder)
    root = config.data.root
    config.data.root = "."  # the data need not be here
    checked = check(config, groups(conf_dir))
    checked["data"]["root"] = root
    return checked


def target_of(to: Translation, config: Mapping[str, Any], bands: Sequence[str]) -> Target:
    """Return what the labels ask a model for, in their own unit. bands: those that the model reads."""
    if to.kind in ("regression", "scalar_regression", "reconstruction"):
        names = tuple(bands if to.kind == "reconstruction" else to.names)
        return Target(to.kind, names, mean=(0.0,) * len(names), std=(1.0,) * len(names))  # type: ignore[arg-type]
    return Target(to.kind, tuple(to.names), int(config["data"].get("ignore_index", -1)))  # type: ignore[arg-type]

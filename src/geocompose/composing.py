"""A composition in Python, from the overrides of the command line: its configuration, its data and its model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import hydra
from hydra.errors import HydraException
from omegaconf import open_dict
from omegaconf.errors import OmegaConfBaseException

from geocompose.configuration.diagnosis import check_config_dir, diagnose
from geocompose.configuration.overrides import check_hydra_keys, check_no_sweep
from geocompose.configuration.typed import as_hydra_takes_it
from geocompose.data.module import SceneData
from geocompose.errors import UserError, first_line
from geocompose.experiment import understood
from geocompose.from_config import build_data, build_model, seed_weights
from geocompose.inference.trained import with_plain_weights
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.models.seeding import generators_kept
from geocompose.program import conf_dir


@dataclass(frozen=True)
class Composed:
    """What overrides compose. config: the whole configuration, checked and typed, as a run's config.yaml has it."""

    config: Mapping[str, Any]

    @cached_property
    def data(self) -> SceneData:
        """The data module, opened: headers and lists are read; `setup()` reads the pixels.

        Raises:
            UserError: the data can't be as configured.
        """
        return build_data(self.config)

    @cached_property
    def model(self) -> EncoderDecoderModel:
        """The model for these data as a run begins with it: pretrained or random weights, those of the run's seed.

        Raises:
            UserError: the parts don't fit together or to the data.
        """
        data = self.data
        with generators_kept():
            seed_weights(self.config["seed"])
            return build_model(with_plain_weights(self.config), inputs=data.inputs, target=data.target).model


def compose(overrides: Sequence[str], conf: Path | str | None = None, config_dir: Path | str | None = None) -> Composed:
    """Return what overrides compose; see `geocompose.compose`, which takes the same.

    Raises:
        UserError: see there.
    """
    folder = conf_dir() if conf is None else Path(conf).expanduser().resolve()
    added = None if config_dir is None else str(Path(config_dir).expanduser().resolve())
    check_config_dir(added, folder)
    typed = as_hydra_takes_it(overrides, [folder, *([] if added is None else [Path(added)])])
    check_hydra_keys(typed)
    check_no_sweep(typed)
    searched = [] if added is None else [f"hydra.searchpath=[file://{added}]"]
    try:
        with hydra.initialize_config_dir(str(folder), version_base="1.3"):
            found = hydra.compose("config", overrides=[*typed, *searched], return_hydra_config=True)
            own = found.hydra
            with open_dict(found):
                del found["hydra"]
            experiment, _ = understood(found, folder, hydra=own)
    except (HydraException, OmegaConfBaseException) as error:
        wrong = diagnose(typed, folder, added)
        raise wrong or UserError(first_line(error)) from error
    return Composed(experiment.config)

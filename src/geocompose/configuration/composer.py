"""The configurations of a sweep's cells, composed as Hydra does, and what cells have in common only once.

Hydra chooses the options first and sets values afterwards. So cells with the same options share all the reading and
merging of files: of a thousand cells that differ in their seeds, one is composed, and values are set in copies of it.
"""

import copy
from collections.abc import Sequence

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException


class Composer:
    """Composes cells of the sweep whose own configuration is `sweep`."""

    def __init__(self, loader: ConfigLoader, sweep: DictConfig) -> None:
        assert isinstance(loader, ConfigLoaderImpl)
        self._loader, self._sweep = loader, sweep
        # Of folders that are given there, only Hydra knows which groups they have.
        self._shares = not any(text.lstrip("+").startswith("hydra.searchpath") for text in sweep.hydra.overrides.hydra)
        self._parser = OverridesParser.create()
        self._by_options: dict[tuple[str, ...], DictConfig] = {}

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """Return the configuration of one cell, with Hydra's own part: what `ConfigLoader.load_sweep_config` returns.

        Raises:
            HydraException: it can't be composed.
        """
        if not self._shares:
            return self._loader.load_sweep_config(self._sweep, list(overrides))
        parsed = self._parser.parse_overrides(list(overrides))
        options = [text for text, one in zip(overrides, parsed, strict=True) if self._chooses_option(one)]
        values = [one for one in parsed if not self._chooses_option(one)]
        ConfigLoaderImpl.validate_sweep_overrides_legal(parsed, RunMode.RUN, from_shell=True)
        key = tuple(options)
        if key not in self._by_options:
            self._by_options[key] = self._loader.load_sweep_config(self._sweep, options)
        config = copy.deepcopy(self._by_options[key])
        try:
            ConfigLoaderImpl._apply_overrides_to_config(values, config)
        except OmegaConfBaseException as error:
            raise ConfigCompositionException() from error
        with open_dict(config):
            config.hydra.overrides.task = [one.input_line for one in parsed]
            own = config.hydra.job.config.override_dirname
            config.hydra.job.override_dirname = get_overrides_dirname(
                overrides=parsed, kv_sep=own.kv_sep, item_sep=own.item_sep, exclude_keys=own.exclude_keys
            )
        return config

    def _chooses_option(self, override: Override) -> bool:
        """Return whether Hydra takes an override for the choice of an option; see `hydra._internal.defaults_list`."""
        return not isinstance(override.value(), dict) and self._loader.repository.group_exists(override.key_or_group)

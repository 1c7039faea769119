"""The config of a transformers backbone: of a model type, a folder or a model of the hub, with the user's changes."""

import inspect
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from geocompose.backbones.foreign.arguments import check_kwargs
from geocompose.backbones.foreign.files import download
from geocompose.backbones.foreign.probe import reason
from geocompose.backbones.transformers.capturing import make_picklable
from geocompose.backbones.transformers.hiera import sort_tokens_first
from geocompose.catalog.optional import imported
from geocompose.catalog.transformers import TYPES, check_type, is_folder_or_hub
from geocompose.errors import FOREIGN_ERRORS, UserError

# Keys of configs that have a place of their own in `build_transformers`.
OWN_PLACE = {
    "num_channels": "backbone.bands or backbone.in_chans",
    "stem_num_channels": "backbone.bands or backbone.in_chans",
    "image_size": "backbone.img_size",
    "img_size": "backbone.img_size",
    "bands": "backbone.bands",
    "in_chans": "backbone.bands or backbone.in_chans",
    "out_indices": "backbone.out_indices",
    "out_features": "backbone.out_indices",
    "stage_names": "backbone.out_indices",
}
CHANNELS = ("num_channels", "stem_num_channels")
OWN_CHANNELS = 3  # of every type's default config


@dataclass(frozen=True)
class Definition:
    """What makes a backbone: its classes, and the keys of its config.

    model_type: as transformers names it. folder: where config.json was, with the weights beside it; None for a model
        type.
    """

    model_type: str
    config_class: type[Any]
    backbone_class: type[nn.Module]
    settings: Mapping[str, Any]
    folder: Path | None

    @property
    def channels_key(self) -> str | None:
        """The key of the number of input channels; None where the type has no such choice."""
        return next((key for key in CHANNELS if key in self._keys), None)

    @property
    def _keys(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self.config_class.__init__).parameters

    @property
    def channels(self) -> int:
        """The number of input channels as the config has it."""
        return int(getattr(self.config(), self.channels_key or "", OWN_CHANNELS))

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width of the images that it was made for, where the config says so."""
        return _pair(getattr(self.config(), "image_size", None))

    @property
    def whole_cells(self) -> int:
        """A number of pixels that is a whole number of patches, and of cells of the coarsest map of any pyramid."""
        config = self.config()
        sides = [_pair(getattr(config, key, None)) or (1, 1) for key in ("patch_size", "patch_stride")]
        # Where patches overlap, they are as far apart as the stride says.
        patch = sides[1] if hasattr(config, "patch_stride") else sides[0]
        return math.lcm(32, *patch)

    @property
    def stages(self) -> list[int]:
        """The numbers of the stages, as transformers counts them: without 0 where that is the stem."""
        names = list(self.config().stage_names)
        return list(range(names[0] == "stem", len(names)))

    def config(
        self, channels: int | None = None, image_size: tuple[int, int] | None = None, levels: list[int] | None = None
    ) -> Any:
        """Return a config, with these values in place of its own.

        Raises:
            UserError: the user's values don't go together, in transformers' words.
        """
        changes: dict[str, Any] = {}
        if channels is not None and self.channels_key is not None:
            changes[self.channels_key] = channels
            stem = getattr(self.config(), "stem_channels", None)
            if isinstance(stem, list | tuple):  # they begin with the image's
                changes["stem_channels"] = [channels, *stem[1:]]
        if image_size is not None:
            plain = isinstance(getattr(self.config(), "image_size", None), int) and image_size[0] == image_size[1]
            changes["image_size"] = image_size[0] if plain else list(image_size)
        if levels is not None:
            changes["out_indices"] = levels
        # Some classes add lists to their own default, a tuple; read from a file, it would be a list.
        hidden = self._keys.get("hidden_sizes")
        if hidden is not None and isinstance(hidden.default, tuple):
            changes = {"hidden_sizes": list(hidden.default)} | changes
        try:
            return self.config_class.from_dict(changes | dict(self.settings) | _but_hidden_sizes(changes))
        except Exception as error:
            raise UserError(
                f"backbone.kwargs don't make a config of transformers' {self.model_type}: {reason(error)}"
            ) from error

    def create(
        self, channels: int, image_size: tuple[int, int] | None = None, levels: list[int] | None = None
    ) -> nn.Module:
        """Return a backbone with random weights.

        Raises:
            UserError: it can't be made of this config, in transformers' words.
        """
        config = self.config(channels, image_size, levels)
        try:
            model = self.backbone_class(config)
        except (*FOREIGN_ERRORS, ImportError) as error:
            raise UserError(f"transformers can't build {self.model_type} with this config: {reason(error)}") from error
        if self.model_type == "hiera":
            sort_tokens_first(model)
        make_picklable(model)
        return model


def _but_hidden_sizes(changes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in changes.items() if key != "hidden_sizes"}


def _pair(size: object) -> tuple[int, int] | None:
    if isinstance(size, int):
        return size, size
    return (int(size[0]), int(size[1])) if isinstance(size, list | tuple) and len(size) == 2 else None


def definition(name: str, kwargs: Mapping[str, object]) -> Definition:
    """Return what makes the backbone `name` with these changes of its config.

    Raises:
        UserError: there is no such type, folder or model of the hub, it is not a backbone, or its config lacks a key
            that is to be changed.
    """
    source = imported("transformers", "transformers")
    settings: dict[str, Any] = {}
    folder = None
    model_type = name
    if is_folder_or_hub(name):
        folder = _folder(name)
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        model_type = str(settings.get("model_type"))
        settings = {
            key: value for key, value in settings.items() if key not in ("out_indices", "out_features", "stage_names")
        }
    config_class, backbone_class = _classes(source, model_type, name)
    base = inspect.signature(source.PreTrainedConfig.__init__).parameters
    own = inspect.signature(config_class.__init__).parameters
    allowed = [key for key in own if key not in base and not key.startswith("_")]
    check_kwargs(kwargs, allowed, OWN_PLACE, f"the config of transformers' {model_type}")
    return Definition(model_type, config_class, backbone_class, {**settings, **kwargs}, folder)


def _folder(name: str) -> Path:
    """Return the folder with config.json of a local folder, or of the hub's cache."""
    if Path(name).is_dir():
        if not (Path(name) / "config.json").is_file():
            raise UserError(f"backbone.name={name} has no config.json: give a folder that save_pretrained() wrote.")
        return Path(name)
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise UserError(
            f"backbone.name={name} is not a folder. Give a folder that save_pretrained() wrote, a model of the hub "
            "such as facebook/dinov2-small, or a model type such as dinov2."
        )
    return download(name, "config.json").parent


def _classes(source: ModuleType, model_type: str, name: str) -> tuple[type[Any], type[nn.Module]]:
    """Return the classes of a type's config and backbone."""
    where = f"backbone.name={name}" if model_type == name else f"backbone.name={name} is of the type {model_type}"
    check_type(model_type, where)
    config_name, backbone_name = TYPES[model_type]
    if not hasattr(source, config_name):
        raise UserError(f"{where}: transformers {source.__version__} doesn't have it yet. Update transformers.")
    return getattr(source, config_name), getattr(source, backbone_name)

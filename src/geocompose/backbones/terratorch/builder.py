"""Backbones of TerraTorch (TerraMind, Clay, Satlas, ...) through its registry, where that package is installed."""

import inspect
import logging
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from geocompose.backbones.foreign.arguments import check_kwargs, check_one_source, image_size, input_channels
from geocompose.backbones.foreign.memory import looked_at
from geocompose.backbones.foreign.probe import Probe, observed, probe, reason, refuse_size, shell
from geocompose.backbones.foreign.weights import load_file
from geocompose.catalog.optional import imported, require
from geocompose.errors import FOREIGN_ERRORS, UserError, choices, shortened
from geocompose.imagery.bands import positions
from geocompose.imagery.numbered_bands import is_numbered

log = logging.getLogger("geocompose")

USUAL_SIZE = (224, 224)
# Arguments of its constructors that have a place of their own in `build_terratorch`.
OWN_PLACE = {"pretrained": "backbone.pretrained", "model_bands": "backbone.bands", "ckpt_path": "backbone.ckpt_path"}


class TerratorchBackbone(nn.Module):
    """A backbone of TerraTorch; its own names stand behind `model.`."""

    def __init__(self, model: nn.Module, modalities: dict[str, list[int]] | None = None) -> None:
        """Wrap a backbone.

        modalities: of a backbone of several, the places of each one's bands in the image's.
        """
        super().__init__()
        self.model = model
        self.places = modalities
        self.patch_size = getattr(model, "patch_size", None)
        self.declared_channels = list(getattr(model, "out_channels", ())) or None

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the features of an image (B, C, H, W).

        Raises:
            UserError: it returns no list of features.
        """
        if self.places is None:
            features = self.model(image)
        else:
            features = self.model({name: image[:, places] for name, places in self.places.items()})
        if not isinstance(features, list | tuple):
            raise UserError(
                f"This backbone of TerraTorch returns {type(features).__name__}, not a list of features. If it is a "
                "mapping, leave out the backbone.kwargs that ask for it, such as merge_method: dict."
            )
        return list(features)


def build_terratorch(
    name: str,
    pretrained: bool = False,
    bands: list[str] | None = None,
    in_chans: int | None = None,
    img_size: int | list[int] | None = None,
    ckpt_path: str | None = None,
    allow_random_bands: bool = False,
    kwargs: dict[str, object] | None = None,
) -> nn.Module:
    """Return a backbone of the package terratorch: images (B, C, H, W) in, a list of features out.

    It carries `out_channels`, `feature_specs`, `in_chans`, `bands`, `img_size`, `fixed_size` (it takes no other) and
    `weights` (None if random). What its weights have seen is not known here. Names in its state dict are TerraTorch's,
    behind `model.`. Within `torch.device("meta")` nothing is downloaded, read or allocated.

    name: of TerraTorch's registry, such as `terramind_v1_base`, `clay_v1_base`, `satlas_swin_b_sentinel2_si_ms`.
    pretrained: load TerraTorch's weights; it is built twice then, to see that nothing of it starts randomly.
    bands: names of the input's bands; given to constructors that take names (`model_bands`), and as the bands of a
        single modality (kwargs `modalities: [S2L2A]`). Those of several are told apart by kwargs `bands: {S2L2A: [...],
        S1GRD: [VV, VH]}`.
    in_chans: number of input channels where `bands` is null; null is 3.
    img_size: height and width in pixels at which the features are looked at; null is 224.
    ckpt_path: weights under TerraTorch's names of this backbone.
    allow_random_bands: consent to weights that start randomly beside pretrained ones, as those of bands that these lack
        do.
    kwargs: further arguments of its constructor in TerraTorch.

    Raises:
        UserError: the package is not installed or has no such backbone, or the backbone refuses its arguments or such
            images.
    """
    check_one_source(pretrained, ckpt_path)
    make = constructor(name)
    check_kwargs(kwargs or {}, (), OWN_PLACE, f"TerraTorch's {name}", open_ended=True)
    if (kwargs or {}).get("merge_method") == "dict":
        raise UserError(
            "backbone.kwargs.merge_method=dict gives features by modality, and decoders read one list: write "
            "merge_method: concat, mean or max."
        )
    names, channels = input_channels(bands, in_chans)
    size = image_size(img_size) or USUAL_SIZE
    arguments = _arguments(make, names, kwargs or {})
    modalities = _modalities(arguments.get("bands"), names)

    def create(load: bool) -> TerratorchBackbone:
        return TerratorchBackbone(make(**arguments, **({"pretrained": True} if load else {})), modalities)

    def look() -> tuple[Probe, nn.Module]:
        module = shell(lambda: create(False))
        return probe(module, channels, size, observed(f"the backbone {name}", size)), module

    module: nn.Module | None
    try:
        found, module = looked_at([make, arguments, modalities, channels, size], look)
    except UserError:
        raise
    except TypeError as error:
        raise UserError(
            f"TerraTorch's {name} refuses its arguments: {reason(error)} Give what it needs as backbone.kwargs."
        ) from error
    except FOREIGN_ERRORS as error:
        advice = "Say in backbone.kwargs what it takes, such as modalities, or try another backbone.img_size."
        raise refuse_size(name, size, channels, error, advice) from error
    weights = None
    random: list[str] = []
    if torch.get_default_device().type == "meta":
        module = module if module is not None else shell(lambda: create(False))
    else:
        try:
            module = built = create(pretrained)
        except (OSError, RuntimeError, ValueError, TypeError) as error:
            raise UserError(f"TerraTorch can't build {name}: {reason(error)}") from error
        if pretrained:
            random = _check_not_random(name, built, create(True), set(found.idle_parameters), allow_random_bands)
            weights = {"source": f"terratorch {_version()}: {name}"}
        elif ckpt_path:
            weights = load_file(built.model, ckpt_path, name)
        else:
            log.info("Backbone %s starts from random weights (backbone.pretrained=false).", name)
    learning = dict(module.named_parameters())
    return found.declare(
        module,
        channels=channels,
        bands=names,
        size=size,
        weights=weights,
        pretraining=None,
        random_inputs=[key for key in random if key in learning],
    )


def _arguments(make: Callable[..., Any], bands: list[str] | None, kwargs: dict[str, object]) -> dict[str, Any]:
    """Return the constructor's arguments: the user's, and the bands where it takes them by name."""
    given = dict(kwargs)
    modalities = given.get("modalities")
    if bands is not None and "model_bands" in inspect.signature(make).parameters:
        given["model_bands"] = [int(name) if is_numbered(name) else name for name in bands]
    elif bands is not None and isinstance(modalities, list) and len(modalities) == 1 and "bands" not in given:
        given["bands"] = {modalities[0]: list(bands)}
    return given


def _modalities(given: object, bands: list[str] | None) -> dict[str, list[int]] | None:
    """Return the places of each modality's bands in the image, or None of a backbone that takes a plain image."""
    if not isinstance(given, dict) or len(given) < 2:
        return None
    if bands is None:
        raise UserError(
            "backbone.kwargs.bands names the bands of several modalities: name the image's as backbone.bands."
        )
    return {name: positions(each, bands, where="backbone.bands") for name, each in given.items()}


def _check_not_random(name: str, module: nn.Module, other: nn.Module, idle: set[str], allowed: bool) -> list[str]:
    """Return which weights start randomly, wholly or in part: those that differ between two models built alike.

    Raises:
        UserError: there are some, and that is not allowed.
    """
    state = other.state_dict()
    random = [
        key for key, value in module.state_dict().items() if key not in idle and not torch.equal(value, state[key])
    ]
    if not random:
        return []
    listed = shortened(random, 4)
    if not allowed:
        raise UserError(
            f"backbone.pretrained=true: TerraTorch's weights of {name} leave {listed} random, wholly or in part. Leave "
            "out the bands that they lack, or consent to it: backbone.allow_random_bands=true."
        )
    log.warning("Backbone %s: %s start randomly, as allowed.", name, listed)
    return random


def constructor(name: str) -> Callable[..., nn.Module]:
    """Return what makes a backbone of TerraTorch: of its own registry, or of those that it registers with timm.

    Raises:
        UserError: it is not installed or can't be imported, or has no such backbone; names the nearest.
    """
    make = find(name)
    if make is None:
        registry = _package().registry
        raise UserError(
            f"backbone.name={name}: terratorch {_version()} has no such backbone. "
            f"{choices(name, registry.TERRATORCH_BACKBONE_REGISTRY)}"
        )
    return make


def find(name: str) -> Callable[..., nn.Module] | None:
    """Return what makes a backbone of TerraTorch, or None where it has none of this name; imports the package.

    Raises:
        UserError: it is not installed, or can't be imported.
    """
    registry = _package().registry
    if name in registry.TERRATORCH_BACKBONE_REGISTRY:
        return registry.TERRATORCH_BACKBONE_REGISTRY[name]
    if name not in registry.BACKBONE_REGISTRY:
        return None

    def make(**arguments: Any) -> nn.Module:
        return registry.BACKBONE_REGISTRY.build(name, **arguments)

    return make


def _package() -> ModuleType:
    require("terratorch")
    try:
        imported("terratorch", "terratorch.registry")
        return imported("terratorch", "terratorch")
    except ImportError as error:
        raise UserError(
            f"The package terratorch is installed, but can't be imported: {reason(error)} Its requirements clash with "
            "those of mmseg: install requirements-terratorch.txt into an environment without mmcv."
        ) from error


def _version() -> str:
    try:
        return version("terratorch")
    except PackageNotFoundError:
        return "of unknown version"

"""How each family of torchgeo's models is built as a backbone, and where the tensors of its weight files belong."""

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from geocompose.backbones.foreign.arguments import check_kwargs, levels
from geocompose.backbones.timm.architecture import architecture_of, names_of
from geocompose.backbones.timm.builder import build_timm
from geocompose.backbones.torchgeo.croma import ENCODERS, Croma, by_modality
from geocompose.backbones.torchgeo.scalemae import ScaleMae
from geocompose.backbones.torchgeo.spectral import CopernicusFm, Dofa, Panopticon
from geocompose.backbones.torchgeo.swin import build_swin
from geocompose.backbones.torchgeo.tokens import TokenLayers, own_grid
from geocompose.backbones.torchgeo.weights import InputLayer, Target
from geocompose.catalog.torchgeo import ARGUMENTS, Family, Model, torchgeo_models
from geocompose.catalog.torchgeo_provenance import CROMA_BANDS
from geocompose.catalog.torchgeo_spectra import (
    COPERNICUS_UM,
    COPERNICUS_WIDTH_UM,
    DOFA_UM,
    bandwidths_um,
    wavelengths_um,
)
from geocompose.errors import UserError, quiet

log = logging.getLogger("geocompose")


@dataclass(frozen=True)
class Request:
    """What is to be built: a row of the table, and the user's arguments, checked.

    size: None is the model's own. window_size: of a Swin transformer whose weights have another than the model.
    """

    name: str
    model: Model
    bands: list[str] | None
    channels: int
    size: tuple[int, int] | None
    out_indices: list[int] | None
    gsd_m: float | None
    kwargs: Mapping[str, object]
    window_size: int | None = None

    def arguments(self) -> dict[str, Any]:
        """Return the sizes for the foreign constructor, changed by the user's, without what is an argument of ours.

        Raises:
            UserError: an argument that the model doesn't take.
        """
        check_kwargs(self.kwargs, ARGUMENTS[self.model.family], {}, f"torchgeo's {self.name}, as a backbone,")
        return {key: value for key, value in {**self.model.sizes, **self.kwargs}.items() if key not in OURS}

    def target(
        self,
        module: nn.Module,
        known: Callable[[], Collection[str]],
        *layers: InputLayer,
        grid: tuple[int, int] | None = None,
    ) -> Target:
        """Return the module with what its weights need; `known`: returns the names in the whole foreign model."""
        if isinstance(module, TokenLayers) and self.out_indices is not None:
            module.select_layers(self.out_indices)
        return Target(self.name, module, known, self.model.prefixes, grid, layers)


OURS = ("wavelengths_um", "bandwidths_um", "modalities")
PATCHES = "patch_embed.proj.weight"


def _timm(request: Request) -> Target:
    name = str(request.model.sizes["name"])
    own: Any = request.model.sizes.get("out_indices")
    chosen = own if request.out_indices is None else request.out_indices
    if own is not None:
        chosen = levels(request.name, own, chosen)
    drop: Any = request.kwargs.get("drop_path_rate")
    with quiet(logging.WARNING):
        module: Any = build_timm(
            name,
            bands=request.bands,
            in_chans=request.channels,
            img_size=None if request.size is None else list(request.size),
            out_indices=chosen,
            drop_path_rate=drop,
            kwargs={key: value for key, value in request.kwargs.items() if key != "drop_path_rate"},
        )
    known = partial(names_of, name, architecture_of(name), {})
    if not name.startswith("vit_"):
        return request.target(module, known, InputLayer("conv1.weight", request.bands))
    grid = own_grid(module.img_size, module.feature_specs[-1].stride)
    return request.target(module, known, InputLayer(PATCHES, request.bands), grid=grid)


def _swin(request: Request) -> Target:
    arguments = request.arguments()
    if request.window_size is not None and "window_size" not in request.kwargs:
        arguments["window_size"] = [request.window_size] * 2
    module, whole = build_swin(arguments, request.channels, request.size or (224, 224), request.out_indices)
    return request.target(module, whole.state_dict, InputLayer("features.0.0.weight", request.bands))


def _scalemae(request: Request) -> Target:
    arguments = request.arguments()
    if request.gsd_m is None:
        raise UserError(
            f"{request.name} encodes positions in metres on the ground: write the data's ground sampling distance, "
            "such as backbone.gsd_m=10 for Sentinel-2."
        )
    size = request.size or (224, 224)
    whole = torchgeo_models().ScaleMAE(
        **arguments,
        in_chans=request.channels,
        img_size=arguments["patch_size"],
        qkv_bias=True,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        num_classes=0,
    )
    module = ScaleMae(whole, arguments["patch_size"], request.channels, size, request.bands, request.gsd_m)
    return request.target(module, whole.state_dict, InputLayer(PATCHES, request.bands))


def _dofa(request: Request) -> Target:
    arguments, waves = request.arguments(), _waves(request, DOFA_UM)
    # Built for one patch, since its table of positions is made anew.
    patch = arguments["patch_size"]
    whole = torchgeo_models().DOFA(**arguments, img_size=patch, num_classes=0)
    module = Dofa(whole, patch, request.size or (224, 224), request.bands, waves)
    return request.target(module, whole.state_dict, grid=module.grid)


def _copernicusfm(request: Request) -> Target:
    arguments, waves = request.arguments(), _waves(request, COPERNICUS_UM)
    widths = bandwidths_um(request.name, request.bands, request.kwargs.get("bandwidths_um"), COPERNICUS_WIDTH_UM)
    if len(widths) != len(waves):
        raise UserError(
            f"backbone.kwargs has {len(waves)} wavelengths_um and {len(widths)} bandwidths_um: give one of each per "
            "channel."
        )
    patch = arguments["patch_size"]
    whole = torchgeo_models().CopernicusFM(**arguments, img_size=patch, num_classes=0)
    size = request.size or (224, 224)
    module = CopernicusFm(whole, patch, size, request.bands, waves, widths, request.gsd_m)
    return request.target(module, whole.state_dict, grid=module.grid)


def _panopticon(request: Request) -> Target:
    arguments, waves = request.arguments(), _waves(request, {})
    depth = arguments.pop("depth", None)
    whole = torchgeo_models().Panopticon(**arguments)
    if depth is not None:  # torchgeo always builds all of them
        whole.model.blocks = whole.model.blocks[:depth]
    module = Panopticon(whole, request.size or (224, 224), request.bands, waves)
    return request.target(module, whole.state_dict, grid=module.grid)


def _waves(request: Request, own: Mapping[str, float]) -> list[float]:
    return wavelengths_um(request.name, request.bands, request.kwargs.get("wavelengths_um"), own)


def _croma(request: Request) -> Target:
    assert request.bands is not None
    parts = by_modality(request.bands)
    # Built for one patch: torchgeo's table of distances would take minutes for a large image, and is a formula here.
    whole = torchgeo_models().CROMA(modalities=list(parts), **request.arguments(), image_size=8)
    module = Croma(whole, parts, request.bands, request.size or (120, 120))
    layers = [
        InputLayer(f"{ENCODERS[modality]}.linear_input.weight", bands, CROMA_BANDS[modality])
        for modality, bands in parts.items()
    ]
    return request.target(module, whole.state_dict, *layers)


FAMILIES: Mapping[Family, Callable[[Request], Target]] = {
    "timm": _timm,
    "swin": _swin,
    "scalemae": _scalemae,
    "dofa": _dofa,
    "copernicusfm": _copernicusfm,
    "panopticon": _panopticon,
    "croma": _croma,
}

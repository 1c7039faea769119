"""The options of conf/ in small: the same code with fewer numbers, so that each is built and run in milliseconds."""

import copy
import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pytest
import timm
import torch
import yaml
from _pytest.mark import ParameterSet
from torch import Tensor, nn

from geocompose.catalog.optional import PACKAGES, installed
from geocompose.catalog.prithvi import VARIANTS
from geocompose.configuration.diagnosis import options
from geocompose.configuration.instantiation import instantiate
from geocompose.contracts.features import FeatureSpec
from geocompose.imagery.bands import BANDS
from tests.kit.places import CONF

CLASSES = 3


@cache
def content(group: str, name: str) -> Mapping[str, Any]:
    """Return an option's keys, with those of the option that it is an alias of, and of those that are its parts."""
    keys = yaml.safe_load((CONF / group / f"{name}.yaml").read_text())
    for other in keys.pop("defaults", []):
        if isinstance(other, Mapping) and next(iter(other)).startswith("override "):  # of another group
            continue
        if isinstance(other, Mapping):  # such as {/backbone@parts.s1: resnet18}
            ((place, option),) = other.items()
            keys.setdefault("parts", {})[place.rpartition(".")[2]] = content(group, option)
        elif other != "_self_":
            keys = {**content(group, other), **keys}
    return keys


def is_alias(group: str, name: str) -> bool:
    """Return whether an option only changes another one's values."""
    defaults = yaml.safe_load((CONF / group / f"{name}.yaml").read_text()).get("defaults", [])
    return any(isinstance(other, str) and other != "_self_" for other in defaults)


OWN = "own"  # the option for classes of the user's own, without a target of its own
MASKED = "prithvi_mae"  # predicts hidden patches, which no features say: tests/contracts/test_autoencoder.py
BACKBONES, DECODERS = (
    [name for name in options(CONF, group) if name not in (OWN, MASKED)] for group in ("backbone", "decoder")
)
FAMILIES = [name for name in BACKBONES if not is_alias("backbone", name)]
LARGE = [  # above 50 M parameters
    "prithvi_eo_v1_100", "prithvi_eo_v2_100_tl", "prithvi_eo_v2_300", "prithvi_eo_v2_300_tl",
    "prithvi_eo_v2_600", "prithvi_eo_v2_600_tl",
    "torchgeo_copernicusfm_base", "torchgeo_croma_base", "torchgeo_dofa_base", "torchgeo_panopticon_base",
    "torchgeo_scalemae_large", "torchgeo_swin_v2_b",
]  # fmt: skip


# What makes an option small, by its target. A new target needs a row here, unless it is small already.
SMALL_BACKBONES: Mapping[str, Mapping[str, Any]] = {
    "geocompose.backbones.prithvi.builder.build_prithvi": {"embed_dim": 48, "depth": 4, "num_heads": 4, "img_size": 64},
    "geocompose.backbones.unet.UNet": {"out_channels": 8},
    "geocompose.backbones.identity.IdentityBackbone": {},
    "geocompose.backbones.smp.builder.build_smp_encoder": {},
    "geocompose.backbones.terratorch.builder.build_terratorch": {},
}  # fmt: skip
# timm has a tiny model of most families, `test_<family>`; of the others, small ones.
SMALL_TIMM: Mapping[str, Mapping[str, Any]] = {
    "swin": {
        "name": "swin_tiny_patch4_window7_224",
        "kwargs": {"embed_dim": 24, "depths": [1, 1, 2, 1], "num_heads": [1, 2, 4, 8]},
    },
    "???": {"name": "test_efficientnet"},
    "maxvit": {"name": "test_maxvit", "img_size": 64},
    "hrnet": {"name": "hrnet_w18_small"},
    "pvt": {"name": "pvt_v2_b0", "kwargs": {"depths": [1, 1, 1, 1]}},
    "mobilenetv": {"name": "mobilenetv4_conv_small_035"},
    "regnety": {"name": "regnety_002"},
    "efficientvit": {"name": "efficientvit_b0"},
}
_FEW_BLOCKS = {"embed_dim": 48, "depth": 4, "num_heads": 4}
SMALL_TORCHGEO: Mapping[str, Mapping[str, Any]] = {
    "???": {"name": "resnet18"},
    "resnet50": {"name": "resnet18"},
    "earthloc": {},
    "swin_v2_b": {"kwargs": {"embed_dim": 24, "depths": [1, 1, 2, 1], "num_heads": [1, 2, 4, 8]}},
    "vit_small_patch16_224": {"kwargs": _FEW_BLOCKS, "img_size": 64},
    "vit_small_patch14_dinov2": {"kwargs": _FEW_BLOCKS, "img_size": 56},
    "dofa_base_patch16_224": {"kwargs": _FEW_BLOCKS, "img_size": 64},
    "scalemae_large_patch16": {"kwargs": _FEW_BLOCKS, "img_size": 64},
    "copernicusfm_base": {"kwargs": _FEW_BLOCKS, "img_size": 64},
    "croma_base": {"kwargs": {"encoder_dim": 48, "encoder_depth": 4}},
    "panopticon_vitb14": {"kwargs": {"attn_dim": 96, "depth": 3}, "img_size": 56},
}
_FEW_LAYERS = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4}
_ONE_A_STAGE = {"depths": [1, 1, 1, 1]}
SMALL_TRANSFORMERS: Mapping[str, Mapping[str, Any]] = {
    "???": {"name": "dinov2", "kwargs": _FEW_LAYERS},
    "dinov2": {"kwargs": _FEW_LAYERS},
    "dinov3_vit": {"kwargs": {**_FEW_LAYERS, "intermediate_size": 64}},
    "swinv2": {"kwargs": {**_ONE_A_STAGE, "embed_dim": 16, "num_heads": [1, 2, 2, 4]}},
    "convnextv2": {"kwargs": {**_ONE_A_STAGE, "hidden_sizes": [8, 16, 16, 32]}},
    "hiera": {"kwargs": {**_ONE_A_STAGE, "embed_dim": 16, "num_heads": [1, 2, 4, 8]}, "img_size": 64},
    "focalnet": {"kwargs": {**_ONE_A_STAGE, "embed_dim": 8, "hidden_sizes": [16, 32, 64, 64]}},
    "pvt_v2": {"kwargs": {**_ONE_A_STAGE, "hidden_sizes": [8, 16, 16, 32], "num_attention_heads": [1, 2, 2, 4]}},
}
# What fills the name that an option asks for, by the option.
NAMED_BACKBONES: Mapping[str, Mapping[str, Any]] = {
    "timm": SMALL_TIMM["???"],
    "torchgeo": SMALL_TORCHGEO["???"],
    "transformers": SMALL_TRANSFORMERS["???"],
    "smp": {"name": "mobilenet_v2"},
    "terratorch": {"name": "terramind_v1_tiny", "kwargs": {"modalities": ["S2L2A"]}},
}
SMALL_DECODERS: Mapping[str, Any] = {
    "channels": 16, "out_channels": 16, "segmentation_channels": 32, "pyramid_channels": 32, "fusion_channels": 16,
    "pab_channels": 16, "decoder_channels": 16, "project_channels": 16, "pam_channels": 8, "ema_channels": 16,
    "isa_channels": 16, "ham_channels": 16, "mla_channels": 8, "c1_channels": 8, "num_bases": 8, "num_codes": 8,
    "embed_dims": 24,
}  # fmt: skip
# What fills the name that an option asks for.
NAMED_DECODERS: Mapping[str, Mapping[str, Any]] = {"mmseg": {"name": "FCNHead", "kwargs": {"channels": 16}}}
# The fewest outputs that a decoder makes sense with, where it is more than one.
LEAST_OUTPUTS: Mapping[str, int] = {"mmseg_segmenter": 3}


def source_of(name: str) -> str | None:
    """Return the optional source of an option, by the beginning of its name: one with its own requirements file."""
    source = name.partition("_")[0]
    return source if source in PACKAGES and (CONF.parent / f"requirements-{source}.txt").is_file() else None


_installed = cache(installed)  # asked for each of thousands of pairs


def marks(*names: str) -> list[pytest.MarkDecorator]:
    """Return the marks of a test over options: `optional`, and a skip where a source's packages are not installed."""
    sources = sorted({source for name in names if (source := source_of(name)) is not None})
    skips = [
        pytest.mark.skip(reason=f"pip install -r requirements-{source}.txt")
        for source in sources
        if not _installed(source)
    ]
    return [pytest.mark.optional, *skips] if sources else []


def marked(group: str, name: str) -> ParameterSet:
    """Return an option of a group as a parameter of tests, marked where it is of an optional source."""
    assert name in options(CONF, group)
    return pytest.param(name, marks=marks(name), id=name)


def _small_timm(name: str) -> Mapping[str, Any]:
    family = name.partition("_")[0].rstrip("0123456789")
    if family in SMALL_TIMM:
        return SMALL_TIMM[family]
    assert timm.is_model(f"test_{family}"), f"say in SMALL_TIMM how {name} gets small"
    return {"name": f"test_{family}"}


def band_names(count: int) -> list[str]:
    """Return the first so many bands of the vocabulary: 13 are Sentinel-2's."""
    return list(BANDS)[:count]


def full_backbone(name: str, /, bands: int = 6, **changes: Any) -> Callable[[], nn.Module]:
    """Return the constructor of a backbone option at its full size; the option `timm` gets a name."""
    keys = dict(content("backbone", name))
    if keys.get("name") == "???":
        keys |= NAMED_BACKBONES[name]
    return instantiate({**keys, "bands": band_names(bands), **changes})


def _small(keys: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what makes a backbone's keys those of a small one."""
    target = str(keys["_target_"])
    if "parts" in keys:
        return {"parts": {name: {**part, **_small(part)} for name, part in keys["parts"].items()}}
    if target.endswith("build_torchgeo"):
        return SMALL_TORCHGEO[str(keys["name"])]
    if target.endswith("build_transformers"):
        return SMALL_TRANSFORMERS[str(keys["name"])]
    return _small_timm(str(keys["name"])) if target.endswith("build_timm") else SMALL_BACKBONES[target]


def _built_of(name: str) -> str:
    """Return what a backbone option is made of in small: equal where options differ in sizes or weights alone."""
    keys = {**content("backbone", name), **_small(content("backbone", name))}
    if "variant" in keys:
        row = VARIANTS[keys["variant"]]
        keys["variant"] = (row.patch, row.coordinates)
    return repr(sorted(keys.items()))


def alike() -> Mapping[str, str]:
    """Return the options of backbones that are in small what another one is, with that one; families come first."""
    first: dict[str, str] = {}
    for name in sorted(BACKBONES, key=lambda name: name not in FAMILIES):
        first.setdefault(_built_of(name), name)
    return {name: first[_built_of(name)] for name in BACKBONES if first[_built_of(name)] != name}


def backbone(name: str, /, bands: int = 6, **changes: Any) -> nn.Module:
    """Return a backbone option in small, with the same random weights each time."""
    few = _small(content("backbone", name))
    torch.manual_seed(0)
    return full_backbone(name, bands, **{**few, **changes})()


@cache
def kept_backbone(name: str, device: str = "meta") -> nn.Module:
    """Return a backbone option in small; nobody changes it."""
    with torch.device(device):
        return backbone(name)


def fresh_backbone(name: str) -> nn.Module:
    """Return what `backbone` does, as a constructor within the factory; a copy takes a tenth of the time."""
    return copy.deepcopy(kept_backbone(name, torch.get_default_device().type))


def decoder(name: str, /, levels: int = 4, **changes: Any) -> Callable[..., nn.Module]:
    """Return the constructor of a decoder option in small; `levels`: how many features it will get."""
    keys = {**content("decoder", name), **NAMED_DECODERS.get(name, {})}
    if "kwargs" in keys:
        keys["kwargs"] = {**keys["kwargs"], **_few(keys["kwargs"])}
        if "intermediate_channels" in keys["kwargs"]:
            keys["kwargs"]["intermediate_channels"] = [16] * levels
        if "post_process_channels" in keys["kwargs"]:
            keys["kwargs"]["post_process_channels"] = [8, 8, 16, 16]
    return instantiate({**keys, **_few(keys), **changes})


def _few(keys: Mapping[str, Any]) -> dict[str, Any]:
    return {key: few for key, few in SMALL_DECODERS.items() if isinstance(keys.get(key), int)}


class Maps(nn.Module):
    """A backbone of one convolution per level: maps of any widths and strides."""

    in_chans = 3

    def __init__(self, widths: list[int], strides: list[int]) -> None:
        super().__init__()
        self.out_channels = list(widths)
        self.levels = nn.ModuleList(nn.Conv2d(3, c, s, s) for c, s in zip(widths, strides, strict=True))

    def forward(self, image: Tensor) -> list[Tensor]:
        return [level(image) for level in self.levels]


class Tokens(nn.Module):
    """A backbone of one convolution per layer: tokens at stride 16 after one class token."""

    in_chans = 3
    patch_size = 16

    def __init__(self, width: int = 16, depth: int = 4) -> None:
        super().__init__()
        self.out_channels = [width] * depth
        self.layers = nn.ModuleList(nn.Conv2d(3, width, 16, 16) for _ in range(depth))

    def forward(self, image: Tensor) -> list[Tensor]:
        cells = [layer(image).flatten(2).transpose(1, 2) for layer in self.layers]
        return [torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1) for tokens in cells]


class Vectors(nn.Module):
    """A backbone that returns one pooled vector per image."""

    out_channels = [8]

    def __init__(self, in_chans: int = 3) -> None:
        super().__init__()
        self.in_chans = in_chans
        self.layer = nn.Conv2d(in_chans, 8, 1)

    def forward(self, image: Tensor) -> list[Tensor]:
        return [self.layer(image).mean(dim=(2, 3))]


STAND_INS: Mapping[str, Callable[[], nn.Module]] = {
    "pyramid": lambda: Maps([16, 16, 32, 32], [4, 8, 16, 32]),
    "one scale": lambda: Maps([16, 16, 16, 16], [16, 16, 16, 16]),
    "tokens": Tokens,
}


def stand_in(name: str) -> nn.Module:
    """Return a backbone of few lines that gives features of a kind, with the same random weights each time."""
    torch.manual_seed(0)
    return STAND_INS[name]()


def image(bands: int = 6, batch: int = 1, rows: int = 64, columns: int = 64, frames: int | None = None) -> Tensor:
    """Return random images, the same each time."""
    shape = (batch, bands, rows, columns) if frames is None else (batch, bands, frames, rows, columns)
    return torch.randn(shape, generator=torch.Generator().manual_seed(batch * rows + columns))


def noise(*shape: int) -> Tensor:
    """Return random numbers of this shape, the same each time."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def coordinates(encoder: nn.Module, batch: int, frames: int = 1) -> dict[str, Tensor]:
    """Return dates and places where a backbone takes them, in words that `forward` knows."""
    takes = inspect.signature(encoder.forward).parameters
    wanted = getattr(encoder, "coords_encoding", ())
    given = {}
    if "time" in wanted and "temporal_coords" in takes:
        given["temporal_coords"] = torch.tensor([[2018.0, 26.0]]).expand(batch, frames, 2)
    if "location" in wanted and "location_coords" in takes:
        given["location_coords"] = torch.tensor([41.0, -5.8]).expand(batch, 2)
    return given


def shape_of(spec: FeatureSpec, batch: int, rows: int, columns: int) -> tuple[int, ...]:
    """Return the shape of a feature that is as its spec says, for images of this size."""
    h, w = rows / spec.stride, columns / spec.stride
    assert h == int(h), f"{rows} rows are no whole number of cells of {spec}"
    assert w == int(w), f"{columns} columns are no whole number of cells of {spec}"
    if spec.layout == "tokens":
        return (batch, spec.num_prefix_tokens + spec.num_frames * int(h) * int(w), spec.channels)
    if spec.layout == "vector":
        return (batch, spec.channels)
    return (batch, spec.channels, int(h), int(w)) if spec.layout == "NCHW" else (batch, int(h), int(w), spec.channels)

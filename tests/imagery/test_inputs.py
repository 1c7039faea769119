"""Images as they come: any size, one image a batch, channels last in memory, several modalities, and what is no image."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from geocompose.contracts.backbone import contract_of
from geocompose.contracts.images import split
from geocompose.contracts.meta import meta_forward, meta_image
from geocompose.contracts.probing import backbone_specs, probe_image
from geocompose.cost.summary import summarize
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.models.encoder_decoder import EncoderDecoderModel

PRITHVI: dict[str, Any] = {
    "embed_dim": 48,
    "depth": 4,
    "num_heads": 4,
    "img_size": 32,
    "bands": ["RED", "GREEN", "BLUE"],
}
BACKBONES: dict[str, tuple[str, dict[str, Any]]] = {
    "prithvi": ("prithvi_eo_v2_300", PRITHVI),
    "prithvi, patch 14": ("prithvi_eo_v2_300", {**PRITHVI, "patch_size": 14}),
    "vit": ("timm_test_vit", {}),
    "cnn": ("timm_test_resnet", {}),
    "swin": ("timm_swin_tiny_patch4_window7_224", {"kwargs": {"embed_dim": 24, "depths": [1, 1, 2, 1], "num_heads": [1, 2, 4, 8]}}),
}  # fmt: skip
SIZES = [(48, 80), (37, 61), (1, 45), (45, 1), (1, 1), (2, 3)]


def compose(
    backbone: str, decoder: str = "FCNDecoder", size: tuple[int, int] = (64, 64), **more: Any
) -> EncoderDecoderModel:
    name, kwargs = BACKBONES[backbone]
    torch.manual_seed(0)
    if decoder in ("FCNDecoder", "UperNetDecoder"):
        more["decoder_channels"] = 32
    return EncoderDecoderFactory(size).build_model(
        "segmentation", name, decoder, backbone_kwargs=dict(kwargs), num_classes=2, necks="auto", **more
    )


def image(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("decoder", ["FCNDecoder", "UperNetDecoder"])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_an_image_of_any_size_has_an_output_of_that_size_in_training_and_after(backbone, decoder):
    model = compose(backbone, decoder)
    for rows, columns in SIZES:
        model.eval()
        with torch.no_grad():
            output = model(image(2, 3, rows, columns)).output
        assert output.shape == (2, 2, rows, columns)
        assert output.isfinite().all()
    model.train()
    model(image(2, 3, 37, 61)).output.square().mean().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("size", [(1, 40), (40, 1), (50, 33)])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_model_is_built_for_data_of_any_size(backbone, size):
    model = compose(backbone, "UperNetDecoder", size=size)
    assert model.eval()(image(1, 3, *size)).output.shape == (1, 2, *size)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_single_pixel_is_no_data_to_build_a_model_for(backbone):
    with pytest.raises(UserError, match="is larger than the image, 1 x 1"):
        compose(backbone, size=(1, 1))


@pytest.mark.parametrize("decoder", ["FCNDecoder", "UperNetDecoder", "smp_Unet"])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_one_image_a_batch_trains(backbone, decoder):
    model = compose(backbone, decoder, size=(64, 96)).train()
    for rows, columns in ((64, 96), (33, 5)):
        model.zero_grad()
        output = model(image(1, 3, rows, columns)).output
        output.square().mean().backward()
        assert output.isfinite().all()


@pytest.mark.parametrize("backbone", BACKBONES)
def test_channels_last_in_memory_changes_no_number(backbone):
    model = compose(backbone).eval()
    picture = image(2, 3, 48, 80)
    with torch.no_grad():
        before = model(picture).output
        after = model.to(memory_format=torch.channels_last)(picture.to(memory_format=torch.channels_last)).output
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)
    kernels = [p for p in model.parameters() if p.ndim == 4 and min(p.shape[1:3]) > 1]
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)
    assert model.to(torch.float64)(picture.double()).output.dtype == torch.float64


def test_an_image_of_the_same_numbers_elsewhere_in_memory_gives_the_same_output():
    model = compose("prithvi").eval()
    picture = image(2, 64, 64, 3).permute(0, 3, 1, 2)
    with torch.no_grad():
        assert torch.equal(model(picture).output, model(picture.contiguous()).output)


# Without padding


@pytest.mark.parametrize("backbone", BACKBONES)
def test_without_padding_a_size_that_a_backbone_cannot_take_is_refused_with_the_sizes_that_fit(backbone):
    model = compose(backbone, backbone_padding=None, size=(224, 224)).eval()
    fitting = model.pad_multiple
    assert model(image(1, 3, fitting, 2 * fitting)).output.shape == (1, 2, fitting, 2 * fitting)
    if backbone == "cnn":
        assert model(image(1, 3, 50, 33)).output.shape == (1, 2, 50, 33)
        return
    with pytest.raises(UserError, match=f"can't take images of 50 x 33 pixels: .* multiples of {fitting} always fit"):
        model(image(1, 3, 50, 33))
    with pytest.raises(UserError, match=r"can't take images of 50 x 33 pixels: .* leave backbone_padding at 'reflect'"):
        compose(backbone, backbone_padding=None, size=(50, 33))


# What is no image for a model


@pytest.mark.parametrize("backbone", BACKBONES)
def test_an_image_of_other_bands_is_refused_by_every_model(backbone):
    model = compose(backbone)
    with pytest.raises(UserError, match=r"takes 3 bands.*; the image \(1, 4, 64, 64\) has 4"):
        model(image(1, 4, 64, 64))
    with pytest.raises(UserError, match=r"An image is \(B, bands, rows, columns\), or .*; got \(3, 64, 64\)"):
        model(image(3, 64, 64))
    with pytest.raises(UserError, match=r"An image is .*; got ndarray"):
        model(image(1, 3, 64, 64).numpy())


def test_the_bands_that_are_expected_are_named():
    with pytest.raises(UserError, match=r"takes 3 bands \(RED, GREEN, BLUE\)"):
        compose("prithvi")(image(1, 6, 64, 64))


@pytest.mark.parametrize("backbone", ["vit", "cnn", "swin"])
def test_frames_for_a_backbone_of_single_images_are_refused(backbone):
    with pytest.raises(
        UserError, match=r"takes one image at a time, .*got \(1, 3, 2, 64, 64\), 2 frames. Use temporal=mean"
    ):
        compose(backbone)(image(1, 3, 2, 64, 64))


def test_checks_of_an_image_are_exported_with_the_model():
    model = compose("cnn").eval()
    picture = image(1, 3, 64, 64)
    exported = torch.export.export(model, (picture,)).module()
    torch.testing.assert_close(exported(picture).output, model(picture).output, atol=1e-5, rtol=1e-5)


# Several modalities


class TwoSensors(nn.Module):
    """Somebody's backbone of two modalities: a map of each, side by side."""

    modalities = {"optical": ["RED", "NIR_NARROW"], "sar": ["VV"]}
    out_channels = (8, 8)

    def __init__(self, bands: list[str] | None = None) -> None:
        super().__init__()
        if bands is not None:
            self.bands = bands
        self.optical, self.sar = nn.Conv2d(2, 4, 4, 4), nn.Conv2d(1, 4, 4, 4)

    def forward(self, image: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        joint = torch.cat([self.optical(image["optical"]), self.sar(image["sar"])], dim=1)
        return joint, nn.functional.max_pool2d(joint, 2)


def of_two_sensors(bands: list[str] | None = None, **more: Any) -> EncoderDecoderModel:
    torch.manual_seed(0)
    return EncoderDecoderFactory((32, 48)).build_model(
        "segmentation", TwoSensors(bands), "FCNDecoder", num_classes=2, necks="auto", **more
    )


def test_a_backbone_of_two_modalities_takes_a_mapping_or_one_image_of_all_bands():
    model = of_two_sensors().eval()
    picture = image(2, 3, 30, 41)
    stacked = model(picture).output
    assert stacked.shape == (2, 2, 30, 41)
    assert torch.equal(model({"optical": picture[:, :2], "sar": picture[:, 2:]}).output, stacked)
    other = of_two_sensors(["VV", "B8A", "RED", "DEM"]).eval()
    other.load_state_dict(model.state_dict())
    shuffled = torch.cat([picture[:, 2:], picture[:, 1:2], picture[:, :1], torch.zeros(2, 1, 30, 41)], dim=1)
    assert torch.equal(other(shuffled).output, stacked)


def test_a_backbone_of_two_modalities_is_probed_counted_and_run_through_time():
    backbone = TwoSensors()
    assert contract_of(backbone).channels == 3
    assert {name: tuple(one.shape) for name, one in probe_image(backbone, (16, 16), 2).items()} == {
        "optical": (1, 2, 2, 16, 16), "sar": (1, 1, 2, 16, 16),
    }  # fmt: skip
    assert [(spec.channels, spec.stride) for spec in backbone_specs(backbone, (32, 48))] == [(8, 4), (8, 8)]
    summary = summarize(of_two_sensors(), image_size=(32, 48))
    assert summary.gflops > 0
    series = of_two_sensors(backbone_use_temporal=True, backbone_temporal_pooling="max").eval()
    assert series(image(2, 3, 4, 32, 48)).output.shape == (2, 2, 32, 48)
    assert series({"optical": image(2, 2, 4, 32, 48), "sar": image(2, 1, 4, 32, 48)}).output.shape == (2, 2, 32, 48)


def test_channels_of_modalities_are_found_by_name():
    assert contract_of(TwoSensors(["VV", "B8A", "RED"])).places == {"optical": [2, 1], "sar": [0]}
    assert contract_of(nn.Identity()).places is None
    parts = split(image(1, 3, 2, 2), {"optical": [2, 1], "sar": [0]})
    assert torch.equal(parts["optical"], image(1, 3, 2, 2)[:, [2, 1]])
    with pytest.raises(UserError, match="The image of the backbone TwoSensors has no band 'VV'"):
        _ = contract_of(TwoSensors(["RED", "B8A"])).places
    for wrong in ({}, ["optical"], {"optical": "RED"}):
        odd = TwoSensors()
        odd.modalities = wrong
        with pytest.raises(UserError, match=r"has modalities=.*; they are a mapping of names to lists of bands"):
            contract_of(odd)


# Backbones that say little of themselves


class Undeclared(nn.Module):
    """Somebody's backbone, whose convolution isn't given whole images."""

    def __init__(self, make: Callable[[Tensor], Any], out_channels: Any, in_chans: int | None = None) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 8, 3, 2, 1)
        self.make, self.out_channels = make, out_channels
        if in_chans is not None:
            self.in_chans = in_chans

    def forward(self, picture: Tensor) -> Any:
        return self.make(self.first(picture[:, :2]))


def halves(maps: Tensor) -> tuple[Tensor, Tensor]:
    return maps, nn.functional.avg_pool2d(maps, 2, ceil_mode=True)


@pytest.mark.parametrize("size", [(64, 64), (50, 50), (33, 77), (100, 100)])
def test_strides_of_a_backbone_that_declares_none_are_the_same_at_any_size_of_the_data(size):
    assert [spec.stride for spec in backbone_specs(Undeclared(halves, (8, 8)), size)] == [2, 4]


class Cells(nn.Module):
    """Somebody's backbone of maps whose cells are so many pixels, from which the last `lost` cells fall off."""

    in_chans = 3

    def __init__(self, strides: list[int], lost: int = 0) -> None:
        super().__init__()
        self.out_channels, self.lost = [8] * len(strides), lost
        self.levels = nn.ModuleList(nn.Conv2d(3, 8, stride, stride) for stride in strides)

    def forward(self, picture: Tensor) -> list[Tensor]:
        maps = [level(picture) for level in self.levels]
        return [one[..., : one.shape[2] - self.lost, : one.shape[3] - self.lost] for one in maps]


@pytest.mark.parametrize(
    ("strides", "lost"),
    [
        ([3, 6, 12], 0),
        ([5, 10], 0),
        ([20, 40], 0),
        ([30], 0),
        ([64, 64], 0),
        ([4, 8, 16, 32, 64, 128], 0),
        ([8, 16, 32], 2),
    ],
)
def test_a_stride_that_divides_no_usual_size_is_no_fraction(strides, lost):
    # Of a square image, rows and columns always agree: three pixels to a cell once were 112/37.
    assert [spec.stride for spec in backbone_specs(Cells(strides, lost), (70, 99))] == strides


def test_a_patch_that_divides_no_usual_size_is_taken_from_the_backbone():
    backbone = Undeclared(lambda maps: maps, [8])
    backbone.forward = lambda picture: [nn.functional.avg_pool2d(backbone.first(picture), 6).flatten(2).transpose(1, 2)]
    backbone.patch_size = 12
    assert [spec.stride for spec in backbone_specs(backbone, (70, 99))] == [12]


def test_a_tuple_of_features_and_of_widths_will_do():
    model = EncoderDecoderFactory((50, 50)).build_model(
        "segmentation", Undeclared(halves, (8, 8), in_chans=5), "FCNDecoder", num_classes=2, necks="auto"
    )
    assert model(image(1, 5, 50, 50)).output.shape == (1, 2, 50, 50)


class Frames(nn.Module):
    """Somebody's backbone of four frames in tubelets of two, after a class token."""

    in_chans, num_frames, patch_size, out_channels = 3, 4, 16, [8]

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Conv3d(3, 8, (2, 16, 16), (2, 16, 16))

    def forward(self, picture: Tensor) -> list[Tensor]:
        tokens = self.proj(picture).flatten(2).transpose(1, 2)
        return [torch.cat([tokens[:, :1], tokens], dim=1)]


def test_frames_that_tokens_hold_apart_are_found():
    (spec,) = backbone_specs(Frames(), (100, 60))
    assert (spec.stride, spec.num_frames, spec.num_prefix_tokens, spec.layout) == (16, 2, 1, "tokens")
    model = EncoderDecoderFactory((100, 60), num_frames=4).build_model(
        "segmentation", Frames(), "FCNDecoder", num_classes=2, necks="auto"
    )
    assert model(image(1, 3, 4, 100, 60)).output.shape == (1, 2, 100, 60)
    unknown = Frames()
    unknown.patch_size = None
    with pytest.raises(
        UserError, match="for 4 frames, which several patches could explain: give the backbone an attribute patch_size"
    ):
        backbone_specs(unknown, (64, 64))


@pytest.mark.parametrize("name", ["inception_v4", "legacy_xception"])
def test_a_network_whose_maps_lose_a_border_is_as_declared(name):
    trial = EncoderDecoderFactory((224, 224)).trial(
        "segmentation", f"timm_{name}", "FCNDecoder", num_classes=2, necks="auto"
    )
    assert trial.plan.pad_multiple == 32


def test_a_network_for_which_tiles_are_too_small_is_named_itself():
    message = "The backbone timm_inception_v4 can't take images of 64 x 64 pixels. It stopped with: .* Write a larger data.tile_px"
    with pytest.raises(UserError, match=message):
        EncoderDecoderFactory((64, 64)).trial(
            "segmentation", "timm_inception_v4", "FCNDecoder", num_classes=2, necks="auto"
        )


class OneSize(nn.Module):
    """Somebody's backbone that takes 96 x 96 pixels only, and doesn't say so."""

    in_chans, out_channels = 3, [8]

    def __init__(self) -> None:
        super().__init__()
        self.proj, self.positions = nn.Conv2d(3, 8, 16, 16), nn.Parameter(torch.zeros(1, 36, 8))

    def forward(self, picture: Tensor) -> list[Tensor]:
        return [self.proj(picture).flatten(2).transpose(1, 2) + self.positions]


def test_a_backbone_of_one_size_is_looked_at_in_the_size_of_the_data():
    assert [spec.stride for spec in backbone_specs(OneSize(), (96, 96))] == [16]
    with pytest.raises(
        UserError, match="The backbone OneSize can't take an image of 3 channels and 64 x 64 pixels, of shape"
    ):
        backbone_specs(OneSize(), (64, 64))


def test_meta_images_are_stacked_for_a_whole_model():
    model = of_two_sensors()
    assert meta_forward(model, meta_image(contract_of(model.encoder).channels, 1, (32, 48))).output.shape == (
        1,
        2,
        32,
        48,
    )

"""Images as they come: any size, one image a batch, channels last in memory, and what a model refuses."""

from typing import Any

import pytest
import torch

from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.models.encoder_decoder import EncoderDecoderModel
from tests.kit.small import noise

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
    "swin": (
        "timm_swin_tiny_patch4_window7_224", {"kwargs": {"embed_dim": 24, "depths": [1, 1, 2, 1], "num_heads": [1, 2, 4,
            8]}}),
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


@pytest.mark.parametrize("decoder", ["FCNDecoder", "UperNetDecoder"])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_an_image_of_any_size_has_an_output_of_that_size_in_training_and_after(backbone, decoder):
    model = compose(backbone, decoder)
    for rows, columns in SIZES:
        model.eval()
        with torch.no_grad():
            output = model(noise(2, 3, rows, columns)).output
        assert output.shape == (2, 2, rows, columns)
        assert output.isfinite().all()
    model.train()
    model(noise(2, 3, 37, 61)).output.square().mean().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("size", [(1, 40), (40, 1), (50, 33)])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_model_is_built_for_data_of_any_size(backbone, size):
    model = compose(backbone, "UperNetDecoder", size=size)
    assert model.eval()(noise(1, 3, *size)).output.shape == (1, 2, *size)


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
        output = model(noise(1, 3, rows, columns)).output
        output.square().mean().backward()
        assert output.isfinite().all()


@pytest.mark.parametrize("backbone", BACKBONES)
def test_channels_last_in_memory_changes_no_number(backbone):
    model = compose(backbone).eval()
    picture = noise(2, 3, 48, 80)
    with torch.no_grad():
        before = model(picture).output
        after = model.to(memory_format=torch.channels_last)(picture.to(memory_format=torch.channels_last)).output
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)
    kernels = [p for p in model.parameters() if p.ndim == 4 and min(p.shape[1:3]) > 1]
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)
    assert model.to(torch.float64)(picture.double()).output.dtype == torch.float64


def test_an_image_of_the_same_numbers_elsewhere_in_memory_gives_the_same_output():
    model = compose("prithvi").eval()
    picture = noise(2, 64, 64, 3).permute(0, 3, 1, 2)
    with torch.no_grad():
        # Other kernels, which round the last digits in their own way.
        torch.testing.assert_close(model(picture).output, model(picture.contiguous()).output, rtol=1e-5, atol=1e-5)


# Without padding


@pytest.mark.parametrize("backbone", BACKBONES)
def test_without_padding_a_size_that_a_backbone_cannot_take_is_refused_with_the_sizes_that_fit(backbone):
    model = compose(backbone, backbone_padding=None, size=(224, 224)).eval()
    fitting = model.pad_multiple
    assert model(noise(1, 3, fitting, 2 * fitting)).output.shape == (1, 2, fitting, 2 * fitting)
    if backbone == "cnn":
        assert model(noise(1, 3, 50, 33)).output.shape == (1, 2, 50, 33)
        return
    with pytest.raises(UserError, match=f"can't take images of 50 x 33 pixels: .* multiples of {fitting} always fit"):
        model(noise(1, 3, 50, 33))
    with pytest.raises(UserError, match=r"can't take images of 50 x 33 pixels: .* leave backbone_padding at 'reflect'"):
        compose(backbone, backbone_padding=None, size=(50, 33))


# What is no image for a model


@pytest.mark.parametrize("backbone", BACKBONES)
def test_an_image_of_other_bands_is_refused_by_every_model(backbone):
    model = compose(backbone)
    with pytest.raises(UserError, match=r"takes 3 bands.*; the image \(1, 4, 64, 64\) has 4"):
        model(noise(1, 4, 64, 64))
    with pytest.raises(UserError, match=r"An image must be \(B, bands, rows, columns\), or .*; got \(3, 64, 64\)"):
        model(noise(3, 64, 64))
    with pytest.raises(UserError, match=r"An image must be .*; got ndarray"):
        model(noise(1, 3, 64, 64).numpy())


def test_the_bands_that_are_expected_are_named():
    with pytest.raises(UserError, match=r"takes 3 bands \(RED, GREEN, BLUE\)"):
        compose("prithvi")(noise(1, 6, 64, 64))


@pytest.mark.parametrize("backbone", ["vit", "cnn", "swin"])
def test_frames_for_a_backbone_of_single_images_are_refused(backbone):
    with pytest.raises(
        UserError, match=r"takes one image at a time, .*got \(1, 3, 2, 64, 64\), 2 frames. Use temporal=mean"
    ):
        compose(backbone)(noise(1, 3, 2, 64, 64))


def test_checks_of_an_image_are_exported_with_the_model():
    model = compose("cnn").eval()
    picture = noise(1, 3, 64, 64)
    exported = torch.export.export(model, (picture,)).module()
    torch.testing.assert_close(exported(picture).output, model(picture).output, atol=1e-5, rtol=1e-5)

"""Sizes, frames and layers that a backbone can't take, each answered with the number to write."""

import pytest
import torch

from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from tests.kit.compositions import planned

# Frames


@pytest.mark.parametrize(
    ("backbone", "frames", "message"),
    [
        (
            "timm_test_resnet",
            3,
            r"timm_test_resnet takes one frame per image; the data has 3 \(data\.num_frames=3\)\. Write "
            r".*temporal=mean, which gives it "
            "one at a time",
        ),
        (
            "prithvi_eo_tiny",
            3,
            r"takes 2 frames per image; the data has 3 \(data\.num_frames=3\)\. Write backbone\.num_frames=3, or "
            r"backbone\.num_frames=1 temporal=mean, which gives it one at a time",
        ),
        ("prithvi_eo_tiny", 1, r"takes 2 frames per image; the data has one\. Write backbone\.num_frames=1\."),
    ],
)
def test_a_frame_too_many_is_refused_with_the_number_to_write(backbone, frames, message):
    own = {"backbone_num_frames": 2} if backbone == "prithvi_eo_tiny" else {}
    factory = EncoderDecoderFactory((64, 64), num_frames=frames)
    with pytest.raises(UserError, match=message):
        factory.build_model("segmentation", backbone, "FCNDecoder", num_classes=2, necks="auto", **own)


def test_an_image_smaller_than_a_patch_is_answered_with_a_size_that_is_not_padded():
    with pytest.raises(
        UserError,
        match=r"128 x 128 pixels, is larger than the image, 64 x 64: .* Write data\.tile_px=256 or more: with these",
    ) as refusal:
        planned("prithvi_eo_v2_tiny_tl", "UperNetDecoder", backbone_patch_size=128)
    assert refusal.value.part == "backbone"
    factory = EncoderDecoderFactory((256, 256))
    own = {"backbone_patch_size": 128, "backbone_img_size": 256}
    trial = factory.trial("segmentation", "prithvi_eo_v2_tiny_tl", "UperNetDecoder", num_classes=2, necks="auto", **own)
    assert trial.plan.pad_multiple == 256
    with pytest.raises(UserError, match=r"Write data\.tile_px=128 or more; or take"):
        planned("prithvi_eo_v2_tiny_tl", "FCNDecoder", backbone_patch_size=128)


def test_a_frame_too_many_in_a_batch_is_told_with_both_numbers():
    model = EncoderDecoderFactory((64, 64)).build_model(
        "segmentation", "prithvi_eo_v2_tiny_tl", "FCNDecoder", num_classes=3, necks="auto", backbone_num_frames=2
    )
    with pytest.raises(UserError, match=r"The backbone PrithviViT takes 2 frames, got 3: .*backbone\.num_frames=3"):
        model(torch.zeros(1, 6, 3, 64, 64))


def test_layers_beyond_prithvi_s_depth_are_told_with_the_key_and_what_to_write():
    message = (
        r"backbone\.out_indices=\[2, 5, 8, 12\]: this backbone has layers 0 to 11 \(or -12 to -1\).* Write for example "
        r"\[2, 5, 8, 11\]\."
    )
    with pytest.raises(UserError, match=message):
        planned("prithvi_eo_v2_tiny_tl", "UNetDecoder", backbone_out_indices=[2, 5, 8, 12])


def test_the_size_of_images_has_its_own_place_among_transformers_arguments():
    with pytest.raises(UserError, match=r"backbone\.kwargs\.img_size has its own key: write backbone\.img_size\."):
        planned("transformers_dinov2", "FCNDecoder", backbone_kwargs={"kwargs": {"img_size": 224}})

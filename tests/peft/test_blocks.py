"""Which modules of a backbone are its blocks, and in which layer its parameters are."""

import pytest
import torch
from torch import nn

from geocompose.peft.blocks import blocks_of, single_backbones
from tests.kit.small import kept_backbone, marks

FOUND = {
    "prithvi": (4, "blocks.0", "blocks.3"),
    "vit": (6, "model.blocks.0", "model.blocks.5"),
    "swin": (5, "layers_0.blocks.0", "layers_3.blocks.0"),
    "convnext": (9, "stages_0.blocks.0", "stages_3.blocks.1"),
    "resnet50": (4, "layer1.0", "layer4.0"),
    "transformers": (4, "model.encoder.layer.0", "model.encoder.layer.3"),
    "unet": (9, "encoder.0", "decoder.0"),
    "regnet": (4, "s1", "s4"),
    "identity": (0, None, None),
    "torchgeo_dofa_base": (4, "blocks.0", "blocks.3"),
    "torchgeo_swin_v2_b": (5, "features.1.0", "features.7.0"),
}


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in FOUND])
def test_blocks_are_found_in_every_family(name):
    count, first, last = FOUND[name]
    blocks = blocks_of(kept_backbone(name))
    assert len(blocks.names) == count
    assert (blocks.names[:1], blocks.names[-1:]) == (([first], [last]) if count else ([], []))


def test_layers_are_before_in_and_after_the_blocks():
    blocks = blocks_of(kept_backbone("prithvi"))
    layers = {name: blocks.layer_of(name) for name, _ in kept_backbone("prithvi").named_parameters()}
    assert layers["cls_token"] == layers["patch_embed.proj.weight"] == 0
    assert layers["blocks.0.norm1.weight"] == 1
    assert layers["blocks.3.mlp.fc2.bias"] == 4
    assert layers["norm.weight"] == 5 == blocks.num_layers - 1


def test_what_leads_to_a_block_is_in_its_layer():
    blocks = blocks_of(kept_backbone("swin"))
    assert blocks.layer_of("layers_3.downsample.norm.weight") == 5 == blocks.layer_of("layers_3.blocks.0.norm1.weight")


class OfStrangers(nn.Module):
    out_channels = [8]
    in_chans = 3

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Conv2d(8, 8, 1)  # runs after the others
        self.first, self.second = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1)

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        return [self.last(self.second(self.first(image)))]


def test_the_modules_of_a_network_without_blocks_count_in_the_order_in_which_they_run():
    assert blocks_of(OfStrangers()).names == ["first", "second", "last"]


def test_backbones_side_by_side_are_looked_at_one_by_one():
    assert [start for start, _ in single_backbones(kept_backbone("fusion"))] == ["parts.s2.", "parts.s1."]

"""The Prithvi encoder by its published definition: sizes, names, layers, prompts."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import Tensor

from geocompose.backbones.prithvi.builder import VARIANTS, build_prithvi
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from tests.kit.prithvi_models import SMALL, image, small

# Sizes


@pytest.mark.parametrize(
    ("variant", "millions"),
    [
        ("prithvi_eo_tiny", 3.55),
        ("prithvi_eo_v1_100", 86.24),
        ("prithvi_eo_v2_tiny_tl", 5.63),
        ("prithvi_eo_v2_100_tl", 86.24),
        ("prithvi_eo_v2_300", 303.89),
        ("prithvi_eo_v2_300_tl", 303.89),
        ("prithvi_eo_v2_600", 631.19),
        ("prithvi_eo_v2_600_tl", 631.19),
    ],
)
def test_a_variant_has_the_published_number_of_parameters(variant, millions):
    with torch.device("meta"):
        model = build_prithvi(variant)
    assert round(sum(parameter.numel() for parameter in model.parameters()) / 1e6, 2) == millions
    assert len(model.out_indices) == VARIANTS[variant].depth


def test_every_variant_of_the_table_is_counted():
    assert len(VARIANTS) == 8


def test_parameter_names_are_those_of_published_checkpoints():
    model = small(coords_encoding=["time", "location"], coords_scale_learn=True)
    block = {
        f"{part}.{kind}"
        for part in ("norm1", "norm2", "attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
        for kind in ("weight", "bias")
    }
    expected = {
        "cls_token",
        "pos_embed",
        "patch_embed.proj.weight",
        "patch_embed.proj.bias",
        "norm.weight",
        "norm.bias",
        "temporal_embed_enc.scale",
        "location_embed_enc.scale",
    }
    assert set(model.state_dict()) == expected | {f"blocks.{n}.{name}" for n in range(3) for name in block}
    assert "pos_embed" not in dict(model.named_parameters())
    assert model.norm.eps == model.blocks[0].norm1.eps == 1e-5


# Layers and arguments


def test_layers_come_in_the_order_asked_for_and_only_the_last_block_is_normalised():
    model = small()
    everything = model(image())
    model.select_layers([2, -3])
    last, first = model(image())
    assert torch.equal(last, everything[2])
    assert torch.equal(first, everything[0])
    normalised = last.detach()
    np.testing.assert_allclose(normalised.mean(-1).numpy(), 0, atol=1e-5)
    assert not np.allclose(first.detach().mean(-1).numpy(), 0, atol=1e-3)
    assert model.out_channels == [32, 32]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"variant": "prithvi_eo_v2_30"},
            "There is no Prithvi variant 'prithvi_eo_v2_30'. Did you mean 'prithvi_eo_v2_300'",
        ),
        (
            {"out_indices": [0, 3]},
            r"backbone\.out_indices=\[0, 3\]: .* layers 0 to 2 \(or -3 to -1\), .* Write for example \[0, 1, 2\]",
        ),
        ({"out_indices": [1, -2]}, "each selectable once"),
        ({"out_indices": []}, "each selectable once"),
        ({"coords_encoding": ["tme"]}, "coords_encoding has no 'tme'. Did you mean 'time'"),
        ({"num_heads": 5}, "embed_dim must be a multiple of num_heads; got 32 and 5"),
        ({"embed_dim": 24, "num_heads": 4}, "multiple of 16"),
        ({"patch_size": [1, 16, 14]}, "square patches"),
        ({"patch_size": [2, 16, 16], "num_frames": 3}, "num_frames must be a multiple of the patch's 2 frames; got 3"),
        ({"bands": ["RED", "GREN"]}, "Unknown band 'GREN'. Did you mean 'GREEN'"),
        ({"bands": ["RED", "B4"]}, "names each band once"),
        ({"bands": []}, "at least one"),
        ({"bands": "RED,GREEN"}, "backbone.bands must be a list of band names"),
        ({"pretrained_bands": [0, 1, 2]}, "backbone.pretrained_bands takes names of bands.* got 0, which does not say"),
        ({"pretrained_bands": ["RED", "GREN"]}, "Unknown band 'GREN'. Did you mean 'GREEN'"),
        ({"pretrained_bands": ["RED", "RED"]}, "backbone.pretrained_bands names each band once"),
        ({"in_chans": 4}, r"backbone.in_chans=4, but the backbone's bands are 6: \['BLUE'"),
        ({"vit_adapter": True}, "vit_adapter is not supported. For a pyramid .* neck=auto"),
        ({"encoder_only": False}, "The masked autoencoder is the full model prithvi_eo_v2_300_mae"),
        ({"patch_size": 0}, "square patches"),
        ({"img_size": [64, 64, 64]}, "img_size must be one number of pixels"),
        ({"drop_path": 1.5}, "drop_path must be a share from 0 to below 1; got 1.5"),
        ({"vpt": True}, "vpt=true needs vpt_n_tokens"),
        ({"vpt": True, "vpt_n_tokens": 0}, "vpt_n_tokens must be 1 or more; got 0"),
        ({"vpt": True, "vpt_n_tokens": 2, "vpt_dropout": -0.1}, "vpt_dropout must be a share"),
        ({"vpt_n_tokens": 5}, "vpt_n_tokens=5 counts only with vpt=true"),
        ({"vpt_dropout": 0.1}, "vpt_dropout=0.1 counts only with vpt=true"),
        ({"variant": "prithvi_eo_tiny", "pretrained": True}, "prithvi_eo_tiny has no published weights"),
        ({"ckpt_path": "/nowhere/a.pt"}, "There is no weight file at /nowhere/a.pt"),
    ],
)
def test_an_argument_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        small(**changes)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.zeros(1, 5, 64, 64), r"takes 6 bands \(BLUE, .*\); the image has 5"),
        (torch.zeros(1, 6, 60, 64), "not multiples of the patch"),
    ],
)
def test_an_image_that_does_not_fit_is_refused(given, message):
    with pytest.raises(UserError, match=message):
        small()(given)


def test_what_only_confirms_the_encoder_is_accepted():
    assert small(in_chans=6, encoder_only=True, vit_adapter=False).in_chans == 6


def test_out_channels_count_the_returned_layers_and_are_not_multiplied_by_frames():
    model = small(num_frames=3, out_indices=[0, 2])
    features = model(image(frames=3))
    assert model.out_channels == [feature.shape[-1] for feature in features] == [32, 32]
    assert [spec.num_frames for spec in model.feature_specs] == [3, 3]


def test_blocks_after_the_last_selected_layer_never_run_and_never_learn():
    model = small(out_indices=[1], vpt=True, vpt_n_tokens=2).train()
    ran: list[int] = []
    for index, block in enumerate(model.blocks):
        block.register_forward_hook(lambda *_, index=index: ran.append(index))
    model(image())[0].sum().backward()
    assert ran == [0, 1]
    still = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert still == {name for name in dict(model.named_parameters()) if ".2" in name or name.startswith("norm.")}
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)


def test_a_selection_of_layers_never_lets_learn_what_was_frozen():
    model = small()
    model.blocks.requires_grad_(False)
    model.norm.requires_grad_(False)
    model.select_layers([-1, 0])
    assert not any(parameter.requires_grad for parameter in (*model.blocks.parameters(), *model.norm.parameters()))


def test_a_layer_that_was_given_up_cannot_be_selected_again():
    model = small(out_indices=[0])
    with pytest.raises(UserError, match=r"Layer 2 was given up when the layers up to 0 were selected.*out_indices"):
        model.select_layers([0, 2])
    assert model.out_indices == [0]


def test_drop_path_is_the_same_rate_for_each_block():
    model = small(drop_path=0.3)
    assert [block.drop_path1.drop_prob for block in model.blocks] == [0.3] * 3


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_runs_its_own_weights(copied):
    model = small(vpt=True, vpt_n_tokens=2)
    other, before = copied(model), model(image())[-1]
    assert torch.equal(other(image())[-1], before)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(0.1)
    assert not torch.equal(other(image())[-1], before)
    assert torch.equal(model(image())[-1], before)


@pytest.mark.parametrize("prompts", [{}, {"vpt": True, "vpt_n_tokens": 2}])
def test_the_encoder_exports_for_any_batch_size(prompts):
    model = small(num_frames=2, coords_encoding=["time", "location"], **prompts)
    given = (image(frames=2), torch.tensor([[[2018.0, 10.0], [2019.0, 200.0]]] * 2), torch.tensor([[47.0, 8.0]] * 2))
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(model, given, dynamic_shapes=({0: batch}, {0: batch}, {0: batch})).module()
    more = tuple(torch.cat([tensor, tensor]) for tensor in given)
    for mine, theirs in zip(exported(*more), model(*more), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)


# Prompts


def test_prompts_stand_after_the_class_token_in_each_block_and_are_gone_behind_it():
    model = small(vpt=True, vpt_n_tokens=5)
    prompts = model.vpt_prompt_embeddings
    assert prompts is not None
    seen: list[Tensor] = []
    for block in model.blocks:
        block.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    features = model(image())
    assert [feature.shape for feature in features] == [(2, 17, 32)] * 3
    assert {name for name in model.state_dict() if name.startswith("vpt")} == {
        f"vpt_prompt_embeddings.{n}" for n in range(3)
    }
    for index, tokens in enumerate(seen):
        assert tokens.shape == (2, 22, 32)
        assert torch.equal(tokens[:, 1:6], prompts[index].expand(2, -1, -1))
    # The class token stands before them, the patches behind, both as the block before left them.
    assert torch.equal(seen[1][:, 0], features[0][:, 0])
    assert torch.equal(seen[1][:, 6:], features[0][:, 1:])


def test_prompts_start_within_the_bound_of_the_paper():
    model = small(vpt=True, vpt_n_tokens=50)
    bound = (6 / (3 * 16 * 16 + 32)) ** 0.5
    assert model.vpt_prompt_embeddings is not None
    for prompts in model.vpt_prompt_embeddings:
        assert 0.9 * bound < prompts.abs().max() <= bound


def test_prompts_leave_the_other_random_weights_as_they_were():
    torch.manual_seed(3)
    without = small().state_dict()
    torch.manual_seed(3)
    with_prompts = small(vpt=True, vpt_n_tokens=2).state_dict()
    assert all(torch.equal(with_prompts[key], value) for key, value in without.items())


@pytest.mark.parametrize(("task", "decoder"), [("segmentation", "FCNDecoder"), ("classification", "IdentityDecoder")])
def test_prompts_go_on_learning_when_the_backbone_is_frozen(task, decoder):
    model = EncoderDecoderFactory(image_size=(64, 64)).build_model(
        task=task,
        backbone="prithvi_eo_v2_300",
        backbone_kwargs={**SMALL, "vpt": True, "vpt_n_tokens": 2, "vpt_dropout": 0.5},
        decoder=decoder,
        num_classes=3,
        necks="auto",
    )
    model.freeze_encoder()
    model.train()
    model(image()).output.sum().backward()
    learning = {name for name, parameter in model.encoder.named_parameters() if parameter.requires_grad}
    assert learning == {f"vpt_prompt_embeddings.{n}" for n in range(3)}
    assert all(model.encoder.get_parameter(name).grad.abs().sum() > 0 for name in learning)
    assert model.encoder.vpt_dropout.training
    assert not torch.equal(model(image()).output, model(image()).output)
    model.eval()
    assert torch.equal(model(image()).output, model(image()).output)

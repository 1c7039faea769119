"""LoRA: what it adapts, and that it begins as the backbone."""

from typing import Any

import pytest
import torch
from torch import nn

from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.peft.lora import Lora
from geocompose.peft.qkv import SplitQkv
from tests.kit.adapted import FAMILIES, build, image, learning


def fill_what_starts_at_zero(model: nn.Module) -> None:
    """Let gradients through: at first one of LoRA's matrices is 0, and the last norm of many a residual branch."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name or (parameter.ndim == 1 and name.endswith("weight")):
                parameter.fill_(0.5)


def test_a_split_qkv_returns_what_the_fused_layer_did():
    fused = nn.Linear(12, 36)
    x = torch.randn(2, 5, 12)
    split = SplitQkv(fused)
    torch.testing.assert_close(split(x), fused(x), atol=1e-6, rtol=0)
    torch.testing.assert_close(split.weight, fused.weight)


def test_the_rows_of_a_split_qkv_are_copies_that_safetensors_can_store():
    fused = nn.Linear(12, 36)
    split = SplitQkv(fused)
    storages = {part.untyped_storage().data_ptr() for part in split.parameters()}
    assert len(storages) == 6
    assert fused.weight.untyped_storage().data_ptr() not in storages


@pytest.mark.parametrize("family", FAMILIES)
def test_lora_starts_as_the_backbone_that_it_adapts(family):
    plain, adapted = build(family).eval(), build(family, Lora()).eval()
    for before, after in zip(plain.encoder(image()), adapted.encoder(image()), strict=True):
        torch.testing.assert_close(before, after, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_of_a_lora_backbone_only_the_added_matrices_learn_and_all_of_them_do(family):
    model = build(family, Lora(r=4))
    assert learning(model.encoder)
    assert all("lora_" in name for name in learning(model.encoder))
    assert learning(model.decoder) == {name for name, _ in model.decoder.named_parameters()}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name or (parameter.ndim == 1 and name.endswith("weight")):
                parameter.fill_(
                    0.5
                )  # what starts at 0 (also a residual's last norm) stops the gradient of what is before it
    model(image()).output.square().mean().backward()
    assert [name for name in learning(model) if not getattr(model.get_parameter(name).grad, "any", bool)()] == []
    assert [
        name
        for name, parameter in model.named_parameters()
        if not parameter.requires_grad and parameter.grad is not None
    ] == []


def test_lora_adapts_queries_values_and_mlps_of_a_transformer_and_leaves_keys_alone():
    names = {
        name.split(".lora_")[0].rpartition("blocks.0.")[2]
        for name in learning(build(peft=Lora()).encoder)
        if ".0." in name
    }
    assert names == {"attn.qkv.q_linear", "attn.qkv.v_linear", "mlp.fc1", "mlp.fc2"}


def test_lora_adapts_every_convolution_of_a_cnn_that_is_not_depthwise():
    encoder = build("test_convnext").encoder
    wanted = {
        name
        for name, part in encoder.named_modules()
        if isinstance(part, nn.Conv2d) and not part.groups == part.in_channels > 1
    }
    pointwise = {
        name for name, part in encoder.named_modules() if isinstance(part, nn.Linear) and ".mlp." in f".{name}."
    }
    adapted = learning(build("test_convnext", Lora()).encoder)
    names = {name.removeprefix("base_model.model.").split(".lora_")[0] for name in adapted}
    assert wanted
    assert pointwise
    assert names == wanted | pointwise


@pytest.mark.parametrize(("name", "pixels"), [("swinv2_cr_tiny_224", 224), ("test_efficientnet", 64)])
def test_lora_takes_other_families_of_timm(name, pixels):
    with torch.device("meta"):
        model = EncoderDecoderFactory((pixels, pixels)).build_model(
            "segmentation", f"timm_{name}", "FCNDecoder", num_classes=2, necks="auto", peft_config=Lora()
        )
    assert learning(model.encoder)


@pytest.mark.parametrize("name", ["swinv2_tiny_window8_256", "beit_base_patch16_224"])
def test_lora_reaches_queries_and_values_of_attention_that_reads_its_qkv_weights_itself(name):
    size = int(name.rpartition("_")[2])
    arguments: dict[str, Any] = {"backbone_kwargs": {"depths": [1, 1, 1, 1]} if "swin" in name else {"depth": 4}}

    def built(peft: object) -> nn.Module:
        torch.manual_seed(0)
        return EncoderDecoderFactory((size, size)).build_model(
            "segmentation", f"timm_{name}", "FCNDecoder", num_classes=2, necks="auto", decoder_channels=8,
            peft_config=peft, **arguments
        ).eval()  # fmt: skip

    x = torch.randn(1, 3, size, size)
    plain, adapted = built(None), built(Lora(r=2))
    torch.testing.assert_close(plain.encoder(x)[-1], adapted.encoder(x)[-1], atol=1e-4, rtol=1e-4)
    fill_what_starts_at_zero(adapted)
    adapted.encoder(x)[-1].square().mean().backward()
    queries = [part for part_name, part in adapted.encoder.named_parameters() if "q_linear.lora_A" in part_name]
    assert queries
    assert all(part.grad is not None and part.grad.any() for part in queries)
    with pytest.raises(UserError, match=r"multiplies by its fused qkv weights itself.*peft.dropout=0"):
        built(Lora(dropout=0.1))

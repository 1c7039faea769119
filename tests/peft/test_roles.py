"""Layers by role: in every family, and what an option says of them."""

import re

import pytest
import torch
from torch import nn

from geocompose.backbones.foreign.adapters import merged
from geocompose.catalog.peft_methods import ATTENTION, ROLES
from geocompose.errors import UserError
from geocompose.peft.adapters import Adapters
from geocompose.peft.lora import Lora
from geocompose.peft.qkv import SplitQkv
from geocompose.peft.roles import in_roles, roles_of
from tests.kit.adapted import build, image, learning
from tests.kit.own_attention import OwnAttention
from tests.kit.small import fresh_backbone, marks

# Families of backbones, and the roles that their layers have; and of one layer of each role, the end of its name.
FAMILIES = {
    "prithvi": {"query": "attn.qkv.q_linear", "key": "attn.qkv.k_linear", "value": "attn.qkv.v_linear",
                "projection": "attn.proj", "mlp": "mlp.fc1", "mlp_out": "mlp.fc2", "convolution": "patch_embed.proj",
                "norm": "norm1"},
    "vit": {"query": "attn.qkv.q_linear", "projection": "attn.proj", "mlp": "mlp.fc1", "mlp_out": "mlp.fc2"},
    "swin": {"query": "attn.qkv.q_linear", "projection": "attn.proj", "mlp": "mlp.fc1", "norm": "downsample.norm"},
    "pvt_v2": {"query": "attn.q", "key": "attn.kv.k_linear", "value": "attn.kv.v_linear", "convolution": "attn.sr"},
    "smp_mit_b0": {"query": "attn.q", "value": "attn.kv.v_linear", "projection": "attn.proj", "mlp": "mlp.fc1"},
    "convnext": {"mlp": "mlp.fc1", "mlp_out": "mlp.fc2", "convolution": "stem_0", "norm": "norm"},
    "resnet50": {"convolution": "conv2", "norm": "bn1"},
    "transformers": {"query": "attention.q_proj", "projection": "attention.o_proj", "mlp_out": "mlp.fc2"},
    "transformers_dinov3": {"value": "attention.v_proj", "mlp": "mlp.up_proj", "mlp_out": "mlp.down_proj"},
    "transformers_swinv2": {"key": "self.key", "projection": "attention.output.dense", "mlp": "intermediate.dense",
                            "mlp_out": "0.output.dense"},
    "transformers_pvt_v2": {"query": "attention.query", "projection": "attention.proj", "mlp": "mlp.dense1"},
    "transformers_convnextv2": {"mlp": "pwconv1", "mlp_out": "pwconv2", "convolution": "patch_embeddings"},
    "torchgeo_croma_base": {"query": "to_qkv.q_linear", "projection": "to_out", "mlp": "net.0", "mlp_out": "net.3"},
    "torchgeo_dofa_base": {"value": "attn.qkv.v_linear", "projection": "attn.proj", "mlp_out": "mlp.fc2"},
    "torchgeo_swin_v2_b": {"query": "attn.qkv.q_linear", "mlp": "mlp.0", "mlp_out": "mlp.3"},
}  # fmt: skip


@pytest.mark.parametrize("family", [pytest.param(name, marks=marks(name)) for name in FAMILIES])
def test_each_family_has_its_layers_in_their_roles(family):
    with torch.device("meta"):
        backbone = fresh_backbone(family)
    for role, ending in FAMILIES[family].items():
        names = in_roles(backbone, [role])
        assert any(name.endswith(ending) for name in names), f"{role}: {names}"
    found = roles_of(backbone)
    of_attention = [set(found[role]) for role in ATTENTION]
    assert sum(map(len, of_attention)) == len(set().union(*of_attention))  # no layer has two of them
    assert set(found["mlp_out"]) < set(found["mlp"]) or not found["mlp"]
    assert not set(found["mlp"]) & set().union(*of_attention)


def test_roles_are_found_in_a_backbone_of_the_users_own():
    found = roles_of(OwnAttention())
    assert {role: len(names) for role, names in found.items()} == {
        "query": 2, "key": 2, "value": 2, "projection": 2, "mlp": 4, "mlp_out": 2, "convolution": 1, "norm": 5
    }  # fmt: skip


def test_roles_choose_what_lora_adapts():
    model = build(peft=Lora(r=2, roles=["key", "projection"]))
    names = {re.sub(r".*blocks\.\d+\.|\.lora_.*", "", name) for name in learning(model.encoder)}
    assert names == {"attn.qkv.k_linear", "attn.proj"}


def test_lora_on_queries_and_values_leaves_keys_without_gradient():
    model = build(peft=Lora(r=2, roles=["query", "value"])).train()
    model(image()).output.square().mean().backward()
    split = [part for part in model.encoder.modules() if isinstance(part, SplitQkv)]
    assert len(split) == 4
    for part in split:
        assert all(parameter.grad is None for parameter in part.k_linear.parameters())
        assert part.q_linear.lora_B["default"].weight.grad.any()
        assert part.v_linear.lora_B["default"].weight.grad.any()


@pytest.mark.parametrize("family", ["pvt_v2", "smp_mit_b0", "swin"])
def test_a_split_layer_changes_no_output(family):
    backbone = fresh_backbone(family).eval()
    x = torch.randn(1, 6, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = backbone(x)
        in_roles(backbone, ["value"])
        for one, other in zip(backbone(x), before, strict=True):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)
    assert any(isinstance(part, SplitQkv) for part in backbone.modules())


def test_split_keys_and_values_are_one_layer_again_in_a_plain_state():
    backbone = fresh_backbone("pvt_v2")
    before = backbone.state_dict()
    in_roles(backbone, ["value"])
    state = backbone.state_dict()
    assert state.keys() != before.keys()
    joined = merged(state, {})
    assert joined is not None
    assert joined.keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in joined.items())


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (Lora(roles=["queries"]), r"peft.roles has no role 'queries'. Did you mean 'query'\? Allowed: query, key"),
        (Lora(roles=[]), "peft.roles is empty, so nothing would be adapted. Allowed: query, key"),
        (Lora(roles=["query"], target_modules=["fc1"]), "peft.roles and peft.target_modules both say what is adapted"),
        (Lora(roles=["query"], replace_qkv="qkv"), "peft.replace_qkv goes with peft.target_modules"),
        (Lora(roles=["norm"]), r"LORA can't adapt PrithviViT: .*norm1 is a norm, and .*peft.roles=\[query, key"),
        (
            Adapters("VERA", roles=["convolution"]),
            "VERA can't adapt .*patch_embed.proj is a 3D convolution, and PEFT",
        ),
        (Adapters("IA3", r=4), "PEFT's IA3 has no rank: leave peft.r null; got 4"),
        (Adapters("HRA", r=0), "peft.r must be 1 or more; got 0"),
        (Adapters("LOKR", kwargs={"r": 4}), "peft.kwargs has 'r', which has its own key: write peft.r"),
        (Adapters("LOKR", kwargs={"alhpa": 4}), r"PEFT's LOKR takes no argument 'alhpa'. Did you mean 'alpha'"),
        (Adapters("LOKRA"), "PEFT has no method 'LOKRA'. Did you mean"),
        (Adapters("SHADOW"), "PEFT's method SHADOW is for language models"),
        (Adapters("BOFT"), "PEFT's method BOFT can't be used here: PEFT can't build it on the meta device"),
    ],
)
def test_a_choice_that_cannot_be_is_refused(method, message):
    with pytest.raises(UserError, match=message.replace("\\\\", "\\")):
        build(peft=method)


def test_a_role_that_a_backbone_lacks_is_refused_with_those_that_it_has():
    with pytest.raises(UserError, match=r"has 'query', but .* It has mlp, mlp_out, convolution, norm: choose among"):
        build("test_convnext", Lora(roles=["mlp", "query"]))
    with pytest.raises(UserError, match=r"OFT can't adapt .* is a convolution.* such as peft.roles=\[mlp, mlp_out\]"):
        build("test_convnext", Adapters("OFT"))
    with pytest.raises(UserError, match=r"OFT can't adapt .* is a linear layer over maps, and PEFT's OFT takes"):
        build("test_convnext", Adapters("OFT", roles=["mlp"]))
    assert learning(build("test_convnext", Adapters("VERA", roles=["mlp"])).encoder)


def test_attention_with_rows_by_heads_is_not_split():
    with torch.device("meta"):
        backbone = fresh_backbone("maxvit")
    with pytest.raises(UserError, match="holds queries, keys and values head by head, so they can't be split"):
        in_roles(backbone, ["query"])


def test_ia3_scales_keys_values_and_what_enters_the_last_layer_of_an_mlp():
    model = build(peft=Adapters("IA3"))
    shapes = {
        re.sub(r".*blocks\.\d+\.|\.ia3_l.*", "", name): tuple(parameter.shape)
        for name, parameter in model.encoder.named_parameters()
        if parameter.requires_grad
    }
    assert shapes.keys() == {"attn.qkv.k_linear", "attn.qkv.v_linear", "mlp.fc2"}
    assert shapes["mlp.fc2"] == (1, 4 * 48)  # of the layer's inputs; elsewhere of its outputs
    assert shapes["attn.qkv.k_linear"] == (48, 1)


def test_all_roles_are_told_in_the_options():
    assert set(ATTENTION) < set(ROLES)
    assert isinstance(build(peft=Adapters("LN_TUNING", roles=["norm"])).encoder, nn.Module)

"""Parameter-efficient fine-tuning: what is adapted, what learns, and what is refused."""

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.models import PixelWiseModel
from geocompose.peft.methods import Frozen, FullFineTuning, Lora
from geocompose.peft.qkv import SplitQkv

PRITHVI: dict[str, Any] = {
    "backbone": "prithvi_eo_v2_300",
    "backbone_embed_dim": 48,
    "backbone_depth": 4,
    "backbone_num_heads": 4,
    "backbone_img_size": 64,
}
TIMM = {
    name: {"backbone": f"timm_{name}", "backbone_in_chans": 6} for name in ("test_resnet", "test_convnext", "test_vit")
}
FAMILIES = {"prithvi": PRITHVI, **TIMM}
QV_MLP = ["qkv.q_linear", "qkv.v_linear", "mlp.fc1", "mlp.fc2"]


def build(family: str = "prithvi", peft: object = None, **more: Any) -> PixelWiseModel:
    torch.manual_seed(0)
    model = EncoderDecoderFactory((64, 64)).build_model(
        task="segmentation",
        decoder="FCNDecoder",
        decoder_channels=8,
        decoder_num_convs=1,
        num_classes=2,
        necks="auto",
        peft_config=peft,
        **FAMILIES[family],
        **more,
    )
    assert isinstance(model, PixelWiseModel)
    return model


def lora(targets: object = None, replace_qkv: object = "qkv", method: object = "LORA", **kwargs: Any) -> dict[str, Any]:
    arguments = {"target_modules": QV_MLP if targets is None else targets, "r": 4, **kwargs}
    return {"method": method, "replace_qkv": replace_qkv, "peft_config_kwargs": arguments}


def learning(module: nn.Module) -> set[str]:
    return {name for name, parameter in module.named_parameters() if parameter.requires_grad}


def fill_what_starts_at_zero(model: nn.Module) -> None:
    """Let gradients through: at first one of LoRA's matrices is 0, and the last norm of many a residual branch."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name or (parameter.ndim == 1 and name.endswith("weight")):
                parameter.fill_(0.5)


def image() -> Tensor:
    return torch.randn(2, 6, 64, 64, generator=torch.Generator().manual_seed(0))


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
            "segmentation", f"timm_{name}", "FCNDecoder", num_classes=2, necks="auto", decoder_channels=8, peft_config=peft, **arguments
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


def test_an_optimizer_step_changes_the_adapters_decoder_and_head_and_nothing_else():
    model = build(peft=Lora(r=4)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    free = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(free, lr=0.1)
    model(image()).output.square().mean().backward()
    optimizer.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all("lora_" in name or not name.startswith("encoder.") for name in changed)


def test_statistics_of_a_lora_cnn_stand_still_in_training():
    model = build("test_resnet", Lora(r=4)).train()
    before = {name: value.clone() for name, value in model.encoder.state_dict().items() if "running" in name}
    model(image())
    assert before
    assert all(torch.equal(model.encoder.state_dict()[name], value) for name, value in before.items())


def test_a_frozen_backbone_does_not_learn_and_its_statistics_stand_still():
    model = build("test_resnet", Frozen()).train()
    assert not learning(model.encoder)
    assert not any(part.training for part in model.encoder.modules())
    assert learning(model.decoder)
    assert learning(model.head)


def test_full_fine_tuning_leaves_the_backbone_as_it_is():
    assert learning(build(peft=FullFineTuning())) == learning(build())


def test_lora_with_a_frozen_backbone_goes_on_learning():
    model = build(peft=lora(bias="lora_only"))
    before = learning(model.encoder)
    assert any(name.endswith("base_layer.bias") for name in before)
    model.freeze_encoder()
    assert learning(model.encoder) == before


def test_prompts_survive_a_frozen_backbone():
    model = build(backbone_vpt=True, backbone_vpt_n_tokens=3)
    model.freeze_encoder()
    assert learning(model.encoder) == {f"vpt_prompt_embeddings.{index}" for index in range(4)}


def test_prompts_go_on_learning_beside_lora():
    model = build(peft=Lora(r=2), backbone_vpt=True, backbone_vpt_n_tokens=3)
    model.freeze_encoder()
    assert sum("vpt_prompt_embeddings" in name for name in learning(model.encoder)) == 4
    assert sum("lora_" in name for name in learning(model.encoder)) == 32


def test_prompts_survive_a_frozen_backbone_in_classification():
    model = EncoderDecoderFactory((64, 64)).build_model(
        task="classification", decoder="IdentityDecoder", num_classes=2, backbone_vpt=True, backbone_vpt_n_tokens=3, **PRITHVI
    )  # fmt: skip
    model.freeze_encoder()
    assert learning(model.encoder) == {f"vpt_prompt_embeddings.{index}" for index in range(4)}


@pytest.mark.parametrize(
    "peft", [Lora(r=2), Lora(r=2, dropout=0.5, kwargs={"use_dora": True}), lora(method="lora"), lora(method="LoRA")]
)
def test_an_adapted_model_is_copied_pickled_and_stored_like_any_other(peft):
    model = build(peft=peft).eval()
    expected = model(image()).output
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        torch.testing.assert_close(twin(image()).output, expected)
    other = build(peft=peft).eval()
    other.load_state_dict(model.state_dict(), strict=True)
    torch.testing.assert_close(other(image()).output, expected)


def test_an_adapted_model_can_be_exported():
    model = build(peft=Lora(r=2)).eval()
    exported = torch.export.export(model, (image(),))
    torch.testing.assert_close(exported.module()(image()).output, model(image()).output)


def test_a_finished_module_is_adapted_once_and_its_trial_leaves_it_alone():
    encoder = build().encoder
    model = EncoderDecoderFactory((64, 64)).build_model(
        "segmentation", encoder, "FCNDecoder", num_classes=2, necks="auto", peft_config=Lora(r=2)
    )
    assert sum(isinstance(part, SplitQkv) for part in model.encoder.modules()) == 4
    assert not any(parameter.is_meta for parameter in model.parameters())


@pytest.mark.parametrize("method", ["LOHA", "lokr", "IA3", "OFT", "HRA"])
def test_other_methods_of_peft_adapt_a_transformer(method):
    targets = {"target_modules": ["mlp.fc1", "mlp.fc2"]}
    extra = {"IA3": {"feedforward_modules": ["mlp.fc2"]}, "OFT": {"oft_block_size": 4}}.get(method.upper(), {})
    model = build(peft={"method": method, "peft_config_kwargs": {**targets, **extra}})
    assert learning(model.encoder)
    assert model(image()).output.isfinite().all()


REFUSED = [
    (lora(["qkv.q_linaer"]), r"target_modules has 'qkv.q_linaer', which ends no module's name. Did you mean 'qkv.q_linear'\?"),
    (lora(["qkv.q_linear", "mlp.fc7"]), r"target_modules has 'mlp.fc7'.*Did you mean 'mlp.fc[12]'\?"),
    (lora([]), r"target_modules is empty.*There are .*fc1"),
    (lora("blocks.*nothing"), r"pattern that matches no module. There are"),
    (lora(replace_qkv="qvk"), r"replace_qkv=qvk doesn't end the name of a linear layer.*Did you mean 'qkv'\?"),
    (lora(replace_qkv=3), r"replace_qkv is the name of the fused layers, such as qkv; got 3"),
    (lora(method="LORRA"), r"PEFT has no method 'LORRA'. Did you mean '\w*LORA'\?"),
    (lora(method="PROMPT_TUNING"), r"is for language models"),
    (lora(rank=4), r"PEFT's LORA takes no argument 'rank'"),
    ({"peft_config_kwargs": {}}, r"peft_config needs a method.*got None"),
    ({"method": "LORA", "target_modules": ["fc1"]}, r"peft_config has no key 'target_modules'. Allowed: method, replace_qkv, peft_config_kwargs"),
    ({"method": "LORA"}, r"PEFT's LORA has to know what to adapt: give target_modules"),
    ({"method": "LORA", "peft_config_kwargs": 3}, r"peft_config_kwargs is a mapping"),
    ("lora", r"peft_config is null, or a mapping"),
    (Lora(r=0), r"peft.r is 1 or more; got 0"),
    (Lora(alpha=0), r"peft.alpha is 1 or more; got 0"),
    (Lora(dropout=1.0), r"peft.dropout is from 0 to below 1; got 1.0"),
    (Lora(kwargs={"lora_alpha": 3}), r"peft.kwargs has 'lora_alpha', which has a place of its own: peft.alpha"),
    (Lora(replace_qkv="qkv"), r"peft.replace_qkv goes with peft.target_modules"),
    (Lora(target_modules=["norm1"]), r"PEFT's LORA can't adapt PrithviViT"),
]  # fmt: skip


@pytest.mark.parametrize(("peft", "message"), REFUSED)
def test_what_peft_cannot_do_stops_the_build_and_names_what_there_is(peft, message):
    with pytest.raises(UserError, match=message):
        build(peft=peft)


def test_lora_refuses_grouped_convolutions_that_its_rank_cannot_be_divided_into():
    with torch.device("meta"), pytest.raises(UserError, match=r"has 32 groups, which a rank of 16.*Use peft.r=32"):
        EncoderDecoderFactory((64, 64)).build_model(
            "segmentation", "timm_resnext50_32x4d", "FCNDecoder", num_classes=2, necks="auto", peft_config=Lora()
        )


def test_a_backbone_that_is_adapted_already_is_refused():
    encoder = build(peft=Lora(r=2)).encoder
    with pytest.raises(UserError, match="holds PEFT's adapters already"):
        EncoderDecoderFactory((64, 64)).build_model(
            "segmentation", encoder, "FCNDecoder", num_classes=2, necks="auto", peft_config=Lora(r=2)
        )


def test_the_callers_peft_config_is_left_as_it_was():
    config = lora()
    before = copy.deepcopy(config)
    build(peft=config)
    assert config == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"modules_to_save": ["patch_embd"]},
            r"modules_to_save has 'patch_embd', which ends.*Did you mean 'patch_embed'",
        ),
        ({"exclude_modules": ["mlp.fc3"]}, r"exclude_modules has 'mlp.fc3', which ends no module's name"),
        ({"exclude_modules": r"blocks\.9\..*"}, "exclude_modules=.* is a pattern that matches no module"),
        ({"rank_pattern": {"mlp.fc3": 8}}, "rank_pattern='mlp.fc3' is a pattern that matches no module"),
        ({"alpha_pattern": {"mlp.fc3": 8}}, "alpha_pattern='mlp.fc3' is a pattern that matches no module"),
        ({"targets": 5}, "target_modules is a list of the last parts of modules' names.*got 5"),
        ({"targets": [1]}, r"target_modules is a list of the last parts of modules' names.*got \[1\]"),
        ({"targets": "("}, "target_modules=.* is not a regular expression"),
        ({"task_type": "SEQ_CLS"}, "task_type is about language models. Leave it out"),
        ({"inference_mode": True}, "nothing of the backbone learns. Leave inference_mode out"),
    ],
)
def test_what_peft_would_pass_over_or_stumble_on_is_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        build(peft=lora(**arguments))


def test_patterns_beside_the_targets_are_obeyed():
    model = build(
        peft=lora(
            modules_to_save=["patch_embed"],
            exclude_modules=["blocks.0.mlp.fc1"],
            rank_pattern={"mlp.fc2": 2},
            lora_alpha=4,
        )
    )
    learns = learning(model.encoder)
    assert any("patch_embed" in name for name in learns)
    assert not any("blocks.0.mlp.fc1" in name for name in learns)
    ranks = {name: p.shape[0] for name, p in model.encoder.named_parameters() if "lora_A" in name}
    assert {rank for name, rank in ranks.items() if "mlp.fc2" in name} == {2}
    assert {rank for name, rank in ranks.items() if "mlp.fc2" not in name} == {4}

"""Other methods of PEFT, and what is refused."""

import copy

import pytest
import torch

from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.peft.lora import Lora
from tests.kit.adapted import build, image, learning, lora


@pytest.mark.parametrize("method", ["LOHA", "lokr", "IA3", "OFT", "HRA"])
def test_other_methods_of_peft_adapt_a_transformer(method):
    targets = {"target_modules": ["mlp.fc1", "mlp.fc2"]}
    extra = {"IA3": {"feedforward_modules": ["mlp.fc2"]}, "OFT": {"oft_block_size": 4}}.get(method.upper(), {})
    model = build(peft={"method": method, "peft_config_kwargs": {**targets, **extra}})
    assert learning(model.encoder)
    assert model(image()).output.isfinite().all()


REFUSED = [
    (lora(["qkv.q_linaer"]),
     r"target_modules has 'qkv.q_linaer', but no module's name ends with that. Did you mean 'qkv.q_linear'\?"),
    (lora(["qkv.q_linear", "mlp.fc7"]), r"target_modules has 'mlp.fc7'.*Did you mean 'mlp.fc[12]'\?"),
    (lora([]), r"target_modules is empty.*There are .*fc1"),
    (lora("blocks.*nothing"), r"pattern that matches no module. There are"),
    (lora(replace_qkv="qvk"), r"replace_qkv=qvk doesn't end the name of a linear layer.*Did you mean 'qkv'\?"),
    (lora(replace_qkv=3), r"replace_qkv must be the name of the fused layers, such as qkv; got 3"),
    (lora(method="LORRA"), r"PEFT has no method 'LORRA'. Did you mean '\w*LORA'\?"),
    (lora(method="PROMPT_TUNING"), r"is for language models"),
    (lora(rank=4), r"PEFT's LORA takes no argument 'rank'"),
    ({"peft_config_kwargs": {}}, r"peft_config needs a method.*got None"),
    ({"method": "LORA", "target_modules": ["fc1"]},
     r"peft_config has no key 'target_modules'. Allowed: method, replace_qkv, peft_config_kwargs"),
    ({"method": "LORA"}, r"PEFT's LORA has to know what to adapt: give target_modules"),
    ({"method": "LORA", "peft_config_kwargs": 3}, r"peft_config_kwargs must be a mapping"),
    ("lora", r"peft_config must be null, or a mapping"),
    (Lora(r=0), r"peft.r must be 1 or more; got 0"),
    (Lora(alpha=0), r"peft.alpha must be 1 or more; got 0"),
    (Lora(dropout=1.0), r"peft.dropout must be from 0 to below 1; got 1.0"),
    (Lora(kwargs={"lora_alpha": 3}), r"peft.kwargs has 'lora_alpha', which has its own key: write peft.alpha"),
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
            r"modules_to_save has 'patch_embd', but no module's name ends with.*Did you mean 'patch_embed'",
        ),
        ({"exclude_modules": ["mlp.fc3"]}, r"exclude_modules has 'mlp.fc3', but no module's name ends with that"),
        ({"exclude_modules": r"blocks\.9\..*"}, "exclude_modules=.* is a pattern that matches no module"),
        ({"rank_pattern": {"mlp.fc3": 8}}, "rank_pattern='mlp.fc3' is a pattern that matches no module"),
        ({"alpha_pattern": {"mlp.fc3": 8}}, "alpha_pattern='mlp.fc3' is a pattern that matches no module"),
        ({"targets": 5}, "target_modules must be a list of the last parts of modules' names.*got 5"),
        ({"targets": [1]}, r"target_modules must be a list of the last parts of modules' names.*got \[1\]"),
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

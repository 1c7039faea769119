"""What learns beside and without adapters; how adapted models are stored."""

import copy
import pickle

import pytest
import torch

from geocompose.factory import EncoderDecoderFactory
from geocompose.peft.lora import Lora
from geocompose.peft.methods import Frozen, FullFineTuning
from geocompose.peft.qkv import SplitQkv
from tests.kit.adapted import PRITHVI, build, image, learning, lora


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
        task="classification", decoder="IdentityDecoder", num_classes=2, backbone_vpt=True,
        backbone_vpt_n_tokens=3, **PRITHVI
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

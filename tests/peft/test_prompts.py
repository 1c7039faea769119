"""Visual prompts: what they do to a backbone's tokens, what learns, and which backbones are refused."""

import copy
import pickle

import pytest
import torch

from geocompose.catalog.peft_refusals import OF_BACKBONES
from geocompose.errors import UserError
from geocompose.peft.prompted import Prompted
from geocompose.peft.prompts import VisualPrompts
from tests.kit.adapted import build, image, learning
from tests.kit.small import backbone, fresh_backbone, marks
from tests.kit.small import image as small_image

FEW = {"num_prompts": 3, "dropout": 0.0}
DEEP, SHALLOW = VisualPrompts(deep=True, **FEW), VisualPrompts(deep=False, **FEW)
SEQUENCES = ["prithvi", "vit", "transformers", "transformers_dinov3", "torchgeo_vit_small", "torchgeo_dofa_base"]


@pytest.mark.parametrize("method", [DEEP, SHALLOW])
@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in SEQUENCES])
def test_features_are_as_many_as_without_prompts_and_depend_on_them(name, method):
    plain, prompted = backbone(name), method.adapt(backbone(name))
    before, after = plain.eval()(small_image()), prompted.eval()(small_image())
    assert [one.shape for one in before] == [one.shape for one in after]
    added = set(prompted.state_dict()) - set(plain.state_dict())
    assert len(added) == (len([key for key in added if "vpt_prompts" in key]) if method.deep else 1)
    sum(one.square().mean() for one in after).backward()
    gradients = [prompted.get_parameter(key).grad for key in added]
    assert all(gradient is not None and gradient.any() for gradient in gradients)


def test_deep_prompts_do_what_prithvis_own_do():
    own = build(backbone_vpt=True, backbone_vpt_n_tokens=3).eval()
    ours = build(peft=DEEP).eval()
    for number in range(4):
        prompts = ours.encoder.blocks[number].vpt_prompts
        assert torch.equal(prompts.isfinite(), torch.ones_like(prompts, dtype=torch.bool))
        prompts.data.copy_(own.encoder.vpt_prompt_embeddings[number].data)
    state = {name: value for name, value in own.state_dict().items() if "vpt_" not in name}
    ours.load_state_dict(state, strict=False)
    torch.testing.assert_close(ours(image()).output, own(image()).output)


def test_prompts_learn_alone_and_survive_a_frozen_backbone():
    model = build(peft=SHALLOW)
    assert learning(model.encoder) == {"blocks.0.vpt_prompts"}
    model.freeze_encoder()
    assert learning(model.encoder) == {"blocks.0.vpt_prompts"}
    assert build(peft=VisualPrompts()).train().encoder.blocks[1].vpt_dropout.training


@pytest.mark.parametrize("method", [DEEP, SHALLOW])
def test_a_prompted_model_is_copied_and_pickled_after_a_forward(method):
    model = build(peft=method).eval()
    expected = model(image()).output
    expected.sum().backward()
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        torch.testing.assert_close(twin(image()).output, expected)
        twin.encoder.blocks[0].vpt_prompts.data.add_(1)
        assert not torch.equal(twin(image()).output, expected)
        torch.testing.assert_close(model(image()).output, expected)


@pytest.mark.parametrize("method", [DEEP, SHALLOW])
def test_gradients_are_the_same_where_activations_are_computed_again(method):
    gradients = []
    for again in (False, True):
        fresh = fresh_backbone("vit")
        torch.manual_seed(0)
        model = method.adapt(fresh).train()
        model.model.set_grad_checkpointing(again)
        sum(one.square().mean() for one in model(small_image())).backward()
        gradients.append([each.grad for name, each in model.named_parameters() if "vpt_prompts" in name])
    for one, other in zip(*gradients, strict=True):
        assert one.any()
        torch.testing.assert_close(one, other)


class Told(torch.nn.Module):
    """A block that tells what it was given beside its tokens."""

    def __init__(self):
        super().__init__()
        self.register_parameter("vpt_prompts", torch.nn.Parameter(torch.zeros(1, 3, 4)))
        self.vpt_dropout = torch.nn.Identity()

    def forward(self, tokens, beside):
        return tokens, beside


def test_a_mask_lets_all_see_the_prompts_and_what_each_head_adds_stays_as_it_is():
    block, tokens = Prompted(Told(), 3, 0, None), torch.zeros(2, 5, 4)
    hides = torch.zeros(2, 1, 5, 5, dtype=torch.bool)
    assert block(tokens, hides)[1].sum(dim=(1, 2, 3)).tolist() == [64 - 25] * 2
    assert block(tokens, beside=torch.full((5, 5), -9.0))[1].sum() == -9 * 25
    for_heads = torch.ones(2, 6, 5, 5)
    assert block(tokens, for_heads)[1] is for_heads


REFUSED = {
    "swin": "maps", "convnext": "maps", "resnet50": "maps", "unet": "maps", "fusion": "maps", "identity": "no blocks",
    "pvt_v2": "several sequences", "transformers_swinv2": "several sequences", "torchgeo_croma_base": "counted tokens",
}  # fmt: skip


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in REFUSED])
def test_backbones_without_one_sequence_of_tokens_are_refused(name):
    with pytest.raises(UserError) as refused:
        DEEP.adapt(fresh_backbone(name))
    assert str(refused.value).startswith("peft=vpt_deep can't adapt")
    assert OF_BACKBONES["vpt_deep", REFUSED[name]] in str(refused.value)  # type: ignore[index]


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (VisualPrompts(num_prompts=0), "peft.num_prompts must be 1 or more; got 0"),
        (VisualPrompts(dropout=1.0), "peft.dropout must be a share from 0 to below 1; got 1.0"),
    ],
)
def test_numbers_that_cannot_be_are_refused(method, message):
    with pytest.raises(UserError, match=message):
        build(peft=method)


def test_prompts_are_not_put_in_twice():
    with pytest.raises(UserError, match="would be prompts twice"):
        build(peft=DEEP, backbone_vpt=True, backbone_vpt_n_tokens=2)
    with pytest.raises(UserError, match="has prompts already"):
        DEEP.adapt(DEEP.adapt(fresh_backbone("vit")))

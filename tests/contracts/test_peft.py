"""Every option of conf/peft with every family of backbones: what is meant to learn does, nothing else changes.

An option that is new is taken in as it is: what it promises it declares (`freezes`, `keeps_outputs_at_start`,
`mergeable`), a row in LEARNS says by names what learns, and what it can't do is a row in REFUSED.
"""

import copy
from collections.abc import Callable, Mapping
from functools import cache

import pytest
import torch
from _pytest.mark import ParameterSet
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from geocompose.configuration.diagnosis import options
from geocompose.configuration.instantiation import instantiate
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.models import PixelWiseModel
from geocompose.peft.methods import PeftMethod
from tests.kit.owed import check_copies, check_export, check_state
from tests.kit.own_attention import OwnAttention
from tests.kit.places import CONF
from tests.kit.small import FAMILIES, content, fresh_backbone, image, marks

OPTIONS = options(CONF, "peft")
OWN = "own"  # a backbone of the user's
# What fills the `???` of an option, and what makes it small or lets it fit to small layers.
CHANGED: Mapping[str, Mapping[str, object]] = {
    "other": {"method": "LOKR", "r": 2},
    "lora": {"r": 4},
    "lora_attention": {"r": 4},
    "rslora": {"r": 4},
    "dora": {"r": 4},
    "vera": {"r": 8},
    "adalora": {"r": 2, "init_r": 4},
    "hra": {"r": 2},
    "last_k_blocks": {"k": 1},
    # Without dropout, which would draw other numbers in each forward.
    "vpt_deep": {"num_prompts": 3, "dropout": 0.0},
    "vpt_shallow": {"num_prompts": 3, "dropout": 0.0},
}
CNNS = ("resnet50", "smp", "timm", "torchgeo", "unet")
# Families that an option has nothing to adapt in, or nothing that it can adapt, and what it says.
_NOTHING = (
    "IdentityBackbone has neither attention with queries and values nor convolutions, and no linear layer: .*=none"
)
_LINEAR = "VERA can't adapt .* is a .*convolution, and PEFT has this method for linear layers alone"
_KERNEL = "OFT can't adapt .* is a convolution, and PEFT's OFT doesn't start as the layer where the kernel is above 1x1"
_NO_ATTENTION = "peft.roles has 'query', but .* has no layers in that role. It has"
_PROMPTS = "peft=vpt_.* can't adapt .*: its blocks take maps, in which learned tokens have no place"
_BY_FAMILY = ("lora", "rslora", "dora", "adalora", "vera", "ia3", "oft", "hra", "other")
REFUSED: Mapping[tuple[str, str], str] = {
    **{(option, "identity"): _NOTHING for option in _BY_FAMILY},
    **{("lora_attention", family): _NO_ATTENTION for family in ("convnext", "identity", *CNNS)},
    **{("vera", family): _LINEAR for family in ("convnext", "fusion", *CNNS)},
    **{("oft", family): _KERNEL for family in ("convnext", "fusion", *CNNS)},
    **{
        (option, family): _PROMPTS
        for option in ("vpt_deep", "vpt_shallow")
        for family in ("convnext", "swin", "fusion", *CNNS)
    },
    **{(option, "identity"): "IdentityBackbone: it has no blocks" for option in ("vpt_deep", "vpt_shallow")},
    ("last_k_blocks", "identity"): "IdentityBackbone: it has no blocks",
    ("bitfit", "identity"): "IdentityBackbone: it has no biases",
    ("norm_tuning", "identity"): "IdentityBackbone: it has no normalisation layers",
    ("ssf", "identity"): "IdentityBackbone: it has no linear layers, convolutions or norms",
    ("lp_ft", "identity"): "IdentityBackbone: it has no parameters that could learn later",
}
# What learns in the backbone, by the names of its parameters. A method that adds layers names them so.
LEARNS: Mapping[str, Callable[[str], bool]] = {
    "none": lambda name: True,
    "frozen": lambda name: False,
    **dict.fromkeys(("lora", "lora_attention", "rslora", "dora", "adalora"), lambda name: "lora_" in name),
    "vera": lambda name: "vera_lambda" in name,
    "ia3": lambda name: "ia3_l" in name,
    "oft": lambda name: "oft_R" in name,
    "hra": lambda name: "hra_u" in name,
    "other": lambda name: "lokr_" in name,
    "bitfit": lambda name: name.endswith("bias"),
    "norm_tuning": lambda name: "ln_tuning_layers" in name,
    "lp_ft": lambda name: False,  # in its first phase; the second is tests/training/test_thawing.py
    "ssf": lambda name: "ssf_" in name,
    **dict.fromkeys(("vpt_deep", "vpt_shallow"), lambda name: "vpt_prompts" in name),
}
# Batch-norm statistics move where whole blocks learn.
STATISTICS = ("none", "last_k_blocks")
_OF_NORMS = ("running_mean", "running_var", "num_batches_tracked")
# Learned tokens stand beside an image's own, so that features begin otherwise and nothing merges; others add no layers.
PROMPTS = ("vpt_deep", "vpt_shallow")
ADDS_NO_LAYERS = ("none", "frozen", "bitfit", "last_k_blocks", "lp_ft")
CASES = [(option, family) for option in OPTIONS for family in (*FAMILIES, OWN)]
BUILT = [case for case in CASES if case not in REFUSED]


# Every option runs with these: tokens, fused and plain queries, windows, maps, nothing to adapt. With the other
# families, which are like one of them in what an option touches, those that were first run, and the rest is slow.
ALWAYS = ("prithvi", "swin", "resnet50", "identity", OWN)
FIRST = ("none", "frozen", "lora")


def _marks(option: str, family: str) -> list[pytest.MarkDecorator]:
    of_family = [] if family == OWN else marks(family)
    return of_family if family in ALWAYS or option in FIRST else [*of_family, pytest.mark.slow]


def without(*options: str) -> list[ParameterSet]:
    """Return all cases but those of some options."""
    return [pytest.param(*case, marks=_marks(*case)) for case in BUILT if case[0] not in options]


MARKED = without()
# Layers are copied, stored and exported alike in all families: all of them with LoRA, tokens and maps with the others;
# the rest is slow. With `none`, this is what every backbone is tested for.
TOKENS_AND_MAPS = ("prithvi", "resnet50")


def _rarely(option: str, family: str) -> list[pytest.MarkDecorator]:
    quick = option == "lora" or family in TOKENS_AND_MAPS
    return _marks(option, family) if quick else [*_marks(option, family), pytest.mark.slow]


SOME = [pytest.param(*case, marks=_rarely(*case)) for case in BUILT if case[0] != "none"]
# Of torch.export, which takes seconds, tokens and maps with LoRA and one that multiplies what enters a layer. PEFT's
# HRA is left out: torch.export (2.14.1) can't trace it; action=export merges what was learned first.
EXPORTED = [
    pytest.param(*case, marks=_marks(*case) if case[0] in ("lora", "ia3") and case[1] in TOKENS_AND_MAPS else
                 [*_marks(*case), pytest.mark.slow])
    for case in BUILT if case[0] not in ("none", "hra")
]  # fmt: skip


def method_of(option: str) -> PeftMethod:
    return instantiate({**content("peft", option), **CHANGED.get(option, {})})


def _backbone(family: str) -> nn.Module:
    if family != OWN:
        return fresh_backbone(family)
    torch.manual_seed(0)
    return OwnAttention()


def built(option: str, family: str) -> PixelWiseModel:
    torch.manual_seed(0)
    model = EncoderDecoderFactory(image_size=(64, 64), coordinates=()).build_model(
        task="segmentation",
        backbone=lambda: _backbone(family),
        decoder="MLPDecoder",
        decoder_channels=8,
        num_classes=2,
        necks="auto",
        peft_config=method_of(option),
    )
    assert isinstance(model, PixelWiseModel)
    return model


kept = cache(built)  # nobody changes it


def run(model: nn.Module) -> list[Tensor]:
    return [model(image(6, 2, 64, 64)).output]


@cache
def plain(family: str) -> list[Tensor]:
    """Return what the model does before anything is adapted."""
    with torch.no_grad():
        return run(kept("none", family).eval())


def learning(module: nn.Module) -> set[str]:
    return {name for name, parameter in module.named_parameters() if parameter.requires_grad}


def stir(model: nn.Module) -> None:
    """Move what learns in the backbone a little, as training would: what starts at 0 lets no gradient through."""
    draw = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.encoder.parameters():  # type: ignore[union-attr, operator]
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=draw), alpha=0.02)


def test_the_options_of_peft_are_found():
    assert len(OPTIONS) >= 12
    assert set(REFUSED) <= set(CASES)


@pytest.mark.parametrize("option", OPTIONS)
def test_a_method_declares_what_it_promises(option):
    method = method_of(option)
    assert isinstance(method, PeftMethod)
    assert isinstance(method.freezes, bool)
    assert method.keeps_outputs_at_start is (option not in PROMPTS)
    assert method.mergeable is (option not in PROMPTS)


@pytest.mark.parametrize(("option", "family"), [pytest.param(*case, marks=_marks(*case)) for case in sorted(REFUSED)])
def test_what_an_option_cannot_do_is_refused_with_the_reason(option, family):
    with pytest.raises(UserError, match=REFUSED[option, family]):
        built(option, family)


@pytest.mark.parametrize(("option", "family"), without(*PROMPTS))
def test_an_adapted_backbone_begins_as_it_was(option, family):
    with torch.no_grad():
        for after, before in zip(run(kept(option, family).eval()), plain(family), strict=True):
            torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("option", "family"), MARKED)
def test_a_training_step_changes_what_is_meant_to_learn_and_nothing_else(option, family):
    model = copy.deepcopy(kept(option, family)).train()
    meant, learns = LEARNS.get(option, lambda name: True), learning(model.encoder)
    assert all(meant(name) for name in learns)
    assert bool(learns) == any(meant(name) for name, _ in model.encoder.named_parameters())
    if option == "none":
        assert learns == learning(kept("none", family).encoder)
    if method_of(option).freezes:
        model.freeze_encoder()  # task.freeze_backbone beside it changes nothing
    assert learning(model.encoder) == learns
    stir(model)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad and not parameter.any():
                parameter.fill_(0.1)
    before = copy.deepcopy(model.state_dict())
    free = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(free, lr=0.1)
    run(model)[0].square().mean().backward()
    assert all(parameter.grad is not None for parameter in free)
    assert all(parameter.grad is None for parameter in model.parameters() if not parameter.requires_grad)
    optimizer.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    in_backbone = {name.removeprefix("encoder.") for name in changed if name.startswith("encoder.")}
    moved = in_backbone - learns
    assert not moved or (option in STATISTICS and all(name.split(".")[-1] in _OF_NORMS for name in moved))
    assert bool(in_backbone) == bool(learns)
    assert changed - {f"encoder.{name}" for name in in_backbone}


@pytest.mark.parametrize(("option", "family"), SOME)
def test_an_adapted_model_is_copied_averaged_and_stored(option, family):
    model, other = copy.deepcopy(kept(option, family)), copy.deepcopy(kept(option, family))
    stir(other)
    assert learning(copy.deepcopy(model)) == learning(model)
    check_copies(model, run, average=True)
    check_state(model, other, run)


@pytest.mark.parametrize(("option", "family"), without(*PROMPTS, *ADDS_NO_LAYERS))
def test_what_was_learned_is_merged_into_a_plain_model(option, family):
    model, method = copy.deepcopy(kept(option, family)).eval(), method_of(option)
    own = getattr(method, "merge", None)  # of a method that adds something itself
    merge = model.encoder.merge_and_unload if own is None else lambda: own(model.encoder)
    stir(model)
    with torch.no_grad():
        before = run(model)
        model.encoder = merge()
        for after, wanted in zip(run(model), before, strict=True):
            torch.testing.assert_close(after, wanted, atol=1e-5, rtol=1e-5)
    assert not any(hasattr(part, "base_layer") for part in model.modules())
    assert model.encoder.state_dict().keys().isdisjoint(learning(kept(option, family).encoder))


@pytest.mark.parametrize(("option", "family"), [case for case in MARKED if case.values[1] in TOKENS_AND_MAPS])
def test_gradients_are_the_same_through_checkpointing(option, family):
    gradients = []
    for keeps_less in (False, True):
        model = copy.deepcopy(kept(option, family)).train()
        stir(model)
        encoder, x = model.encoder, image(6, 1, 64, 64)
        features = checkpoint(encoder, x, use_reentrant=False) if keeps_less else encoder(x)
        if not learning(encoder):
            assert not any(feature.requires_grad for feature in features)
            return
        sum(feature.float().square().mean() for feature in features).backward()
        gradients.append({name: p.grad for name, p in encoder.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys() == learning(encoder) != set()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient)


@pytest.mark.parametrize(("option", "family"), EXPORTED)
def test_an_adapted_model_is_exported(option, family):
    model = copy.deepcopy(kept(option, family))
    check_export(model, (image(6, 2, 50, 70),), lambda returned: [returned.output])

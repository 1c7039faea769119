"""Every option of conf/peft with every family of backbones: what is meant to learn does, nothing else changes."""

import copy
from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn

from geocompose.configuration.diagnosis import options
from geocompose.configuration.instantiation import instantiate
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.models import PixelWiseModel
from tests.kit.owed import check_copies, check_export, check_state
from tests.kit.places import CONF
from tests.kit.small import FAMILIES, content, fresh_backbone, image, marks

OPTIONS = options(CONF, "peft")
# Families that an option has nothing to adapt in, and what it says.
REFUSED: Mapping[tuple[str, str], str] = {
    ("lora", "identity"): "IdentityBackbone has neither attention with queries and values nor convolutions",
}
# What learns in the backbone, by the names of its parameters. A new option needs a row.
LEARNS: Mapping[str, Callable[[str], bool]] = {
    "none": lambda name: True,
    "frozen": lambda name: False,
    "lora": lambda name: "lora_" in name,
}
CASES = [(option, family) for option in OPTIONS for family in FAMILIES]
BUILT = [case for case in CASES if case not in REFUSED]
MARKED = [pytest.param(*case, marks=marks(case[1])) for case in BUILT]
# To freeze changes what learns and nothing that is copied or exported: tokens and maps stand for the other families,
# which are copied and exported in test_pairs.py too.
FROZEN = ("prithvi", "resnet50")
EXPORTED = [
    pytest.param(*case, marks=[*marks(case[1]), pytest.mark.slow])
    if case[0] == "frozen" and case[1] not in FROZEN
    else pytest.param(*case, marks=marks(case[1]))
    for case in BUILT
]


def built(option: str, family: str) -> PixelWiseModel:
    torch.manual_seed(0)
    model = EncoderDecoderFactory(image_size=(64, 64), coordinates=()).build_model(
        task="segmentation",
        backbone=lambda: fresh_backbone(family),
        decoder="MLPDecoder",
        decoder_channels=8,
        num_classes=2,
        necks="auto",
        peft_config=instantiate(content("peft", option)),
    )
    assert isinstance(model, PixelWiseModel)
    return model


def run(model: nn.Module) -> list[Tensor]:
    return [model(image(6, 2, 50, 70)).output]


def test_the_options_of_peft_are_found():
    assert set(OPTIONS) == set(LEARNS)
    assert set(REFUSED) <= set(CASES)


@pytest.mark.parametrize(("option", "family"), sorted(REFUSED))
def test_a_family_without_anything_to_adapt_is_refused(option, family):
    with pytest.raises(UserError, match=REFUSED[option, family]):
        built(option, family)


@pytest.mark.parametrize(("option", "family"), MARKED)
def test_a_training_step_changes_what_is_meant_to_learn_and_nothing_else(option, family):
    model, untouched = built(option, family).train(), built("none", family)
    learning = {name for name, parameter in model.encoder.named_parameters() if parameter.requires_grad}
    learnable = {name for name, parameter in untouched.encoder.named_parameters() if parameter.requires_grad}
    assert all(LEARNS[option](name) for name in learning)
    if option == "none":
        assert learning == learnable
    assert bool(learning) == any(LEARNS[option](name) for name, _ in model.encoder.named_parameters())
    with torch.no_grad():  # what starts at 0 lets no gradient through
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
    if option != "none":  # batch-norm statistics move where all learns
        assert in_backbone <= learning
    assert bool(in_backbone) == bool(learning)
    assert changed - {f"encoder.{name}" for name in in_backbone}


@pytest.mark.parametrize(("option", "family"), EXPORTED)
def test_an_adapted_model_is_copied_averaged_stored_and_exported(option, family):
    model, other = built(option, family), built(option, family)
    if option != "none":  # with it, this is what every backbone is tested for
        check_export(model, (image(6, 2, 50, 70),), lambda returned: [returned.output])
        check_copies(model, run, average=True)
    check_state(model, other, run)
    learning = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    copied = copy.deepcopy(model)
    assert [name for name, parameter in copied.named_parameters() if parameter.requires_grad] == learning

"""AdaLoRA: its budget shrinks with the training's steps, and a training that is resumed goes on from where it was."""

import copy

import pytest
import torch

from geocompose.contracts.schedule import schedule_of
from geocompose.errors import UserError
from geocompose.peft.adalora import AdaLora
from tests.kit.adapted import build, image


def ranks(model) -> int:
    """Return how many singular values are left."""
    return sum(int((p != 0).sum()) for name, p in model.encoder.named_parameters() if "lora_E" in name)


def trained(model, steps: range, num_steps: int = 20) -> list[int]:
    schedule, counts = schedule_of(model.encoder), []
    assert schedule is not None
    schedule.begin(model.encoder, num_steps)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for step in steps:
        optimizer.zero_grad()
        (model(image()).output.square().mean() + schedule.penalty(model.encoder)).backward()
        optimizer.step()
        schedule.after_step(model.encoder, step)
        counts.append(ranks(model))
    return counts


def test_the_ranks_shrink_from_all_to_the_budget_and_stay_there():
    model = build(peft=AdaLora(r=2, init_r=4, warmup=0.2, final=0.3)).train()
    layers = sum("lora_E" in name for name, _ in model.encoder.named_parameters())
    counts = trained(model, range(1, 21))
    assert counts[:4] == [4 * layers] * 4  # 20 % of the steps
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) > 4
    assert counts[13:] == [2 * layers] * 7  # from the step at 70 % on
    pattern = next(iter(model.encoder.peft_config.values())).rank_pattern
    assert sum(map(sum, pattern.values())) == 2 * layers


def test_a_resumed_training_goes_on_as_an_undisturbed_one():
    whole = build(peft=AdaLora(r=2, init_r=4)).train()
    stopped = copy.deepcopy(whole)
    trained(whole, range(1, 17))
    trained(stopped, range(1, 13))
    state = copy.deepcopy(schedule_of(stopped.encoder).state(stopped.encoder))
    resumed = build(peft=AdaLora(r=2, init_r=4)).train()
    resumed.load_state_dict(stopped.state_dict())
    schedule_of(resumed.encoder).resume(resumed.encoder, state)
    trained(resumed, range(13, 17))
    assert all(torch.equal(value, whole.state_dict()[name]) for name, value in resumed.state_dict().items())


def test_the_penalty_is_that_of_pefts_own_model():
    model = build(peft=AdaLora(r=2, init_r=4, orthogonality=0.5))
    told = type("Output", (), {"loss": torch.zeros(())})()
    tuner = model.encoder.base_model
    tuner.model.forward = lambda: told
    assert tuner.forward().loss.item() == pytest.approx(schedule_of(model.encoder).penalty(model.encoder).item())


def test_a_step_with_infinite_gradients_is_passed_over():
    model = build(peft=AdaLora(r=2, init_r=4)).train()
    trained(model, range(1, 3))
    before = copy.deepcopy(schedule_of(model.encoder).state(model.encoder))
    model(image()).output.square().mean().backward()
    next(p for name, p in model.encoder.named_parameters() if "lora_E" in name).grad.fill_(float("inf"))
    schedule_of(model.encoder).after_step(model.encoder, 3)
    after = schedule_of(model.encoder).state(model.encoder)
    assert all(torch.equal(after["ipt"][name], value) for name, value in before["ipt"].items())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"r": 0}, "peft.r must be 1 or more; got 0"),
        ({"r": 12}, "peft.init_r must be above peft.r.*got 12 and 12.*peft=lora"),
        ({"warmup": 0.5}, "peft.warmup and peft.final are shares.*together below 1; got 0.5 and 0.5"),
        ({"final": -0.1}, "peft.warmup and peft.final are shares.*got 0.1 and -0.1"),
        ({"every": 0}, "peft.every must be 1 or more; got 0"),
        ({"orthogonality": -1.0}, "peft.orthogonality must be 0 or more; got -1.0"),
        ({"dropout": 1.0}, "peft.dropout must be from 0 to below 1; got 1.0"),
        ({"kwargs": {"tinit": 4}}, "peft.kwargs has 'tinit', which has its own key: write peft.warmup"),
        ({"kwargs": {"total_step": 4}}, "peft.kwargs has 'total_step', which follows from the training"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        build(peft=AdaLora(**arguments))

"""Every option of conf/task with every loss that it offers: it builds, and its loss falls on one batch."""

import re
from functools import partial

import pytest
import torch

from geocompose.configuration.diagnosis import options
from geocompose.configuration.instantiation import instantiate
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.imagery.samples import Target
from geocompose.tasks.base import Task
from tests.kit import tiny_tasks
from tests.kit.places import CONF
from tests.kit.small import content, image, stand_in
from tests.kit.tiny_tasks import samples

# Of a reconstruction the image's own bands are the target; its patches are so small that tiny images have several.
TARGETS = {
    **tiny_tasks.TARGETS,
    "reconstruction": Target("reconstruction", ("RED", "GREEN", "BLUE"), mean=(9.0, 8.0, 7.0), std=(3.0, 2.0, 1.0)),
}
KEYS = {"reconstruction": {"mask_px": 8}}
OPTIONS = options(CONF, "task")
STEPS = 12


def built(option: str, loss: object) -> Task:
    target = TARGETS[option]
    count = {"num_classes" if target.of_classes else "num_outputs": target.num_outputs}
    torch.manual_seed(0)
    model = EncoderDecoderFactory(image_size=(32, 32)).build_model(
        task=option, backbone=stand_in("pyramid"), decoder="MLPDecoder", decoder_channels=16, **count
    )
    return instantiate({**content("task", option), **KEYS.get(option, {}), "loss": loss})(
        model=model,
        optimizer=partial(torch.optim.AdamW, lr=3e-3),
        scheduler=partial(torch.optim.lr_scheduler.ConstantLR, factor=1.0),
        target=target,
        num_tiles={"val": 4, "test": 4},
    )


def losses(option: str) -> list[str]:
    """Return the losses that a task offers, as it tells who asks for another."""
    with pytest.raises(UserError) as refused:
        built(option, "no such loss")
    listed = re.search(r"Allowed: (.*)\.$", str(refused.value))
    assert listed is not None
    return listed.group(1).split(", ")


def batch(option: str) -> dict[str, torch.Tensor]:
    """Return four labelled samples, the last without any label, at the size of the model's images."""
    if option == "reconstruction":
        there = torch.zeros(4, 32, 32)
        there[3] = torch.nan
        return {"image": image(3, 4, 32, 32) + 2, "mask": there, "tile": torch.arange(4)}
    key = "mask" if TARGETS[option].pixel_wise else "label"
    label = torch.stack([sample[key] for sample in samples(option, 4)])
    if TARGETS[option].pixel_wise:
        label = label.repeat_interleave(4, dim=-1).repeat_interleave(4, dim=-2)
    return {"image": image(3, 4, 32, 32), key: label, "tile": torch.arange(4)}


def test_the_options_of_tasks_are_found():
    assert set(OPTIONS) == set(TARGETS)
    assert sum(len(losses(option)) for option in OPTIONS) >= 21


@pytest.mark.parametrize("option", OPTIONS)
def test_the_comment_on_a_loss_names_those_that_there_are(option):
    line = next(
        line for line in (CONF / "task" / f"{option}.yaml").read_text().splitlines() if line.startswith("loss:")
    )
    named = line.partition("#")[2].partition(", or a sum")[0]
    named = re.sub(r"\(.*?\)", "", named)
    assert {name.strip() for name in named.split("|")} == set(losses(option))


@pytest.mark.parametrize("option", OPTIONS)
def test_every_loss_of_a_task_falls_on_one_batch_alone_and_in_a_sum(option):
    offered = losses(option)
    data = batch(option)
    for loss in [*offered, dict.fromkeys(offered, 0.5), offered]:
        learner = built(option, loss)
        learner.log = lambda *_, **__: None  # type: ignore[method-assign]
        learner.train()
        optimizer = learner.optimization(STEPS, 1)["optimizer"]
        seen = []
        for _ in range(STEPS):
            torch.manual_seed(0)  # hides the same patches
            value = learner.training_step(data, 0)
            assert value.isfinite(), loss
            seen.append(value.item())
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        assert seen[-1] < 0.98 * seen[0], f"{loss}: {seen[0]} to {seen[-1]}"

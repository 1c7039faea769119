"""Fused optimizers: the same steps but for rounding, under clipping and mixed precision too."""

from functools import partial

import pytest
import torch

from tests.kit.tiny_tasks import loader, samples, task, trainer

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers.*", "ignore:.*number of training batches.*", "ignore:.*logger.*",
    "ignore:.*LeafSpec.*", "ignore:.*lr_scheduler.step.*",
)  # fmt: skip
OPTIMIZERS = [torch.optim.AdamW, torch.optim.Adam, partial(torch.optim.SGD, momentum=0.9)]


def trained(make, *, fused, **settings):
    learner = task("segmentation", optimizer=partial(make, lr=0.01, fused=fused))
    quiet = trainer(epochs=3, gradient_clip_val=0.5, **settings)
    quiet.fit(learner, loader(samples("segmentation", 20), 10))
    return {name: value.clone() for name, value in learner.model.state_dict().items()}


@pytest.mark.parametrize("make", OPTIMIZERS, ids=["adamw", "adam", "sgd"])
def test_a_fused_step_is_the_other_but_for_rounding(make):
    one, other = trained(make, fused=True), trained(make, fused=None)
    start = task("segmentation").model.state_dict()
    moved = max(float((other[name] - start[name]).abs().max()) for name in start)
    assert moved > 1e-3
    for name in one:
        assert torch.allclose(one[name], other[name], rtol=0, atol=1e-3 * moved), name


def test_gradients_are_clipped_in_mixed_precision_before_a_fused_step():
    weights = trained(torch.optim.AdamW, fused=True, precision="bf16-mixed")
    assert all(value.isfinite().all() for value in weights.values())

"""Batches that learn in parts: the steps of whole batches, and a size that is found before the first step."""

from functools import partial

import pytest
import torch

from geocompose.errors import UserError
from geocompose.training import micro_batch
from geocompose.training.micro_batch import MicroBatch
from tests.kit.tiny_tasks import loader, samples, task, trainer

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers.*", "ignore:.*number of training batches.*", "ignore:.*logger.*",
    "ignore:.*LeafSpec.*", "ignore:.*lr_scheduler.step.*",
)  # fmt: skip


def trained(kind, size, **settings):
    learner = task(kind, optimizer=partial(torch.optim.SGD, lr=0.1))
    kept = {}
    callbacks = [] if size is None else [MicroBatch(size, kept)]
    trainer(epochs=2, callbacks=callbacks, **settings).fit(learner, loader(samples(kind, 25), 10))
    return learner.model.state_dict(), kept


@pytest.mark.parametrize("kind", ["segmentation", "classification", "multilabel", "regression", "scalar_regression"])
@pytest.mark.parametrize("accumulated", [1, 2])
def test_parts_make_the_steps_of_whole_batches(kind, accumulated):
    settings = {"accumulate_grad_batches": accumulated, "gradient_clip_val": 1.0}
    (whole, _), (parts, kept) = trained(kind, None, **settings), trained(kind, 3, **settings)
    start = task(kind).model.state_dict()
    assert kept == {"micro_batch": 3}
    assert max(float((whole[name] - start[name]).abs().max()) for name in whole) > 1e-2
    for name in whole:
        assert torch.allclose(parts[name], whole[name], atol=1e-5), name


def test_kept_features_of_several_layers_are_cut_as_images_are():
    batch = {"tile": torch.arange(5), "features": [torch.arange(5), torch.arange(10).view(5, 2)]}
    cut = list(micro_batch.parts(batch, 2))
    assert [part["tile"].tolist() for part in cut] == [[0, 1], [2, 3], [4]]
    assert [part["features"][1][:, 0].tolist() for part in cut] == [[0, 2], [4, 6], [8]]


@pytest.mark.parametrize("message", ["DefaultCPUAllocator: can't allocate memory: you tried to allocate", None])
def test_auto_halves_until_it_fits_and_changes_nothing_else(message, monkeypatch):
    expected, _ = trained("segmentation", 3)
    asked = []
    real = micro_batch.parts

    def short_of_memory(batch, size):
        asked.append(size)
        torch.rand(5)  # a trial's random numbers don't count
        if size > 3:
            raise torch.OutOfMemoryError("CUDA out of memory") if message is None else RuntimeError(message)
        return real(batch, size)

    monkeypatch.setattr(micro_batch, "parts", short_of_memory)
    found, kept = trained("segmentation", "auto")
    assert asked == [10, 5, 3]
    assert kept == {"micro_batch": 3}
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_auto_leaves_a_batch_that_fits_whole_and_another_error_as_it_is(monkeypatch):
    expected, _ = trained("segmentation", None)
    found, kept = trained("segmentation", "auto")
    assert kept == {"micro_batch": 10}
    assert all(torch.equal(found[name], expected[name]) for name in expected)

    def broken(batch, size):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(micro_batch, "parts", broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
        trained("segmentation", "auto")


def test_where_not_even_one_sample_fits_a_run_is_refused(monkeypatch):
    def never(batch, size):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(micro_batch, "parts", never)
    with pytest.raises(UserError, match="Not even one sample fits in memory"):
        trained("segmentation", "auto")

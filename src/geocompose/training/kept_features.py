"""A run that reads its frozen backbone's features from disk in place of images, where they can and should be kept."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from geocompose.cache.fill import Encoder, fill
from geocompose.cache.folder import computing, make_room, opened
from geocompose.cache.key import description, key_of, state_sha256
from geocompose.cache.pays import why_it_does_not_pay
from geocompose.cache.same import differing
from geocompose.cache.settings import FeatureCache
from geocompose.cache.store import NUMPY, FeatureStore
from geocompose.configuration.instantiation import instantiate
from geocompose.contracts.backbone import contract_of
from geocompose.data.augmentation import views_of
from geocompose.data.drawn import Drawn
from geocompose.data.module import SceneData
from geocompose.data.tiles import TileDataset
from geocompose.errors import UserError, counted, shortened, size_in_words
from geocompose.models.freezing import ever_learns
from geocompose.runs import Record
from geocompose.runs.run_log import COURSE
from geocompose.tasks.base import Task
from geocompose.training.epoch_lines import duration

log = logging.getLogger("geocompose")

DRAWN_AT_MOST = 300_000  # samples of all epochs, up to which it is looked up which views of them a run will see


def settings_of(config: Mapping[str, Any]) -> FeatureCache:
    """Return the settings of a configuration; runs recorded before there was this group keep nothing."""
    found = instantiate(config["cache"]) if "cache" in config else FeatureCache(use="never")
    assert isinstance(found, FeatureCache)
    return found


def check_keepable(config: Mapping[str, Any], data: object, task: Task, trainer: lightning.Trainer) -> None:
    """Refuse `cache=features` for a run whose features change, before anything is written.

    Raises:
        UserError: says why, and what to write.
    """
    settings = settings_of(config)
    reason = why_not(config, settings, data, task, trainer)
    if settings.use == "always" and reason is not None:
        raise UserError(f"cache=features can't keep this run's features: {reason} Or write cache=none.")


def why_not(
    config: Mapping[str, Any], settings: FeatureCache, data: object, task: Task, trainer: lightning.Trainer
) -> str | None:
    """Return why a run's features can't be kept, in a sentence; None where they can."""
    encoder, precision = task.model.encoder, str(config["trainer"]["precision"])
    if not task.takes_features:
        return f"task={task.kind} changes the images themselves."
    if not isinstance(data, SceneData):
        return "its data is a module of your own."
    if task.model.learning_inputs:
        where = shortened(task.model.learning_inputs, 2)
        return f"bands that its weights lack start randomly, and learn in {where}. Leave these bands out (data.bands)."
    if ever_learns(encoder):
        return "its backbone learns. Write peft=frozen."
    if not any(True for _ in encoder.parameters()):
        return "its backbone has no weights, so that there is nothing to save."
    task.model.train()
    if any(module.training for module in encoder.modules()):
        return "its backbone is not in evaluation mode. Write peft=frozen."
    if data.rotation_deg:
        return "data.rotation_deg turns each image by another angle. Write data.rotation_deg=0."
    if data.random_crop and settings.crops is None:
        return "data.random_crop=true takes windows from anywhere. Write cache.crops=4 (windows of each tile)."
    if trainer.world_size > 1:
        return "several processes compute it."
    if precision.endswith("-true") and precision != "32-true":
        return f"trainer.precision={precision} rounds what is kept. Write 32-true, bf16-mixed or 16-mixed."
    return None


@dataclass(frozen=True)
class _Plan:
    """What a run needs of its backbone.

    items: the samples of each split, each once, in the order in which they are computed. times: how often features
    would be computed without a cache. first, seen: a sample, and its features as the backbone returns them now, which
    took `seen_s` seconds and `gflop`. dtype: fp32 or fp16, as they are kept.
    """

    encoder: Encoder
    samples: TileDataset
    items: dict[str, list[Drawn]]
    times: int
    first: Drawn
    seen: list[Tensor]
    seen_s: float
    gflop: float
    dtype: str

    @property
    def count(self) -> int:
        """How many samples there are."""
        return sum(map(len, self.items.values()))

    @property
    def item_bytes(self) -> int:
        """How many bytes the features of a sample take."""
        return sum(one.numel() for one in self.seen) * NUMPY[self.dtype].itemsize

    @property
    def layers(self) -> dict[str, torch.dtype]:
        """The name of each feature, by its layer where the backbone says it, with the type of its numbers."""
        numbers = contract_of(self.encoder.model.encoder).out_indices
        if numbers is None or len(numbers) != len(self.seen):
            names = [f"feature_{place}_of_{len(self.seen)}" for place in range(len(self.seen))]
        else:
            names = [f"layer_{number}" for number in numbers]
        return dict(zip(names, (one.dtype for one in self.seen), strict=True))

    def within(self, store: FeatureStore) -> dict[str, list[Drawn]]:
        """Return which samples of each split are not kept yet."""
        return {split: store.missing(items) for split, items in self.items.items()}


def _plan(data: SceneData, task: Task, trainer: lightning.Trainer, splits: Sequence[str], dtype: str) -> _Plan:
    epochs = int(trainer.max_epochs or 1)
    items = {"train": _training_items(data, epochs)}
    for split in splits:
        samples = data.tiles_of(split, training=False)
        items[split] = [samples.drawn(tile) for tile in range(len(samples))]
    validations = epochs // int(trainer.check_val_every_n_epoch or 1)
    times = epochs * len(data.training_tiles) + validations * len(items["val"]) + len(items.get("test", ()))
    encoder = Encoder(task.model, trainer.strategy.root_device, trainer.precision_plugin.forward_context)
    encoder.model.encoder.to(encoder.device)
    task.model.train()
    samples, first = data.tiles_of("train", training=True), items["train"][0]
    began_s = time.monotonic()
    with FlopCounterMode(display=False) as flops:
        seen = encoder.of_one(samples, first)
    gflop = flops.get_total_flops() / 1e9
    return _Plan(encoder, samples, items, times, first, seen, time.monotonic() - began_s, gflop, dtype)


def _training_items(data: SceneData, num_epochs: int) -> list[Drawn]:
    """Return what training samples are drawn as in so many epochs, each once, the views of a window side by side."""
    if num_epochs * len(data.training_tiles) > DRAWN_AT_MOST:
        return data.tiles_of("train", training=True).all_drawn(views_of(data.dihedral))
    return sorted(set(data.drawn(num_epochs)), key=lambda one: (one.region, one.view.number))


@contextmanager
def kept_features(
    config: Mapping[str, Any],
    data: SceneData,
    task: Task,
    trainer: lightning.Trainer,
    record: Record,
    splits: Sequence[str],
) -> Iterator[None]:
    """Let a run read its frozen backbone's features while the block lasts, where they are kept; else do nothing.

    splits: those that are scored. What is missing is computed first; `record.training["features"]` says what was done.

    Raises:
        UserError: they have to be kept (`cache=features`), and can't be.
    """
    settings = settings_of(config)
    if settings.use == "never":
        yield
        return
    reason = why_not(config, settings, data, task, trainer)
    if reason is not None:
        if not ever_learns(task.model.encoder) and next(task.model.encoder.parameters(), None) is not None:
            log.info("The frozen backbone's features are computed anew each time: %s", reason)
        yield
        return
    plan = _plan(data, task, trainer, splits, settings.dtype)
    reason = why_it_does_not_pay(plan.times / plan.count, plan.gflop, plan.item_bytes, plan.encoder.device.type)
    if settings.use == "where_it_pays" and reason is not None:
        log.info("The frozen backbone's features are computed anew each time: %s cache=features keeps them.", reason)
        yield
        return
    store: FeatureStore | None = None
    with ExitStack() as held:
        try:
            store, computed = _kept(config, data, task, record, plan, settings, held)
        except UserError as error:
            if settings.use == "always":
                raise
            log.warning("%s The frozen backbone's features are computed anew each time.", error)
        if store is None:
            yield
            return
        record.training["features"] = {
            "key": store.folder.name,
            "layers": list(plan.layers),
            "dtype": settings.dtype,
            "samples": plan.count,
            "computed": computed,
            "bytes": plan.count * plan.item_bytes,
        }
        data.keep(store)
        task.kept_size = (data.tile_px, data.tile_px)
        try:
            yield
        finally:
            data.keep(None)
            task.kept_size = None


def _kept(
    config: Mapping[str, Any],
    data: SceneData,
    task: Task,
    record: Record,
    plan: _Plan,
    settings: FeatureCache,
    held: ExitStack,
) -> tuple[FeatureStore, int]:
    """Return a store that has all that a run reads, and how many samples were computed for it.

    held: keeps its folder from being removed.

    Raises:
        UserError: features can't be kept, or not there.
    """
    described = _described(config, task, record, plan)
    folder = settings.place / key_of(described)
    held.enter_context(opened(folder, described))
    store = FeatureStore(folder, plan.layers, settings.dtype)
    _check_same(store, plan)
    return store, _complete(store, plan, data, settings)


def _described(config: Mapping[str, Any], task: Task, record: Record, plan: _Plan) -> dict[str, Any]:
    computed = {
        "weights": state_sha256(task.model.encoder),
        "padding": [task.model.padding, task.model.pad_multiple],
        "precision": [config["trainer"]["precision"], torch.get_float32_matmul_precision()],
        "device": plan.encoder.device.type,
        "kept_as": plan.dtype,
        "torch": torch.__version__,
    }
    return description(config, record.data, record.code, computed)


def _check_same(store: FeatureStore, plan: _Plan) -> None:
    """Refuse features that are not what the backbone returns, whether they are kept or computed a second time.

    Raises:
        UserError: names the layer.
    """
    kept = not store.missing([plan.first])
    other = [one[None] for one in store.of(plan.first)] if kept else plan.encoder.of_one(plan.samples, plan.first)
    place = differing(other, [one.cpu() for one in plan.seen] if kept else plan.seen, plan.dtype if kept else "fp32")
    if place is None:
        return
    layer = list(plan.layers)[place]
    if kept:
        raise UserError(
            f"The features of {layer} kept in {store.folder} are not what the backbone returns now. Remove that folder."
        )
    raise UserError(f"The backbone returns other features of {layer} each time, so that they can't be kept.")


def _complete(store: FeatureStore, plan: _Plan, data: SceneData, settings: FeatureCache) -> int:
    """Compute what is not kept yet; return how many samples that were.

    Raises:
        UserError: there is no room.
    """
    with computing(store.folder):
        missing = plan.within(store)
        lacking = sum(map(len, missing.values()))
        one, every = size_in_words(plan.item_bytes), size_in_words(plan.count * plan.item_bytes)
        takes = f" (at most {duration(lacking * plan.seen_s)})" if lacking else ""
        COURSE.info(
            "The frozen backbone's features are kept in %s: %s, %s each, %s in all; %s to compute now%s. Without, %s "
            "would be computed.",
            store.folder, counted(plan.count, "sample"), one, every, f"{lacking:,}", takes, f"{plan.times:,}",
        )  # fmt: skip
        if not lacking:
            return 0
        store.remove_drafts()
        make_room(Path(settings.place), lacking * plan.item_bytes, int(settings.max_gb * 1e9), store.folder)
        for items in filter(None, missing.values()):
            fill(
                store,
                plan.encoder,
                plan.samples,
                items,
                batch_size=data.batch_size,
                num_workers=data.readers.processes,
            )
        left = sum(len(store.missing(items)) for items in missing.values())
        assert not left, f"{left} samples are still missing in {store.folder}"
    return lacking

"""Studies of scored runs without a training: counts per tile, tiles, curves, baselines and predictions. No torch."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tests.kit.made_studies import made_run

NAMES = ("land", "water")
TILE_PX = 8


def scored_run(
    study: Path,
    identity: str,
    *,
    parts: tuple[str, str, str],
    seed: int,
    wrong: float,
    scenes: Sequence[str] = tuple("abcdefgh"),
    tiles_per_scene: int = 2,
    truth_seed: int = 0,
    baseline: float | None = 0.3,
    predictions: bool = False,
    config: str = "trainer:\n  max_epochs: 3\n",
    typed: Sequence[str] = (),
    names: Sequence[str] = NAMES,
    **more: object,
) -> Path:
    """Write a completed run that is wrong in a share of its test pixels, and return its folder.

    seed: of the run; which pixels are wrong depends on it and on `identity`. truth_seed: of the labels.
    """
    labels = _labels(truth_seed, len(scenes) * tiles_per_scene, len(names))
    random = np.random.default_rng([seed, *identity.encode()])
    said = _said(labels, wrong, random, len(names))
    counts = _counts(labels, said, len(names))
    miou = _miou(counts.sum(axis=0))
    choices = dict(zip(("backbone", "decoder", "peft"), parts, strict=True)) | {"data": "made", "task": "segmentation"}
    overrides = [f"{group}={option}" for group, option in zip(("backbone", "decoder", "peft"), parts, strict=True)]
    folder = made_run(
        study,
        identity,
        *overrides,
        f"seed={seed}",
        f"study={study.name}",
        *typed,
        parts=parts,
        config=config,
        metrics={"val/mIoU": miou, "test/mIoU": miou, "val/loss": 1.0},
        choices=choices,
        seeds={"seed": seed, "data.seed": 0},
        data={"name": "made", "target": {"kind": "segmentation", "names": list(names), "ignore_index": -1}},
        baselines=[] if baseline is None else [{"name": "logistic", "detail": "of a pixel", "metrics": {}}],
        **more,
    )
    np.savez_compressed(folder / "confusion.npz", val=counts[:2], test=counts)
    if baseline is not None:
        guess = _said(labels, baseline, np.random.default_rng(5), len(names))
        np.savez_compressed(folder / "baselines.npz", logistic=_counts(labels, guess, len(names)))
    if predictions:
        np.savez_compressed(folder / "predictions.npz", prediction=said.astype(np.uint8), label=labels.astype(np.uint8))
    _write_tiles(folder / "splits.csv", scenes, tiles_per_scene)
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "step", "val/mIoU"])
        writer.writerows([epoch, 8 * epoch, miou * (epoch + 1) / 3] for epoch in range(3))
    return folder


def scored_study(
    study: Path, wrong: Mapping[tuple[str, str, str], float], seeds: Sequence[int] = (0, 1, 2), **more: object
) -> None:
    """Write a study of compositions, each wrong in a share of its pixels, once per seed."""
    for number, (parts, share) in enumerate(wrong.items()):
        for seed in seeds:
            scored_run(study, f"{number:04x}{seed:06x}", parts=parts, seed=seed, wrong=share, **more)


def _labels(seed: int, tiles: int, classes: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, classes, (tiles, TILE_PX, TILE_PX))


def _said(labels: np.ndarray, wrong: float, random: np.random.Generator, classes: int) -> np.ndarray:
    missed = random.random(labels.shape) < wrong
    return np.where(missed, (labels + 1) % classes, labels)


def _counts(labels: np.ndarray, said: np.ndarray, classes: int) -> np.ndarray:
    pairs = (labels * classes + said).reshape(len(labels), -1)
    return np.stack([np.bincount(row, minlength=classes**2).reshape(classes, classes) for row in pairs])


def _miou(matrix: np.ndarray) -> float:
    right = np.diag(matrix)
    return float((right / (matrix.sum(0) + matrix.sum(1) - right)).mean())


def _write_tiles(path: Path, scenes: Sequence[str], tiles_per_scene: int) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["split", "tile", "scene", "row", "column", "height", "width", "group"])
        writer.writerows(["val", tile, "v", 0, TILE_PX * tile, TILE_PX, TILE_PX, ""] for tile in range(2))
        for number, scene in enumerate(scenes):
            for tile in range(tiles_per_scene):
                place = number * tiles_per_scene + tile
                writer.writerow(["test", place, scene, 0, TILE_PX * tile, TILE_PX, TILE_PX, ""])

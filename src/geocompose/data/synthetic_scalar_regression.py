"""Tiles of made-up landscapes with the share of water in each."""

from typing import Literal

from geocompose.data.loading import Loading
from geocompose.data.module import SceneData
from geocompose.data.synthetic.scenes import open_water_shares, stated


class SyntheticScalarRegressionData(SceneData):
    """Batches of tiles of made-up landscapes, each with the share of its pixels that is water; see `SyntheticData`.

    num_scenes, scene_px: how many, and their height and width. A scene is the same whatever their number.
    bands: those of BLUE GREEN RED NIR_NARROW SWIR_1 SWIR_2 to read, in this order; None means all.
    normalize_target: whether a model predicts in units of the training labels' deviation from their mean (`dataset`),
        or in the label's own unit (`none`).
    split: fractions of the scenes for train, val and test; None means [0.6, 0.2, 0.2]. A single scene is split by
        columns.
    seed: chooses the landscapes, and which of them belong to which split.
    tile_px: height and width of a sample, a cell of a grid over each scene.
    allow_mismatch: which of unit, level and band may differ from what pretrained weights have seen (see `Values`); the
        landscapes are surface reflectance x 10000.
    batch_size, num_workers, normalize, random_crop, dihedral, rotation_deg: see `Loading`. baselines: see `SceneData`.

    Raises:
        UserError: an argument is out of range.
    """

    def __init__(
        self,
        num_scenes: int = 8,
        scene_px: int = 256,
        bands: list[str] | None = None,
        normalize_target: Literal["dataset", "none"] = "dataset",
        split: list[float] | None = [0.5, 0.25, 0.25],  # noqa: B006 - never changed; schemas read a plain default
        tile_px: int = 32,
        batch_size: int = 8,
        num_workers: int = 0,
        normalize: Literal["dataset", "pretraining", "none"] = "dataset",
        random_crop: bool = False,
        dihedral: bool = True,
        rotation_deg: float = 0.0,
        allow_mismatch: list[str] | None = None,
        seed: int = 0,
        baselines: list[str] = ["constant", "linear"],  # noqa: B006 - never changed; schemas read a plain default
    ) -> None:
        super().__init__(
            name="synthetic_scalar_regression",
            collection=open_water_shares(
                num_scenes=num_scenes,
                scene_px=scene_px,
                normalize_target=normalize_target,
                split=split,
                tile_px=tile_px,
                seed=seed,
            ),
            bands=bands,
            values=stated(allow_mismatch),
            loading=Loading(batch_size, num_workers, normalize, random_crop, dihedral, rotation_deg),
            baselines=baselines,
        )

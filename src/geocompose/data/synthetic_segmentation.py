"""Made-up landscapes with a class for each pixel."""

from typing import Literal

from geocompose.data.loading import Loading
from geocompose.data.module import SceneData
from geocompose.data.synthetic.scenes import open_class_landscapes, stated


class SyntheticData(SceneData):
    """Batches of made-up landscapes: water, vegetation, bare and built in six HLS bands (reflectance x 10000), 30 m.

    num_scenes, scene_px: how many, and their height and width. A scene is the same whatever their number.
    bands: those of BLUE GREEN RED NIR_NARROW SWIR_1 SWIR_2 to read, in this order; None means all.
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
        split: list[float] | None = [0.5, 0.25, 0.25],  # noqa: B006 - never changed; schemas read a plain default
        tile_px: int = 64,
        batch_size: int = 8,
        num_workers: int = 0,
        normalize: Literal["dataset", "pretraining", "none"] = "dataset",
        random_crop: bool = False,
        dihedral: bool = True,
        rotation_deg: float = 0.0,
        allow_mismatch: list[str] | None = None,
        seed: int = 0,
        baselines: list[str] = ["logistic"],  # noqa: B006 - never changed; schemas read a plain default
    ) -> None:
        super().__init__(
            name="synthetic",
            collection=open_class_landscapes(
                num_scenes=num_scenes,
                scene_px=scene_px,
                split=split,
                tile_px=tile_px,
                seed=seed,
            ),
            bands=bands,
            values=stated(allow_mismatch),
            loading=Loading(batch_size, num_workers, normalize, random_crop, dihedral, rotation_deg),
            baselines=baselines,
        )

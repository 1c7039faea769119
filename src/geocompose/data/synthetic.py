"""Scenes made in memory from a seed: labelled, georeferenced, with spatial structure; nothing to download."""

from functools import partial
from typing import Literal

from affine import Affine

from geocompose.bands import HLS_BANDS
from geocompose.data.arguments import check_at_least
from geocompose.data.landscape import CLASS_NAMES, make_landscape
from geocompose.data.module import SceneData
from geocompose.data.scene import ArrayScene
from geocompose.data.split import split_by_fractions

PIXEL_M = 30.0
_CRS = "EPSG:32633"
_WEST, _NORTH = 400_000.0, 5_300_000.0
IGNORE_INDEX = -1


class SyntheticData(SceneData):
    """Batches of made-up landscapes: water, vegetation, bare and built in six HLS bands (reflectance x 10000), 30 m.

    num_scenes, scene_px: how many, and their height and width. A scene is the same whatever their number.
    bands: those of BLUE GREEN RED NIR_NARROW SWIR_1 SWIR_2 to read, in this order; None means all.
    split: fractions of the scenes for train, val and test; None means [0.6, 0.2, 0.2]. A single scene is split by
    columns.
    seed: chooses the landscapes, and which of them belong to which split.
    tile_px, batch_size, num_workers, normalize, random_crop, dihedral, rotation_deg, baselines: see `SceneData`.

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
        seed: int = 0,
        baselines: list[str] = ["logistic"],  # noqa: B006 - as above
    ) -> None:
        for key, value, least in (("num_scenes", num_scenes, 1), ("scene_px", scene_px, 32), ("seed", seed, 0)):
            check_at_least(key, value, least)
        scenes = [
            ArrayScene(
                name=f"synthetic_{seed}_{i}",
                height=scene_px,
                width=scene_px,
                band_names=list(HLS_BANDS),
                make=partial(make_landscape, seed, i, scene_px, IGNORE_INDEX),
                crs=_CRS,
                # Side by side with a gap of one scene, so that no two scenes show the same ground.
                transform=Affine(PIXEL_M, 0.0, _WEST + 2 * i * scene_px * PIXEL_M, 0.0, -PIXEL_M, _NORTH),
            )
            for i in range(num_scenes)
        ]
        super().__init__(
            name="synthetic",
            scenes=scenes,
            regions=split_by_fractions(scenes, split, seed=seed),
            class_names=list(CLASS_NAMES),
            bands=bands,
            ignore_index=IGNORE_INDEX,
            tile_px=tile_px,
            batch_size=batch_size,
            num_workers=num_workers,
            normalize=normalize,
            random_crop=random_crop,
            dihedral=dihedral,
            rotation_deg=rotation_deg,
            baselines=baselines,
        )

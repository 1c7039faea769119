"""Further rasters beside the first: paired, checked, stacked, counted and predicted with."""

import numpy as np
import pytest
import rasterio
import torch
from rasterio.transform import from_origin

from geocompose.data.sources import GeoTiffSegmentation
from geocompose.data.window import Window
from geocompose.errors import UserError
from tests.kit.command import only_run, record_of, run
from tests.kit.data_modules import geotiff, geotiff_classification
from tests.kit.data_rasters import BANDS, arguments, image, label, write
from tests.kit.made_runs import TARGETS, make_run, trained
from tests.kit.shared import CHIP, needs_chip

RADAR = {"images": "*_s1.tif", "band_names": ["VV", "VH"], "nodata": float("nan")}


def radar(seed=0, height=40, width=60):
    return np.random.default_rng(seed + 50).normal(-12, 3, (2, height, width)).astype("float32")


def stack(root, *names, **profile):
    """Write an optical image, a radar image and a label for each name."""
    for seed, name in enumerate(names):
        write(root / f"{name}.tif", image(seed), BANDS)
        write(root / f"{name}_s1.tif", radar(seed), **profile)
        write(root / f"{name}_lab.tif", label(seed))
    return root


def opened(root, **changes):
    given = {"images": "*.tif", "more_images": [RADAR], "baselines": []}
    return geotiff(**arguments(root, **{**given, **changes}))


@pytest.mark.parametrize("cache_mb", [0, 100])
def test_bands_of_further_rasters_come_after_the_images(tmp_path, cache_mb):
    data = opened(stack(tmp_path, "a", "b", "c"), cache_mb=cache_mb)
    assert data.band_names == [*BANDS, "VV", "VH"]
    data.setup()
    assert [scene.name for scene in data.scenes] == ["a.tif", "b.tif", "c.tif"]  # no radar image is an image of its own
    assert len(data.scenes[0].image.rasters) == 2
    assert data.scenes[0].keep_decoded == (cache_mb > 0)
    got, valid = data.scenes[1].read_image(Window(2, 3, 5, 7), [6, 0, 5])
    assert np.array_equal(got[[0, 2]], radar(1)[[1, 0], 2:7, 3:10])
    assert np.array_equal(got[1], image(1)[0, 2:7, 3:10])
    assert valid.all()


def test_each_raster_has_its_own_nodata(tmp_path):
    root = stack(tmp_path, "a", "b", "c")
    values = radar()
    values[1, 3, 4] = np.nan
    write(root / "a_s1.tif", values)
    data = opened(root, nodata=0.0)
    data.setup()
    scene = data.scenes[0]
    assert np.argwhere(~scene.read_image(Window(0, 0, 40, 60), [0, 6])[1]).tolist() == [[3, 4]]
    assert scene.read_image(Window(0, 0, 40, 60), [0, 5])[1].all()  # a band that is not read takes no pixel away
    with pytest.raises(UserError, match=r"a_s1\.tif has the value nan in band 'VH' at row 3, column 4"):
        opened(root, more_images=[{**RADAR, "nodata": None}]).setup()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"imges": "*"}, r"data\.more_images\[0\] has no key 'imges'\. Did you mean 'images'\?"),
        ({"images": None}, r"data\.more_images\[0\]\.images is a pattern such as '\*_S1Hand\.tif'; got None"),
        ({"band_names": "VV"},
            r"data\.more_images\[0\]\.band_names is a list of names such as \[VV, VH\], or null; got 'VV'"),
        ({"nodata": "x"}, r"data\.more_images\[0\]\.nodata is a number, nan included, or null; got 'x'"),
        ({"images": "*_s9.tif"}, r"data\.more_images\[0\]\.images=\*_s9\.tif matches nothing"),
        ({"band_names": ["B2", "VH"]},
            r"a\.tif and .*a_s1\.tif both have the band 'B2'\. Give one of them another name"),
        ({"band_names": ["VV"]}, r"a_s1\.tif has 2 bands, but data\.more_images\[0\]\.band_names has 1 name "),
    ],
)  # fmt: skip
def test_an_entry_with_a_mistake_is_refused(tmp_path, change, message):
    entry = {key: value for key, value in {**RADAR, **change}.items() if value is not None}
    with pytest.raises(UserError, match=message):
        opened(stack(tmp_path, "a", "b", "c"), more_images=[entry])


def test_an_image_without_its_further_raster_is_named(tmp_path):
    root = stack(tmp_path, "a", "b", "c")
    (root / "b_s1.tif").unlink()
    with pytest.raises(
        UserError,
        match=r"The image .*b\.tif has no file that data\.more_images\[0\]\.images=\*_s1\.tif matches\. The text "
        r"matched by \*",
    ):
        opened(root)


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ({"transform": from_origin(500_100, 5_000_000, 30, 30)},
            r"The further raster .*a_s1\.tif lies up to 3\.33 pixels beside its image"),
        ({"crs": "EPSG:32634"},
            r"The further raster .*a_s1\.tif is in EPSG:32634, its image .*a\.tif in EPSG:32633\. Reproject the "
            r"further"),
    ],
)  # fmt: skip
def test_a_further_raster_lies_on_the_images_grid(tmp_path, profile, message):
    with pytest.raises(UserError, match=message):
        opened(stack(tmp_path, "a", "b", "c", **profile))


def test_a_further_raster_of_another_size_is_refused(tmp_path):
    root = stack(tmp_path, "a", "b", "c")
    write(root / "a_s1.tif", radar(0, 20, 30))
    with pytest.raises(
        UserError, match=r"The further raster .*a_s1\.tif has 20 x 30 pixels \(rows x columns\), its image .* 40 x 60"
    ):
        opened(root)


def test_files_of_one_name_in_several_folders_belong_to_their_own(tmp_path):
    for seed, folder in enumerate(("x", "y")):
        for index in range(4):
            write(tmp_path / folder / f"{index}_s2.tif", image(index + 9 * seed, 16, 16), BANDS)
            write(tmp_path / folder / f"{index}_s1.tif", radar(index + 9 * seed, 16, 16))
    data = geotiff_classification(
        root=str(tmp_path), images="*/*_s2.tif", tile_px=16, more_images=[{**RADAR, "images": "*/*_s1.tif"}]
    )
    data.setup()
    names = [scene.name for scene in data.scenes]
    scene = data.scenes[names.index("y/2_s2.tif")]
    assert np.array_equal(scene.read_image(Window(0, 0, 16, 16), [5])[0][0], radar(11, 16, 16)[0])


def test_further_rasters_count_for_what_the_data_is(tmp_path):
    root = stack(tmp_path, "a", "b", "c")
    files = GeoTiffSegmentation(**{**arguments(root), "images": "*.tif", "more_images": [RADAR]}).input_files
    assert root / "b_s1.tif" in files
    assert len(files) == len(set(files)) == 9


def test_several_frames_have_further_rasters_of_as_many(tmp_path):
    for name in "abc":
        write(tmp_path / f"{name}.tif", image(ord(name), bands=4))
        write(tmp_path / f"{name}_s1.tif", image(7, bands=2))
        write(tmp_path / f"{name}_lab.tif", label())
    data = opened(tmp_path, band_names=["RED", "BLUE"], num_frames=2, more_images=[{**RADAR, "band_names": ["VV"]}])
    data.setup()
    assert next(iter(data.in_order("test")))["image"].shape == (4, 3, 2, 16, 16)


SMALL = (
    "backbone=timm", "backbone.name=test_resnet", "decoder=fcn", "decoder.channels=8", "decoder.num_convs=1",
        "data.tile_px=32",
    "trainer.max_epochs=1", "trainer.accelerator=cpu", "logger=csv", "trainer.progress_bar=false", "data.baselines=[]",
)  # fmt: skip


def test_a_run_with_radar_beside_optical_is_trained_evaluated_and_predicted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = stack(tmp_path / "data", "a", "b", "c")
    run(
        *SMALL, "data=geotiff", f"data.root={root}", "data.images=*.tif", "data.labels=*_lab.tif",
        "data.class_names=[land,water]", "data.bands=[VV,RED,VH]",
        "data.more_images=[{images: '*_s1.tif', band_names: [VV, VH], nodata: nan}]",
    )  # fmt: skip
    folder = only_run("default")
    record = record_of(folder)
    assert record["data"]["bands"] == ["VV", "RED", "VH"]
    run("action=evaluate", f"action.run={folder}")
    predict = ("action=predict", f"action.run={folder}", f"action.input={root}/a.tif", "action.output=a.tif")
    with pytest.raises(
        UserError, match=r"a\.tif has no band 'VV', 'VH'; .* \(data\.more_images: \*_s1\.tif\): write their files as"
    ):
        run(*predict)
    with pytest.raises(
        UserError, match=r"action\.more_inputs has 2 rasters; the run was trained with 1 beside the first"
    ):
        run(*predict, "action.more_inputs=[a.tif,b.tif]")
    write(tmp_path / "small.tif", radar(0, 20, 30))
    with pytest.raises(UserError, match=r"The further raster .*small\.tif has 20 x 30 pixels"):
        run(*predict, "action.more_inputs=[small.tif]")
    with pytest.raises(UserError, match=r"There is no raster none\.tif"):
        run(*predict, "action.more_inputs=[none.tif]")
    run(*predict, f"action.more_inputs=[{root}/a_s1.tif]", "action.kind=probabilities", "action.overlap_px=0")
    with rasterio.open("a.tif") as file:
        probabilities = file.read()
    mean, std = (np.array(record["data"]["normalization"][key])[:, None, None] for key in ("mean", "std"))
    raw = np.stack([radar()[0], image()[2], radar()[1]])
    batch = torch.from_numpy((raw[:, :32, :32] - mean) / std).float()[None]
    with torch.inference_mode():
        expected = trained(folder).model(batch).output.softmax(1)[0]
    np.testing.assert_allclose(probabilities[:, :8, :28], expected[:, :8, :28], atol=1e-5)
    write(tmp_path / "all.tif", np.concatenate([image(), radar()]), [*BANDS, "VV", "VH"])
    run(*predict[:2], "action.input=all.tif", "action.output=b.tif", "action.kind=probabilities", "action.overlap_px=0",
        "action.band_names=[BLUE,GREEN,RED,NIR_NARROW,SWIR_1,VV,VH]")  # fmt: skip
    with rasterio.open("b.tif") as file:
        assert np.array_equal(file.read(), probabilities)


def test_further_rasters_of_images_with_one_answer_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "outputs/made/run", TARGETS["classification"])
    write(tmp_path / "a.tif", image(), BANDS)
    with pytest.raises(
        UserError, match=r"action\.more_inputs is for a map of one raster; .* Stack the rasters of each image"
    ):
        run(
            "action=predict",
            "action.run=outputs/made/run",
            "action.input=a.tif",
            "action.output=t.csv",
            "action.more_inputs=[a.tif]",
        )


@needs_chip
def test_sentinel_1_stands_beside_sentinel_2_on_the_real_chip(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(
        *SMALL, "data=sen1floods11", f"data.root={CHIP}", "data.split=[0.625,0.125,0.25]",
            "data.bands=[GREEN,SWIR_1,VV,VH]",
        "data.more_images=[{images: '**/*_S1Hand.tif', band_names: [VV, VH], nodata: nan}]", "data.positions=null",
    )  # fmt: skip
    record = record_of(only_run("default"))
    assert record["status"] == "completed"
    mean = dict(zip(record["data"]["bands"], record["data"]["normalization"]["mean"], strict=True))
    assert mean["GREEN"] > 100  # reflectance x 10000
    assert -40 < mean["VH"] < mean["VV"] < 0  # dB

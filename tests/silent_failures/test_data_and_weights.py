"""Bands, units and weights that once gave a wrong number without a word."""

import pytest
import timm
import torch
from hydra import compose, initialize_config_dir
from safetensors.torch import save_file

from geocompose.actions.data_to_score import data_to_score
from geocompose.backbones.timm import weights as timm_weights
from geocompose.backbones.timm.builder import build_timm
from geocompose.cli import Experiment
from geocompose.configuration.checking import check
from geocompose.configuration.diagnosis import groups
from geocompose.errors import UserError
from geocompose.from_config import build_model
from geocompose.imagery.bands import HLS_BANDS
from geocompose.imagery.samples import Inputs, Target
from geocompose.registry import BACKBONE_REGISTRY
from geocompose.runs import Record, load_rules, run_id
from tests.kit.places import CONF


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_coordinates_too_coarse_to_tell_years_apart_are_refused(dtype):
    backbone = BACKBONE_REGISTRY.build("prithvi_eo_v2_tiny_tl", depth=1, img_size=32)
    image = torch.randn(1, 6, 32, 32)
    assert torch.tensor(2018.0).to(torch.bfloat16) == 2016
    with pytest.raises(UserError, match=r"temporal_coords are torch.*2018.*float32"):
        backbone(image, temporal_coords=torch.tensor([[[2018.0, 200.0]]], dtype=dtype))
    with pytest.raises(UserError, match="location_coords are torch"):
        backbone(image, location_coords=torch.tensor([[48.0, 2.0]], dtype=dtype))
    dates = torch.tensor([[[2018.0, 200.0]]])
    assert torch.isfinite(backbone.bfloat16()(image.bfloat16(), temporal_coords=dates)[0].float()).all()


def test_a_place_that_is_no_latitude_and_longitude_is_refused():
    backbone = BACKBONE_REGISTRY.build("prithvi_eo_v2_tiny_tl", depth=1, img_size=32)
    with pytest.raises(UserError, match=r"location_coords must be \(B, 2\), latitude and longitude; got \(1, 3\)"):
        backbone(torch.randn(1, 6, 32, 32), location_coords=torch.zeros(1, 3))


# Bands, units and places. Others of this kind stand beside what they need: water indices read in one unit, an offset of
# a run that reads digital numbers and published numbers without a unit in tests/imagery, longitudes from 0 to 360 in
# tests/data/test_coordinates.py, bands that a part of a fusion was told to read in tests/backbones/test_fusion.py.


@pytest.fixture
def photographs(tmp_path, monkeypatch):
    """Weights of timm's test_resnet for red, green and blue, as its hub has them; returns those of the input layer."""
    torch.manual_seed(7)
    state = timm.create_model("test_resnet").state_dict()
    save_file(state, tmp_path / "model.safetensors")
    monkeypatch.setattr(timm_weights, "download", lambda repository, file: tmp_path / file)
    return state["conv1.0.weight"]


@pytest.mark.parametrize(
    ("bands", "filters"),
    [
        (["BLUE", "GREEN"], [2, 1]),
        (["B4"], [0]),
        (["VV", "B2", "RED"], [None, 2, 0]),
        ([*HLS_BANDS], [2, 1, 0, None, None, None]),
    ],
)
def test_pretrained_filters_of_timm_go_to_bands_by_name_and_not_by_place(photographs, caplog, bands, filters):
    random = [band for band, place in zip(bands, filters, strict=True) if place is None]
    torch.manual_seed(3)
    fresh = build_timm("test_resnet", bands=bands).state_dict()
    torch.manual_seed(3)
    with caplog.at_level("WARNING", logger="geocompose"):
        module = build_timm("test_resnet", pretrained=True, bands=bands, allow_random_bands=bool(random))
    found = module.state_dict()["conv1.0.weight"]
    for place, filter_of in enumerate(filters):
        expected = fresh["conv1.0.weight"][:, place] if filter_of is None else photographs[:, filter_of]
        assert torch.equal(found[:, place], expected)
    said = [record.getMessage() for record in caplog.records]
    assert said == (
        [f"No pretrained weights for {', '.join(random)}: these bands start randomly, as allowed."] if random else []
    )


def test_a_consent_on_the_command_line_gives_no_band_another_ones_filters(photographs):
    overrides = [
        "backbone=timm",
        "backbone.name=test_resnet",
        "backbone.pretrained=true",
        "data.allow_mismatch=[unit,band]",
    ]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = check(compose("config", overrides=[*overrides, "decoder=fcn"]), groups(CONF))
    model = build_model(config, inputs=Inputs(HLS_BANDS, 32), target=Target("segmentation", ("land", "water"))).model
    assert torch.equal(model.encoder.state_dict()["conv1.0.weight"][:, 0], photographs[:, 2])


SEN1FLOODS11 = {"_target_": "geocompose.data.sources.GeoTiffSegmentation", "name": "sen1floods11", "root": None}


GEOTIFF = {**SEN1FLOODS11, "name": "geotiff"}


@pytest.mark.parametrize("data", [SEN1FLOODS11, GEOTIFF])
def test_values_that_a_model_may_read_in_another_unit_are_another_run(data):
    # A model that knows reflectance from 0 to 1 reads a ten-thousandth of what it reads where no unit is stated.
    rules = load_rules(CONF)
    units = ["reflectance_1e4", None, "reflectance", "dn"]
    assert len({run_id({"data": {**data, "unit": unit}}, {}, rules) for unit in units}) == len(units)


def test_runs_recorded_before_there_were_units_keep_their_identity():
    rules = load_rules(CONF)
    stated = {"unit": "reflectance_1e4", "level": "TOA", "offset": None}
    assert run_id({"data": {**SEN1FLOODS11, **stated}}, {}, rules) == run_id({"data": SEN1FLOODS11}, {}, rules)
    assert run_id({"data": {**GEOTIFF, "unit": None}}, {}, rules) == run_id({"data": GEOTIFF}, {}, rules)


@pytest.mark.parametrize(("typed", "read_with"), [(0.0, 0.0), (None, 1000.0)])
def test_an_offset_that_was_stated_for_other_data_is_kept_where_its_unit_is_the_run_s(typed, read_with):
    other = {
        "_target_": "geocompose.data.sources.GeoTiffSegmentation",
        "root": ".",
        "images": "*_i.tif",
        "labels": "*_l.tif",
        "class_names": ["land", "water"],
        "unit": None,
        "offset": typed,
        "scale": None,
        "tile_px": 64,
    }
    trained = {"tile_px": 32, "unit": "dn", "offset": 1000.0, "scale": None}
    experiment = Experiment({"data": other}, {}, ["data=geotiff", f"data.offset={typed}"], CONF)
    record = Record(run_id="0123456789", data=trained)
    chosen, source, _ = data_to_score(experiment, {"data": dict(other)}, record, None)
    assert (chosen["unit"], chosen["offset"], chosen["tile_px"]) == ("dn", read_with, 32)
    assert (source.unit, source.offset, source.tile_px) == ("dn", read_with, 32)

"""Dates and positions on their way through batches and models; what is not known adds nothing."""

import pickle

import pytest
import torch

from geocompose.backbones.prithvi.encodings import CoordinateEncoding
from geocompose.data.sources import GeoTiffSegmentation
from geocompose.errors import UserError
from geocompose.from_config import build_model
from geocompose.imagery.samples import Inputs
from geocompose.training.precision import HalfPrecisionModel
from tests.kit.data_modules import geotiff
from tests.kit.data_rasters import BANDS, arguments
from tests.kit.dated import LAND, NAN, composed, scenes, table, tiny


def test_batches_carry_coordinates_in_named_fields_and_workers_get_them_too(tmp_path):
    root = scenes(tmp_path, "a_20220115", "b_20201231", "c_20220301")
    data = geotiff(**arguments(root, dates="file_name", positions="georeference", random_crop=True, allow_overlap=True))
    assert data.inputs == Inputs(tuple(BANDS), 16, 1, ("time", "location"))
    data.setup()
    batch = next(iter(data.train_dataloader()))
    assert batch["temporal_coords"].shape == (4, 1, 2)
    assert batch["temporal_coords"].dtype == batch["location_coords"].dtype == torch.float32
    assert batch["location_coords"].shape == (4, 2)
    assert len(batch["location_coords"].unique(dim=0)) > 1  # crops of one scene lie in several places
    assert data.describe()["coordinates"] == ["time", "location"]
    again = pickle.loads(pickle.dumps(data.in_order("val").dataset))
    torch.testing.assert_close(again[0]["location_coords"], data.in_order("val").dataset[0]["location_coords"])


def test_nothing_travels_where_nothing_was_asked_for(tmp_path):
    data = geotiff(**arguments(scenes(tmp_path, "a_20220115", "b", "c")))
    data.setup()
    assert set(next(iter(data.train_dataloader()))) == {"image", "mask", "tile"}
    assert data.inputs.coordinates == ()


def test_tables_count_for_what_the_data_is(tmp_path):
    root = scenes(tmp_path, "a", "b", "c")
    given = arguments(root, positions="georeference")
    path = table(root / "t.csv", "file,date", "a_img.tif,2022-01-15", "b_img.tif,", "c_img.tif,")
    assert path in GeoTiffSegmentation(**given, dates="t.csv").input_files
    assert path not in GeoTiffSegmentation(**given, dates="file_name").input_files


def test_an_unknown_coordinate_adds_nothing_and_leaves_gradients_finite():
    encoding = CoordinateEncoding(16, learn_scale=True)
    given = torch.tensor([[[2022.0, 14.0], [NAN, NAN]], [[2020.0, 365.0], [2021.0, NAN]]])
    out = encoding(given)
    assert out.dtype == torch.float32
    assert (out[0, 1] == 0).all()
    assert (out[1, 1] == 0).all()  # half a coordinate does not count
    torch.testing.assert_close(out[:, 0], encoding(given[:, 0]))
    out.sum().backward()
    assert torch.isfinite(encoding.scale.grad).all()


def test_a_sample_without_coordinates_is_as_if_none_were_given_and_its_neighbours_are_not():
    model, image_ = tiny(), torch.randn(2, 6, 32, 32)
    dates, places = torch.tensor([[[2022.0, 14.0]], [[NAN, NAN]]]), torch.tensor([[47.0, 8.0], [NAN, NAN]])
    without, given = model(image_).output, model(image_, dates, places).output
    torch.testing.assert_close(given[1], without[1], atol=1e-6, rtol=1e-6)
    assert not torch.allclose(given[0], without[0], atol=1e-4)


def test_an_exported_model_takes_known_and_unknown_coordinates():
    model, image_ = tiny(), torch.randn(2, 6, 32, 32)
    known = torch.tensor([[[2022.0, 14.0]], [[2020.0, 3.0]]]), torch.tensor([[47.0, 8.0], [1.0, 2.0]])
    exported = torch.export.export(model, (image_, *known)).module()
    unknown = torch.tensor([[[2022.0, 14.0]], [[NAN, NAN]]]), torch.tensor([[NAN, NAN], [1.0, 2.0]])
    for given in (known, unknown):
        torch.testing.assert_close(exported(image_, *given).output, model(image_, *given).output, atol=1e-5, rtol=1e-5)


def test_what_only_the_missing_coordinate_uses_does_not_learn():
    learns = {
        names: {name for name, value in tiny(names).named_parameters() if "embed_enc" in name and value.requires_grad}
        for names in ((), ("time",), ("time", "location"))
    }
    assert learns[()] == set()
    assert learns["time",] == {"encoder.temporal_embed_enc.scale"}
    assert learns["time", "location"] == {"encoder.temporal_embed_enc.scale", "encoder.location_embed_enc.scale"}


@pytest.mark.parametrize("method", ["LORA"])
def test_coordinates_reach_an_adapted_backbone(method):
    model = tiny(
        ("time",), peft_config={"method": method, "replace_qkv": "qkv",
            "peft_config_kwargs": {"target_modules": ["qkv.q_linear", "qkv.v_linear"]}}
    )  # fmt: skip
    image_ = torch.randn(1, 6, 32, 32)
    dates = torch.tensor([[[2022.0, 14.0]]])
    assert not torch.allclose(model(image_, dates).output, model(image_).output, atol=1e-4)


def test_a_backbone_that_takes_no_dates_is_not_silently_left_without():
    config = composed("backbone=timm", "backbone.name=test_resnet", "decoder=fcn")
    with pytest.raises(
        UserError,
        match=r"The data gives dates \(data\.dates\), and the backbone .* takes none: it takes neither dates nor "
        r"positions\. Write "
        r"data\.dates=null, or choose a backbone that takes them",
    ):
        build_model(config, inputs=Inputs(tuple(BANDS), 32, 1, ("time",)), target=LAND)
    config = composed("backbone=prithvi", "backbone.coords_encoding=[time]", "decoder=fcn")
    with pytest.raises(
        UserError,
        match=r"gives positions \(data\.positions\).*it takes dates\. Write data\.positions=null, add location to",
    ):
        build_model(config, inputs=Inputs(("BLUE",), 32, 1, ("time", "location")), target=LAND)


def test_a_backbone_whose_dates_are_not_given_says_so_in_one_line(caplog):
    config = composed("backbone=prithvi", "decoder=fcn")
    with caplog.at_level("INFO", logger="geocompose"):
        build_model(config, inputs=Inputs(("BLUE",), 32, 1, ("location",)), target=LAND)
    said = [text for text in caplog.messages if "encoding is off" in text]
    assert said == ["The backbone takes dates, but the data gives none (data.dates), so their encoding is off."]


def test_half_precision_rounds_images_and_no_date():
    batch = {
        "image": torch.ones(1, 2, 4, 4),
        "temporal_coords": torch.tensor([[[2018.0, 3.0]]]),
        "tile": torch.tensor([0]),
    }
    for precision in ("bf16-true", "16-true"):
        converted = HalfPrecisionModel(precision).convert_input(batch)
        assert converted["image"].dtype != torch.float32
        assert converted["temporal_coords"].dtype == torch.float32
        assert converted["temporal_coords"][0, 0, 0] == 2018

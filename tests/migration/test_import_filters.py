"""Which pretrained filters a band starts from is told where TerraTorch goes by another rule than the bands' names."""

import pytest
import yaml

from geocompose.errors import UserError
from tests.kit.terratorch_runs import a_run, call, composed, conf, written
from tests.kit.terratorch_trees import HLS, of_segmentation, of_smp

__all__ = ["conf"]

RULE = "TerraTorch gives the bands the input layer's pretrained filters as"
RANDOM = "start randomly"
AS_THERE = "start randomly, as in TerraTorch"


def of_timm(bands, *, pretrained=True):
    model_args = {"backbone_pretrained": pretrained, "backbone_bands": None, "backbone_in_chans": len(bands)}
    numbers = {"means": [1.0] * len(bands), "stds": [2.0] * len(bands)}
    return a_run(model_args=model_args, data={"dataset_bands": bands, "output_bands": bands, **numbers})


def of_prithvi(bands, of_model):
    model_args = {"backbone": "prithvi_eo_tiny", "backbone_pretrained": True, "backbone_depth": 2}
    named = {} if of_model is None else {"backbone_bands": of_model}
    data = {"dataset_bands": bands, "output_bands": bands}
    return of_segmentation({**model_args, **named, "decoder": "FCNDecoder"}, data=data)


PLACES = [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("tree", "told", "not_told"),
    [
        (of_timm([0, 1, 2]), [f"{RULE} they come in order (band_1: RED, ", "'action.bands=[RED,GREEN,BLUE]'"], "times"),
        (of_timm(PLACES), ["band_4: RED, band_5: GREEN, band_6: BLUE, times 3/6", "band_6 start randomly"], "as in"),
        (of_timm([0]), ["(band_1: RED+GREEN+BLUE)", RANDOM], "times"),
        (of_timm(["BLUE", "GREEN", "RED"]), ["(BLUE: RED, GREEN: GREEN, RED: BLUE)"], RANDOM),
        (of_timm(["RED", "GREEN", "BLUE", "NIR_NARROW"]), ["of NIR_NARROW start randomly"], "action.bands="),
        (of_timm(["RED", "GREEN", "BLUE"]), [], "input layer"),
        (of_timm([0, 1, 2], pretrained=False), [], "input layer"),
        (of_smp(bands=["0", "1", "2"]), ["(band_1: RED, band_2: GREEN, band_3: BLUE)", RANDOM], AS_THERE),
        (of_prithvi(PLACES, PLACES), [f"of band_1, band_2, band_3, band_4, band_5, band_6 {AS_THERE}"], RULE),
        (of_prithvi(PLACES, None), [f"{RULE} they come in order (band_1: BLUE, band_2: GREEN", RANDOM], AS_THERE),
        (
            of_prithvi([*HLS[:3], "NIR_BROAD", *HLS[4:]], HLS),
            [f"{RULE} model_args name them", "of NIR_BROAD"],
            AS_THERE,
        ),
        (of_prithvi(HLS, HLS), [], "input layer"),
    ],
)
def test_filters_that_bands_get_in_terratorch_alone_are_told(tree, told, not_told, conf, capsys):
    call(conf, config=written(tree))
    shown = " ".join(capsys.readouterr().out.split())
    for text in told:
        assert text in shown
    assert not_told not in shown


def test_named_bands_have_their_filters_and_are_found_in_the_files(conf):
    config = written(of_timm([0, 1, 2]))
    call(conf, config=config, bands=["RED", "GREEN", "BLUE"])
    data = composed(conf, "experiment=imported/flood", "data.root=.", "data.images=x", "data.labels=x")["data"]
    assert data["band_names"] == data["bands"] == ["RED", "GREEN", "BLUE"]
    assert data["allow_mismatch"] == ["unit"]
    assert "allow_mismatch" in yaml.safe_load((conf / "experiment/imported/flood.yaml").read_text())["data"]


@pytest.mark.parametrize(
    ("bands", "message"),
    [
        (["RED"], r"has 1 names, but the model reads 2 bands \(band_2, band_3\)"),
        (["RED", "RED"], "two bands would be called RED"),
        (["RED", "NIR_NARROW"], "two bands would be called NIR_NARROW. The files have NIR_NARROW, band_2, band_3"),
    ],
)
def test_names_that_can_not_be_those_of_the_bands_are_refused(bands, message, conf):
    tree = of_timm([1, 2])
    tree["data"]["init_args"]["dataset_bands"] = ["NIR_NARROW", 1, 2]
    with pytest.raises(UserError, match=message):
        call(conf, config=written(tree), bands=bands)

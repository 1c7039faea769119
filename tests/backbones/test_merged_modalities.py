"""Backbones that return features by modality: merged as asked, or refused in one sentence that says what to write."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from tests.kit.command import SMALL, only_run, record_of, run
from tests.kit.own_modules import own_module

BANDS = {"optical": ["RED", "NIR_NARROW", "GREEN"], "sar": ["VV", "VH"]}


class Pyramids(nn.Module):
    """Each modality's images by themselves: two levels of maps, the radar's at half of the resolution."""

    modalities = BANDS

    def __init__(self, form: str = "mapping of lists", sar: int = 8, levels: int = 2) -> None:
        super().__init__()
        self.form = form
        own = {"optical": [8, 16][:levels], "sar": [sar, 2 * sar][:levels]}
        self.out_channels = own if sar != 8 else own["sar"]
        self.first = nn.ModuleDict({"optical": nn.Conv2d(3, 8, 4, 4), "sar": nn.Conv2d(2, sar, 8, 8)})
        self.second = nn.ModuleDict({"optical": nn.Conv2d(8, 16, 2, 2), "sar": nn.Conv2d(sar, 2 * sar, 2, 2)})
        self.levels = levels

    def forward(self, images: dict[str, Tensor]) -> Any:
        found = {}
        for name, image in images.items():
            fine = self.first[name](image)
            found[name] = [fine, self.second[name](fine)][: self.levels]
        if self.form == "list of mappings":
            return [{name: features[place] for name, features in found.items()} for place in range(self.levels)]
        return found


class Tokens(nn.Module):
    """One image of all bands; tokens of each modality with a class token first, as a transformer's of several."""

    bands = ["RED", "NIR_NARROW", "GREEN", "VV", "VH"]
    out_channels = [8, 8]

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.ModuleList([nn.Conv2d(3, 8, 8, 8), nn.Conv2d(2, 8, 8, 8)])
        self.first = nn.Parameter(torch.zeros(1, 1, 8))

    def forward(self, image: Tensor) -> dict[str, tuple[Tensor, ...]]:
        maps = [self.embed[0](image[:, :3]), self.embed[1](image[:, 3:])]
        cells = [torch.cat([self.first.expand(len(one), -1, -1), one.flatten(2).mT], dim=1) for one in maps]
        return {"optical": (cells[0], 2 * cells[0]), "sar": (cells[1], 2 * cells[1])}


class Vectors(Pyramids):
    """One vector of each modality."""

    out_channels = [8]

    def __init__(self) -> None:
        super().__init__(levels=1)

    def forward(self, images: dict[str, Tensor]) -> dict[str, list[Tensor]]:
        return {name: [one.mean(dim=(2, 3)) for one in each] for name, each in super().forward(images).items()}


def build(backbone: Any, merging: str | None = "concat", **changes: Any) -> nn.Module:
    torch.manual_seed(0)
    arguments = {"task": "segmentation", "decoder": "FCNDecoder", "decoder_channels": 8, "num_classes": 3} | changes
    return EncoderDecoderFactory((64, 64)).build_model(
        backbone=backbone, backbone_merge_modalities=merging, **arguments
    )


def images(rows: int = 64, columns: int = 64) -> dict[str, Tensor]:
    torch.manual_seed(1)
    return {name: torch.randn(2, len(bands), rows, columns) for name, bands in BANDS.items()}


@pytest.mark.parametrize("form", ["mapping of lists", "list of mappings"])
@pytest.mark.parametrize(("merging", "widths"), [("concat", [16, 32]), ("mean", [8, 16]), ("max", [8, 16])])
def test_features_by_modality_are_merged_level_by_level(form, merging, widths):
    backbone = Pyramids(form)
    model = build(backbone, merging).eval()
    given = images()
    fine, coarse = (backbone(given)[name] for name in BANDS) if form == "mapping of lists" else (None, None)
    assert model.encoder.out_channels == widths
    assert [spec.stride for spec in model.encoder.feature_specs] == [4, 8]
    with torch.no_grad():
        assert model(given).output.shape == (2, 3, 64, 64)
        merged = model.encoder(given)
    assert [tuple(one.shape) for one in merged] == [(2, widths[0], 16, 16), (2, widths[1], 8, 8)]
    if fine is not None and coarse is not None:
        enlarged = nn.functional.interpolate(coarse[1], size=(8, 8), mode="bilinear", align_corners=False)
        expected = {
            "concat": torch.cat([fine[1], enlarged], dim=1),
            "mean": (fine[1] + enlarged) / 2,
            "max": torch.maximum(fine[1], enlarged),
        }[merging]
        torch.testing.assert_close(merged[1], expected)


def test_images_by_modality_and_the_stacked_image_give_the_same():
    model = build(Pyramids()).eval()
    given = images()
    with torch.no_grad():
        torch.testing.assert_close(model(torch.cat(list(given.values()), dim=1)).output, model(given).output)
        assert model({name: one[..., :50, :33] for name, one in given.items()}).output.shape == (2, 3, 50, 33)


@pytest.mark.parametrize("backbone", [Tokens, Vectors, lambda: Pyramids(sar=4)])
def test_tokens_vectors_and_unequal_widths_are_merged(backbone):
    given = images()
    stacked = torch.cat(list(given.values()), dim=1)
    task = {"task": "classification", "decoder": "IdentityDecoder", "decoder_channels": None}
    changes = {key: value for key, value in task.items() if value is not None} if backbone is Vectors else {}
    if changes:
        torch.manual_seed(0)
        model = EncoderDecoderFactory((64, 64)).build_model(
            backbone=backbone(), num_classes=3, backbone_merge_modalities="concat", **changes
        )
    else:
        model = build(backbone(), necks="auto")
    with torch.no_grad():
        output = model.eval()(stacked).output
    assert output.shape[:2] == (2, 3)
    assert output.isfinite().all()


def test_merged_modalities_learn_are_copied_and_go_through_time():
    model = build(Pyramids())
    model(images()).output.mean().backward()
    assert all(parameter.grad is not None for parameter in model.encoder.parameters())
    other = copy.deepcopy(model.eval())
    with torch.no_grad():
        other.encoder.backbone.first["sar"].weight.zero_()
        assert not torch.equal(other(images()).output, model(images()).output)
    series = build(Pyramids(), backbone_use_temporal=True, backbone_temporal_n_timestamps=2).eval()
    given = {name: one.unsqueeze(2).expand(-1, -1, 2, -1, -1) for name, one in images().items()}
    with torch.no_grad():
        assert series(given).output.shape == (2, 3, 64, 64)


class Declared(Pyramids):
    merge_modalities = "mean"


def test_a_class_says_itself_how_its_modalities_are_merged():
    assert build(Declared(), None).encoder.out_channels == [8, 16]
    assert build(Declared(), "concat").encoder.out_channels == [16, 32]


class Undeclared(Pyramids):
    modalities = None  # type: ignore[assignment]


READS = {
    "items": lambda images: dict(images.items()),
    "a name": lambda images: images["optical"],
    "a short name": lambda images: images["S2"],
    "whether it is there": lambda images: "optical" in images,
    "a copy": lambda images: dict(images),
    "unpacked": lambda images: {**images},
    "get": lambda images: images.get("optical"),
}


@pytest.mark.parametrize("way", READS)
@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")
def test_a_forward_that_takes_a_mapping_is_told_to_say_so(way):
    class Mapped(Undeclared):
        def forward(self, images: Any) -> Any:
            READS[way](images)
            return super().forward(images)

    with pytest.raises(UserError, match=r"takes a mapping of images.*by an attribute modalities") as refused:
        build(Mapped(), None)
    assert "The backbone Mapped" in str(refused.value)


class Misspelt(Pyramids):
    merge_modalities = "sum"


class Plain(nn.Module):
    out_channels = [8]

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 4, 4)

    def forward(self, image: Tensor) -> list[Tensor]:
        return [self.first(image)]


@pytest.mark.parametrize(
    ("backbone", "merging", "message"),
    [
        (Pyramids, None, r"Pyramids returns features by modality \(optical, sar\).*backbone_merge_modalities='concat'"),
        (lambda: Pyramids("list of mappings"), None, r"features by modality \(optical, sar\).*merge_modalities"),
        (lambda: Pyramids(sar=4), "mean", r"unequal widths \(optical 8, sar 4\), which have no mean.*'concat'"),
        (Pyramids, "sum", "backbone_merge_modalities has no 'sum'. .*concat, mean, max, null"),
        (Misspelt, None, "Misspelt has merge_modalities='sum'. .*concat, mean, max"),
        (Plain, "concat", "Plain doesn't return features by modality.*leave backbone_merge_modalities out"),
        (Undeclared, "concat", "takes a mapping of images, one for each modality, say so by an attribute modalities"),
    ],
)
def test_what_cannot_be_merged_is_refused(backbone, merging, message):
    with pytest.raises(UserError, match=message):
        build(backbone(), merging)


def test_a_run_trains_a_backbone_of_ones_own_that_returns_features_by_modality(tmp_path, monkeypatch):
    text = """
import torch
from torch import nn


class Two(nn.Module):
    merge_modalities = "concat"
    modalities = {"colours": ["BLUE", "GREEN", "RED"], "infrared": ["NIR_NARROW"]}
    out_channels = [8]

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleDict({name: nn.Conv2d(len(bands), 8, 4, 4) for name, bands in self.modalities.items()})

    def forward(self, images):
        return {name: [self.layers[name](image)] for name, image in images.items()}
"""
    with own_module(tmp_path, "lab_of_modalities", text, monkeypatch):
        run(
            *SMALL[2:],
            "backbone=own",
            "backbone._target_=lab_of_modalities.Two",
            "data.bands=[BLUE,GREEN,RED,NIR_NARROW]",
        )
        assert record_of(only_run("default"))["status"] == "completed"

"""Any image backbone through time, and the arguments of a factory that ask for it."""

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from geocompose.backbones.prithvi.builder import build_prithvi
from geocompose.backbones.temporal.backbone import TemporalBackbone
from geocompose.backbones.temporal.options import split_temporal
from geocompose.backbones.temporal.pooling import POOLINGS
from geocompose.backbones.timm.builder import build_timm
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory

PRITHVI: dict[str, Any] = {"embed_dim": 48, "depth": 4, "num_heads": 4, "img_size": 32}


def image(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def prithvi(**changes: Any) -> nn.Module:
    torch.manual_seed(0)
    return build_prithvi(**{"variant": "prithvi_eo_v2_300", **PRITHVI, **changes}).eval()


class Foreign(nn.Module):
    """Somebody's backbone: it declares widths alone, and one of its maps is a single column wide."""

    def __init__(self) -> None:
        super().__init__()
        self.out_channels = [4, 5]
        self.first, self.second = nn.Conv2d(3, 4, 2, 2), nn.Conv2d(4, 5, 8, 8)

    def forward(self, picture: Tensor) -> list[Tensor]:
        fine = self.first(picture)
        return [fine, self.second(fine)]


class ChannelsLast(Foreign):
    def forward(self, picture: Tensor) -> list[Tensor]:
        return [feature.permute(0, 2, 3, 1) for feature in super().forward(picture)]


WITHOUT_WEIGHTS = [pooling for pooling in POOLINGS if pooling != "attention"]
INNER = {
    "tokens": lambda: prithvi(bands=["RED", "GREEN", "BLUE"]),
    "pyramid": lambda: build_timm("test_resnet", in_chans=3).eval(),
    "undeclared": Foreign,
    "channels last": ChannelsLast,
}


def one_by_one(inner: nn.Module, series: Tensor) -> list[Tensor]:
    """Return each feature as (B, T, ...), every time step by itself."""
    steps = [inner(series[:, :, t]) for t in range(series.shape[2])]
    return [torch.stack(features, dim=1) for features in zip(*steps, strict=True)]


@pytest.mark.parametrize("subsets", [None, [1, 3], [2, 1, 1]])
@pytest.mark.parametrize("pooling", WITHOUT_WEIGHTS)
@pytest.mark.parametrize("inner", INNER)
def test_features_of_all_time_steps_are_pooled_as_declared(inner, pooling, subsets):
    if pooling == "diff":
        subsets = [1, 3]
    torch.manual_seed(0)
    backbone = INNER[inner]()
    wrapped = TemporalBackbone(backbone, pooling, n_timestamps=4, subset_lengths=subsets).eval()
    series = image(2, 3, 4, 32, 64)
    with torch.no_grad():
        features, separate = wrapped(series), one_by_one(backbone, series)
    assert wrapped.num_frames == 4
    assert len(features) == len(wrapped.out_channels) == len(wrapped.feature_specs)
    for feature, steps, spec in zip(features, separate, wrapped.feature_specs, strict=True):
        if subsets:
            steps = torch.stack([group.mean(dim=1) for group in steps.split(subsets, dim=1)], dim=1)
        channels = 1 if spec.layout == "NCHW" else feature.ndim - 1
        expected = {
            "mean": lambda steps=steps: steps.mean(1),
            "max": lambda steps=steps: steps.max(1).values,
            "diff": lambda steps=steps: steps[:, 0] - steps[:, 1],
            "concat": lambda steps=steps, channels=channels: torch.cat(list(steps.unbind(1)), channels),
        }[pooling]()
        torch.testing.assert_close(feature, expected, atol=1e-5, rtol=1e-5)
        assert feature.shape[channels] == spec.channels


def test_channels_of_concatenated_subsets_are_counted_by_subsets():
    wrapped = TemporalBackbone(Foreign(), "concat", n_timestamps=10, subset_lengths=[3, 7])
    assert wrapped.out_channels == [8, 10]
    assert [feature.shape[1] for feature in wrapped(image(1, 3, 10, 16, 16))] == [8, 10]


def test_maps_of_width_one_are_maps_and_not_tokens():
    wrapped = TemporalBackbone(Foreign(), "mean", n_timestamps=2)
    fine, narrow = wrapped(image(2, 3, 2, 32, 16))
    assert fine.shape == (2, 4, 16, 8)
    assert narrow.shape == (2, 5, 2, 1)
    assert [spec.layout for spec in wrapped.feature_specs] == ["NCHW", "NCHW"]


def test_coordinates_of_a_series_reach_the_backbone_each_with_its_image():
    backbone = prithvi(coords_encoding=["time", "location"])
    wrapped = TemporalBackbone(backbone, "concat", n_timestamps=3).eval()
    series = image(2, 6, 3, 32, 32)
    dates = torch.tensor(
        [[[2018.0, 1.0], [2019.0, 50.0], [2020.0, 99.0]], [[2021.0, 3.0], [2022.0, 4.0], [2023.0, 5.0]]]
    )
    places = torch.tensor([[47.0, 8.0], [-20.0, 130.0]])
    assert wrapped.coords_encoding == ["time", "location"]
    together = wrapped(series, temporal_coords=dates, location_coords=places)
    for sample in range(2):
        for step in range(3):
            alone = backbone(
                series[sample : sample + 1, :, step],
                dates[sample : sample + 1, step : step + 1],
                places[sample : sample + 1],
            )
            for mine, theirs in zip(together, alone, strict=True):
                torch.testing.assert_close(
                    mine[sample : sample + 1, :, step * 48 : step * 48 + 48], theirs, atol=1e-5, rtol=1e-5
                )


def test_mean_and_max_take_any_number_of_time_steps_where_none_is_declared():
    wrapped = TemporalBackbone(Foreign(), "max")
    for steps in (1, 2, 5):
        assert wrapped(image(2, 3, steps, 16, 16))[0].shape == (2, 4, 8, 8)
    assert wrapped(image(2, 3, 16, 16))[0].shape == (2, 4, 8, 8)


def test_a_selection_of_layers_goes_through_to_the_backbone():
    wrapped = TemporalBackbone(prithvi(), "concat", n_timestamps=2)
    wrapped.select_layers([1, 2])
    assert wrapped.out_indices == [1, 2]
    assert wrapped.out_channels == [96, 96]
    assert len(wrapped(image(1, 6, 2, 32, 32))) == 2
    assert not hasattr(TemporalBackbone(Foreign()), "select_layers")
    assert not hasattr(TemporalBackbone(Foreign()), "out_indices")


def test_prompts_inside_a_temporal_backbone_go_on_learning_when_it_is_frozen():
    model = series_model("mean", n_timestamps=2, vpt=True, vpt_n_tokens=2)
    model.freeze_encoder()
    learning = {name for name, parameter in model.encoder.named_parameters() if parameter.requires_grad}
    assert learning == {f"encoder.vpt_prompt_embeddings.{n}" for n in range(4)}


def series_model(pooling: str, n_timestamps: int | None = None, decoder: str = "FCNDecoder", **backbone: Any) -> Any:
    return EncoderDecoderFactory(image_size=(32, 32)).build_model(
        task="segmentation",
        backbone="prithvi_eo_v2_300",
        backbone_kwargs={**PRITHVI, **backbone},
        backbone_use_temporal=True,
        backbone_temporal_pooling=pooling,
        backbone_temporal_n_timestamps=n_timestamps,
        decoder=decoder,
        num_classes=3,
        necks="auto",
    )


@pytest.mark.parametrize(
    ("pooling", "steps"), [("mean", 3), ("max", None), ("diff", None), ("concat", 3), ("attention", 3)]
)
@pytest.mark.parametrize("decoder", ["FCNDecoder", "UperNetDecoder"])
def test_a_time_series_goes_through_a_whole_model(pooling, steps, decoder):
    model = series_model(pooling, steps, decoder)
    output = model.eval()(image(2, 6, 2 if pooling == "diff" else 3, 40, 33)).output
    assert output.shape == (2, 3, 40, 33)


def test_a_temporal_backbone_exports_and_its_copies_have_weights_of_their_own():
    wrapped, series = TemporalBackbone(prithvi(), "diff").eval(), image(1, 6, 2, 32, 32)
    before = wrapped(series)
    torch.testing.assert_close(torch.export.export(wrapped, (series,)).module()(series), before, atol=1e-5, rtol=1e-5)
    for other in (copy.deepcopy(wrapped), pickle.loads(pickle.dumps(wrapped))):
        assert torch.equal(other(series)[0], before[0])
        with torch.no_grad():
            next(other.parameters()).add_(1)
        assert torch.equal(wrapped(series)[0], before[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pooling": "maen"}, "temporal.pooling has no 'maen'. Did you mean 'mean'"),
        ({"pooling": "keep"}, "has no 'keep'. keep would hand the time steps on apart, which no neck or decoder reads"),
        ({"pooling": "concat"}, "give their number as backbone_temporal_n_timestamps"),
        ({"n_timestamps": 0}, "number of time steps .*must be 1 or more; got 0"),
        ({"subset_lengths": [1, 0]}, r"must be numbers of time steps, each 1 or more, such as \[2, 3\]; got \[1, 0\]"),
        ({"subset_lengths": []}, "must be numbers of time steps"),
        ({"subset_lengths": [1, 2], "n_timestamps": 4}, "are 3 time steps together, but there are 4"),
        ({"pooling": "diff", "n_timestamps": 3}, "diff takes two time steps, or two subsets of them; got 3"),
        ({"pooling": "diff", "subset_lengths": [1, 1, 1]}, "diff takes two time steps, or two subsets of them; got 3"),
        ({"num_heads": 2}, "temporal.num_heads=2 is of temporal=attention, not of mean"),
        ({"pooling": "attention", "num_heads": 2}, "num_heads=2 are groups of channels, but a feature is 5 wide"),
        ({"pooling": "attention", "num_heads": 0}, "temporal.num_heads must be 1 or more; got 0"),
        ({"pooling": "attention", "key_channels": 3}, "temporal.key_channels must be even, .*; got 3"),
        (
            {"features_permute_op": [0, 3, 3, 1]},
            r"names each dimension once, such as \[0, 3, 1, 2\]; got \[0, 3, 3, 1\]",
        ),
    ],
)
def test_a_temporal_backbone_that_cannot_be_is_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        TemporalBackbone(Foreign(), **arguments)


def test_a_backbone_that_takes_several_frames_itself_is_refused():
    with pytest.raises(UserError, match=r"takes 3 frames at once; with temporal=mean .* it is given one at a time"):
        TemporalBackbone(prithvi(num_frames=3))


@pytest.mark.parametrize(
    ("shape", "coordinates", "message"),
    [
        ((1, 3, 3, 16, 16), {}, "was built for 2 time steps .*; the image has 3"),
        ((3, 16, 16), {}, r"A time series must be \(B, bands, time steps, rows, columns\); got \(3, 16, 16\)"),
        (
            (1, 3, 2, 16, 16),
            {"location_coords": torch.zeros(1, 2)},
            "location_coords are given, but Foreign takes no coord",
        ),
        (
            (1, 3, 2, 16, 16),
            {"temporal_coords": torch.zeros(1, 3, 2)},
            r"must be \(1, 2, 2\) for 2 time steps; got \(1, 3, 2\)",
        ),
    ],
)
def test_a_series_that_does_not_fit_is_refused(shape, coordinates, message):
    with pytest.raises(UserError, match=message):
        TemporalBackbone(Foreign(), n_timestamps=2)(image(*shape), **coordinates)


def test_a_permutation_of_features_changes_nothing():
    torch.manual_seed(0)
    backbone = ChannelsLast()
    plain = TemporalBackbone(backbone, "concat", n_timestamps=2)
    permuted = TemporalBackbone(backbone, "concat", n_timestamps=2, features_permute_op=[0, 3, 1, 2])
    series = image(1, 3, 2, 16, 16)
    assert torch.equal(plain(series)[0], permuted(series)[0])


# The arguments of a factory


def test_temporal_arguments_are_taken_out_of_the_backbone_s():
    given = {"num_frames": 1, "use_temporal": True, "temporal_pooling": "concat", "temporal_n_timestamps": 3,
             "temporal_subset_lengths": None, "temporal_concat": False}  # fmt: skip
    before = dict(given)
    assert split_temporal(given) == ({"num_frames": 1}, {"pooling": "concat", "n_timestamps": 3})
    assert given == before
    assert split_temporal({"use_temporal": True}) == ({}, {})
    assert split_temporal({"bands": ["RED"], "use_temporal": False}) == ({"bands": ["RED"]}, None)
    assert split_temporal({}) == ({}, None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"use_temporal": True, "temporal_poling": "mean"},
            "no argument backbone_temporal_poling. Did you mean 'backbone_temporal_pooling'",
        ),
        ({"temporal_pooling": "max"}, "backbone_temporal_pooling counts only with backbone_use_temporal=true"),
        ({"use_temporal": True, "temporal_concat": True}, "write backbone_temporal_pooling='concat'"),
        ({"use_temporal": "yes"}, "backbone_use_temporal must be true or false; got 'yes'"),
    ],
)
def test_temporal_arguments_that_would_do_nothing_are_refused(given, message):
    with pytest.raises(UserError, match=message):
        split_temporal(given)

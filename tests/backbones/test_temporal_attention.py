"""Attention over time: what it weighs, what it does with dates, what of it learns; and the group `temporal`."""

import copy
import logging
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from geocompose.backbones.prithvi.builder import build_prithvi
from geocompose.backbones.temporal.backbone import TemporalBackbone
from geocompose.backbones.temporal.options import NoTemporal, TemporalAttentionPooling, TemporalPooling
from geocompose.backbones.temporal.pooling import TemporalAttention, days
from geocompose.backbones.timm.builder import build_timm
from geocompose.configuration.instantiation import instantiate
from geocompose.contracts.features import FeatureSpec
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.peft.lora import Lora
from geocompose.peft.methods import Frozen
from tests.kit.owed import check_copies, check_export, check_gradients
from tests.kit.places import CONF

DATES = torch.tensor(
    [[[2018.0, 300.0], [2019.0, 10.0], [2019.0, 200.0]], [[2021.0, 0.0], [2021.0, 90.0], [2022.0, 5.0]]]
)


def image(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def prithvi(**changes: Any) -> nn.Module:
    torch.manual_seed(0)
    small: dict[str, Any] = {"embed_dim": 48, "depth": 4, "num_heads": 4, "img_size": 32}
    return build_prithvi(**{"variant": "prithvi_eo_v2_300", **small, **changes})


class Swapped(nn.Module):
    """A backbone with a map of each layout, channels first and last."""

    in_chans = 3

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 4, 4)
        self.feature_specs = [
            FeatureSpec(8, 4),
            FeatureSpec(8, 4, "NHWC"),
            FeatureSpec(8, 4, "tokens"),
            FeatureSpec(8, 1, "vector"),
        ]
        self.out_channels = [8, 8, 8, 8]

    def forward(self, picture: Tensor) -> list[Tensor]:
        maps = self.conv(picture)
        last = maps.permute(0, 2, 3, 1)
        return [maps, last, last.flatten(1, 2), maps.mean(dim=(2, 3))]


def test_attention_is_the_published_one_written_out_pixel_by_pixel():
    torch.manual_seed(1)
    attention = TemporalAttention(12, num_heads=3, key_channels=4)
    series, position = image(2, 5, 7, 12), torch.tensor([[0.0, 10, 20, 30, 40], [5.0, 6, 7, 300, 400]])
    pooled = attention(series, position)
    half = 2
    for b in range(2):
        for cell in range(7):
            for head in range(3):
                scores = []
                for t in range(5):
                    omega = torch.tensor([1.0, 1e-2])
                    date = torch.cat([(position[b, t] * omega).sin(), (position[b, t] * omega).cos()])
                    key = attention.keys(attention.norm(series[b, t, cell])) + attention.date_keys(date)
                    scores.append(key.view(3, 4)[head] @ attention.queries[head] / 4**0.5)
                weights = torch.stack(scores).softmax(0)
                values = series[b, :, cell].view(5, 3, 4)[:, head]
                torch.testing.assert_close(
                    pooled[b, cell, head * 4 : head * 4 + 4], weights @ values, atol=1e-5, rtol=1e-4
                )
    assert half * 2 == attention.key_channels


def test_what_comes_out_lies_between_what_went_in_and_one_time_step_comes_out_as_it_is():
    torch.manual_seed(0)
    wrapped = TemporalBackbone(build_timm("test_resnet", in_chans=3).eval(), "attention").eval()
    series = image(2, 3, 4, 64, 96)
    with torch.no_grad():
        for pooled, steps in zip(
            wrapped(series), zip(*[wrapped.encoder(series[:, :, t]) for t in range(4)], strict=True), strict=True
        ):
            together = torch.stack(list(steps))
            assert (pooled <= together.amax(0) + 1e-5).all()
            assert (pooled >= together.amin(0) - 1e-5).all()
            assert not torch.allclose(pooled, together.mean(0), atol=1e-4)
        for one, alone in zip(wrapped(series[:, :, 0]), wrapped.encoder(series[:, :, 0]), strict=True):
            torch.testing.assert_close(one, alone)


def test_each_layout_is_weighed_in_its_own_channels():
    torch.manual_seed(0)
    wrapped = TemporalBackbone(Swapped(), "attention", n_timestamps=3, num_heads=4)
    wrapped.poolings = nn.ModuleList([wrapped.poolings[0]] * 4)  # the same for all
    maps, last, tokens, vector = wrapped(image(2, 3, 3, 16, 24))
    assert maps.shape == (2, 8, 4, 6)
    torch.testing.assert_close(last.permute(0, 3, 1, 2), maps)
    torch.testing.assert_close(tokens.transpose(1, 2).unflatten(2, (4, 6)), maps)
    assert vector.shape == (2, 8)
    assert wrapped.feature_specs == Swapped().feature_specs


def test_dates_count_and_unknown_dates_are_left_out():
    torch.manual_seed(0)
    wrapped = TemporalBackbone(Swapped(), "attention", n_timestamps=3)
    series, unknown = image(2, 3, 3, 16, 16), torch.full((2, 3, 2), torch.nan)
    off, known, none = wrapped(series), wrapped(series, DATES), wrapped(series, unknown)
    assert not torch.allclose(known[0], off[0], atol=1e-4)
    assert all(torch.equal(one, other) for one, other in zip(none, off, strict=True))
    mixed = DATES.clone()
    mixed[1] = torch.nan
    partly = wrapped(series, mixed)
    torch.testing.assert_close(partly[0][0], known[0][0])
    torch.testing.assert_close(partly[0][1], off[0][1])
    sum(feature.sum() for feature in partly).backward()
    assert all(parameter.grad.isfinite().all() for parameter in wrapped.parameters())


def test_days_are_counted_from_the_start_of_a_series_first_known_year():
    found = days(torch.cat([DATES, torch.tensor([[[torch.nan, torch.nan], [2020.0, 1.0], [torch.nan, 4.0]]])]))
    expected = torch.tensor([[300.0, 375.25, 565.25], [0.0, 90.0, 370.25], [torch.nan, 1.0, torch.nan]])
    torch.testing.assert_close(found, expected, equal_nan=True)


def test_attention_asks_for_dates_even_where_the_backbone_takes_none_and_hands_on_what_it_takes():
    assert TemporalBackbone(Swapped(), "attention").coords_encoding == ["time"]
    assert not hasattr(TemporalBackbone(Swapped(), "mean"), "coords_encoding")
    wrapped = TemporalBackbone(prithvi(coords_encoding=["location"]), "attention", n_timestamps=3)
    assert set(wrapped.coords_encoding) == {"time", "location"}
    assert len(wrapped(image(2, 6, 3, 32, 32), DATES, torch.zeros(2, 2))) == 4
    with pytest.raises(UserError, match="location_coords are given, but Swapped takes no coordinates"):
        TemporalBackbone(Swapped(), "attention")(image(1, 3, 2, 16, 16), location_coords=torch.zeros(1, 2))


def test_groups_of_time_steps_are_averaged_with_their_dates_and_then_weighed():
    torch.manual_seed(0)
    wrapped = TemporalBackbone(Swapped(), "attention", subset_lengths=[1, 2])
    series = image(2, 3, 3, 16, 16)
    means = torch.stack(
        [
            wrapped.encoder(series[:, :, 0])[1],
            (wrapped.encoder(series[:, :, 1])[1] + wrapped.encoder(series[:, :, 2])[1]) / 2,
        ],
        dim=1,
    )
    position = torch.stack([days(DATES)[:, 0], days(DATES)[:, 1:].mean(1)], dim=1)
    torch.testing.assert_close(wrapped(series, DATES)[1], wrapped.poolings[1](means, position))


def test_a_selection_of_layers_keeps_the_attention_of_each():
    wrapped = TemporalBackbone(prithvi(), "attention", n_timestamps=2).eval()
    series = image(1, 6, 2, 32, 32)
    with torch.no_grad():
        before = wrapped(series)
        wrapped.select_layers([1, 2])
        after = wrapped(series)
    assert [torch.equal(one, before[layer]) for one, layer in zip(after, (1, 2), strict=True)] == [True, True]
    assert len(wrapped.poolings) == 2


@pytest.mark.parametrize("peft", [Frozen(), Lora(r=2)])
def test_attention_goes_on_learning_beside_a_backbone_that_does_not(peft):
    factory = EncoderDecoderFactory((32, 32), num_frames=3, coordinates=("time",))
    model = factory.build_model(
        "segmentation", prithvi_small, "FCNDecoder", num_classes=2, necks="auto", peft_config=peft,
        backbone_use_temporal=True, backbone_temporal_pooling="attention",
    )  # fmt: skip
    learning = {name for name, parameter in model.encoder.named_parameters() if parameter.requires_grad}
    assert {name.rpartition("poolings.0.")[2] for name in learning if "poolings.0." in name} == {
        "norm.weight", "norm.bias", "keys.weight", "keys.bias", "date_keys.weight", "queries",
    }  # fmt: skip
    assert all("poolings." in name or "lora" in name for name in learning)
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model.train()
    model(image(2, 6, 3, 32, 32), temporal_coords=DATES).output.square().mean().backward()
    optimizer.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert any("poolings.0.keys.weight" in name for name in changed)
    assert any("poolings.0.date_keys" in name for name in changed)


def prithvi_small(bands: list[str] | None = None) -> nn.Module:
    return prithvi(bands=bands)


def test_without_dates_what_only_they_use_does_not_wait_for_a_gradient():
    factory = EncoderDecoderFactory((32, 32), num_frames=3, coordinates=())
    model = factory.build_model(
        "segmentation", prithvi_small, "FCNDecoder", num_classes=2, necks="auto",
        backbone_use_temporal=True, backbone_temporal_pooling="attention",
    )  # fmt: skip
    model(image(2, 6, 3, 32, 32)).output.sum().backward()
    missing = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert missing == []
    assert not model.encoder.poolings[0].date_keys.weight.requires_grad


def test_attention_is_copied_exported_and_learns_in_all_its_parts():
    def run(module: nn.Module) -> list[Tensor]:
        return module(image(2, 6, 3, 32, 32), DATES)

    for check in (check_gradients, check_copies):
        torch.manual_seed(0)
        check(TemporalBackbone(prithvi(), "attention", n_timestamps=3), run)
    check_export(TemporalBackbone(prithvi(), "attention", n_timestamps=3), (image(2, 6, 3, 32, 32), DATES))


# The options of the group


def option(name: str, **changes: Any) -> Any:
    import yaml

    return instantiate({**yaml.safe_load((CONF / "temporal" / f"{name}.yaml").read_text()), **changes})


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONF / "temporal").glob("*.yaml")))
def test_an_option_of_the_group_temporal_makes_a_model_of_a_time_series(name):
    frames = {"none": 1, "diff": 2}.get(name, 3)
    factory = EncoderDecoderFactory((32, 32), num_frames=frames)
    model = factory.build_model(
        "segmentation", lambda: build_timm("test_resnet", in_chans=3), "FCNDecoder", num_classes=2, necks="auto",
        backbone_kwargs=option(name).backbone_arguments,
    )  # fmt: skip
    series = image(2, 3, 32, 32) if name == "none" else image(2, 3, frames, 32, 32)
    assert model(series).output.shape == (2, 2, 32, 32)
    assert factory.plan is not None
    assert factory.plan.num_frames == frames


def pooled(name: str, frames: int, **changes: Any) -> EncoderDecoderFactory:
    factory = EncoderDecoderFactory((32, 32), num_frames=frames)
    factory.build_model(
        "segmentation", lambda: build_timm("test_resnet", in_chans=3), "FCNDecoder", num_classes=2, necks="auto",
        backbone_kwargs=option(name, **changes).backbone_arguments,
    )  # fmt: skip
    return factory


@pytest.mark.parametrize(
    ("name", "frames", "changes", "said"),
    [
        *(
            (name, 1, {}, "has nothing to pool: images have one frame")
            for name in ("attention", "mean", "max", "concat")
        ),
        ("attention", 1, {"subset_lengths": [1]}, "has nothing to pool: images have one frame"),
        ("attention", 3, {"subset_lengths": [3]}, r"subset_lengths=[3] is one group, whose frames are averaged"),
        ("mean", 3, {"subset_lengths": [3]}, None),
        ("attention", 3, {"subset_lengths": [1, 2]}, None),
        ("attention", 2, {}, None),
        ("max", 2, {}, None),
        ("none", 1, {}, None),
    ],
)
def test_a_pooling_that_has_nothing_to_pool_is_said_once(name, frames, changes, said, caplog):
    with caplog.at_level(logging.WARNING, "geocompose"):
        factory = pooled(name, frames, **changes)
    found = [record.getMessage() for record in caplog.records if "to pool" in record.getMessage()]
    assert factory.plan is not None
    assert found == [warning for warning in factory.plan.warnings if "to pool" in warning]
    assert len(found) == (said is not None)
    assert said is None or (f"temporal={name} " in found[0] and said in found[0])


def test_the_arguments_of_an_option_are_those_of_the_factory():
    assert NoTemporal().backbone_arguments == {}
    assert TemporalPooling("max", [1, 2]).backbone_arguments == {
        "use_temporal": True, "temporal_pooling": "max", "temporal_subset_lengths": [1, 2],
    }  # fmt: skip
    assert option("attention", num_heads=4) == TemporalAttentionPooling(None, 4, 8)


@pytest.mark.parametrize(
    ("name", "frames", "changes", "message"),
    [
        (
            "diff",
            3,
            {},
            r"Pooling diff takes two time steps, .*; got 3. Give two lengths as temporal.subset_lengths, .* \[1, 2\]",
        ),
        (
            "diff",
            1,
            {},
            "Pooling diff takes two time steps, .*; got 1. Write data.num_frames=2 .* or temporal=none",
        ),
        (
            "mean",
            3,
            {"subset_lengths": [1, 1]},
            r"subset_lengths=\[1, 1\] are 2 time steps together, but there are 3 \(data.num_frames",
        ),
    ],
)
def test_an_option_that_does_not_fit_the_frames_of_the_data_is_refused(name, frames, changes, message):
    with pytest.raises(UserError, match=message) as refused:
        pooled(name, frames, **changes)
    assert refused.value.part == "temporal"  # the command line says at which option

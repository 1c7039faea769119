"""The Prithvi encoder by its published definition, and its weights in every layout in which they are published."""

import hashlib
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from geocompose.backbones import prithvi_variants
from geocompose.backbones.encodings import CoordinateEncoding
from geocompose.backbones.prithvi import PrithviViT
from geocompose.backbones.prithvi_variants import VARIANTS, build_prithvi
from geocompose.bands import HLS_BANDS
from geocompose.errors import UserError
from tests.shared import PARITY, needs_parity

SMALL = {"embed_dim": 32, "depth": 3, "num_heads": 4, "img_size": 64}


def small(**changes: object) -> PrithviViT:
    arguments = {"variant": "prithvi_eo_v2_300", **SMALL, **changes}
    return build_prithvi(**arguments).eval()


def image(channels: int = 6, frames: int | None = None, rows: int = 64, columns: int = 64) -> Tensor:
    shape = (2, channels, rows, columns) if frames is None else (2, channels, frames, rows, columns)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


# Sizes


@pytest.mark.parametrize(
    ("variant", "millions"),
    [
        ("prithvi_eo_tiny", 3.55), ("prithvi_eo_v1_100", 86.24), ("prithvi_eo_v2_tiny_tl", 5.63), ("prithvi_eo_v2_100_tl", 86.24),
        ("prithvi_eo_v2_300", 303.89), ("prithvi_eo_v2_300_tl", 303.89), ("prithvi_eo_v2_600", 631.19), ("prithvi_eo_v2_600_tl", 631.19),
    ],
)  # fmt: skip
def test_a_variant_has_the_published_number_of_parameters(variant, millions):
    with torch.device("meta"):
        model = build_prithvi(variant)
    assert round(sum(parameter.numel() for parameter in model.parameters()) / 1e6, 2) == millions
    assert len(model.out_indices) == VARIANTS[variant].depth


def test_every_variant_of_the_table_is_counted():
    assert len(VARIANTS) == 8


def test_parameter_names_are_those_of_published_checkpoints():
    model = small(coords_encoding=["time", "location"], coords_scale_learn=True)
    block = {
        f"{part}.{kind}"
        for part in ("norm1", "norm2", "attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
        for kind in ("weight", "bias")
    }
    expected = {"cls_token", "pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias", "norm.weight", "norm.bias",
                "temporal_embed_enc.scale", "location_embed_enc.scale"}  # fmt: skip
    assert set(model.state_dict()) == expected | {f"blocks.{n}.{name}" for n in range(3) for name in block}
    assert "pos_embed" not in dict(model.named_parameters())
    assert model.norm.eps == model.blocks[0].norm1.eps == 1e-5


# Positions and coordinates


def written_out(dim: int, frames: int, rows: int, columns: int) -> np.ndarray:
    """Return the encoding by its definition, one token and one number at a time in numpy."""

    def one(position: float, width: int) -> list[float]:
        angles = [position / 10000 ** (i / (width / 2)) for i in range(width // 2)]
        return [*np.sin(angles), *np.cos(angles)]

    space, time = dim * 6 // 16, dim * 4 // 16
    table = [[0.0] * dim]
    for t in range(frames):
        for row in range(rows):
            for column in range(columns):
                table.append([*one(column, space), *one(row, space), *one(t, time)])
    return np.array(table)


@pytest.mark.parametrize(("frames", "rows", "columns"), [(1, 4, 4), (3, 2, 5), (2, 6, 3)])
def test_positions_are_three_dimensional_sines_and_cosines(frames, rows, columns):
    model = small(num_frames=frames, img_size=[rows * 16, columns * 16])
    np.testing.assert_allclose(model.pos_embed[0].numpy(), written_out(32, frames, rows, columns), atol=1e-6)


@needs_parity
@pytest.mark.parametrize(
    ("case", "frames", "grid"), [("seg_fcn", 1, 4), ("seg_temporal_coords", 3, 4), ("seg_patch14_out_indices", 1, 8)]
)
def test_the_definition_is_that_of_recorded_models(case, frames, grid):
    recorded = load_file(PARITY / f"{case}.safetensors")
    (name,) = [key for key in recorded if key.endswith("encoder.pos_embed")]
    np.testing.assert_allclose(recorded[name][0].numpy(), written_out(64, frames, grid, grid), atol=1e-5)


def test_another_number_of_frames_has_positions_of_its_own():
    one, three = small(), small(num_frames=3)
    assert torch.equal(one.positions((3, 4, 4)), three.pos_embed)
    assert [feature.shape for feature in one(image(frames=3))] == [(2, 49, 32)] * 3


def test_another_size_interpolates_positions_bicubically_between_aligned_corners():
    model = small()
    wide = model.positions((1, 4, 7))
    maps = model.pos_embed[0, 1:].reshape(4, 4, 32).permute(2, 0, 1).unsqueeze(0)
    expected = torch.nn.functional.interpolate(maps, size=(4, 7), mode="bicubic", align_corners=True)
    assert wide.shape == (1, 29, 32)
    torch.testing.assert_close(wide[0, 1:].reshape(4, 7, 32).permute(2, 0, 1), expected[0])
    corners = wide[0, 1:].reshape(4, 7, 32)[[0, 0, -1, -1], [0, -1, 0, -1]]
    torch.testing.assert_close(corners, maps[0].permute(1, 2, 0)[[0, 0, -1, -1], [0, -1, 0, -1]])
    assert torch.equal(wide[0, 0], torch.zeros(32))
    assert [feature.shape for feature in model(image(rows=32, columns=160))] == [(2, 21, 32)] * 3


def test_coordinates_are_sines_and_cosines_of_named_fields_in_half_the_width_each():
    encoding = CoordinateEncoding(8, learn_scale=False)
    omega = 1 / 10000 ** (np.arange(2) / 2)
    expected = np.concatenate([function(value * omega) for value in (2018.0, 41.0) for function in (np.sin, np.cos)])
    np.testing.assert_allclose(encoding(torch.tensor([[2018.0, 41.0]]))[0].numpy(), expected, atol=1e-6)
    learnt = CoordinateEncoding(8, learn_scale=True)
    torch.testing.assert_close(learnt(torch.tensor([[2018.0, 41.0]])), 0.1 * encoding(torch.tensor([[2018.0, 41.0]])))
    assert isinstance(learnt.scale, torch.nn.Parameter)
    assert not isinstance(encoding.scale, torch.nn.Parameter)


def test_years_stay_apart_under_reduced_precision():
    model = small(coords_encoding=["time"])
    assert model.temporal_embed_enc is not None
    seen: list[Tensor] = []
    model.temporal_embed_enc.register_forward_hook(lambda _, __, encoded: seen.append(encoded))
    dates = torch.tensor([[[2016.0, 0.0]], [[2018.0, 0.0]]])
    model(image(), temporal_coords=dates)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model(image(), temporal_coords=dates)
    assert seen[1].dtype == torch.float32
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1][0], seen[1][1])


def test_time_is_added_to_the_patches_of_its_frame_and_location_to_all():
    model = small(num_frames=2, coords_encoding=["time", "location"])
    model.blocks = torch.nn.ModuleList([torch.nn.Identity() for _ in range(3)])  # what goes into the blocks comes out
    model.select_layers([0])
    plain = model(image(frames=2))[0]
    times = torch.tensor([[[2018.0, 10.0], [2020.0, 200.0]]]).expand(2, -1, -1)
    assert model.temporal_embed_enc is not None
    added = model(image(frames=2), temporal_coords=times)[0] - plain
    encoded = model.temporal_embed_enc(times)
    torch.testing.assert_close(added[:, 1:17], encoded[:, :1].expand(-1, 16, -1), atol=1e-5, rtol=0)
    torch.testing.assert_close(added[:, 17:], encoded[:, 1:].expand(-1, 16, -1), atol=1e-5, rtol=0)
    assert torch.equal(added[:, 0], torch.zeros(2, 32))
    here = model(image(frames=2), location_coords=torch.tensor([[47.0, 8.0], [8.0, 47.0]]))[0] - plain
    torch.testing.assert_close(here[:, 1:], here[:, 1:2].expand(-1, 32, -1), atol=1e-5, rtol=0)
    assert not torch.allclose(here[0, 1], here[1, 1], atol=1e-2)


@pytest.mark.parametrize(
    ("coordinates", "message"),
    [
        ({"location_coords": torch.zeros(2, 2)}, "coords_encoding of this backbone lacks 'location'"),
        (
            {"temporal_coords": torch.zeros(2, 3, 2)},
            r"temporal_coords are \(B, 1, 2\) for 1 frames of tokens; got \(2, 3, 2\)",
        ),
    ],
)
def test_coordinates_that_are_not_encoded_or_misshapen_are_refused(coordinates, message):
    with pytest.raises(UserError, match=message):
        small(coords_encoding=["time"])(image(), **coordinates)
    with pytest.raises(UserError, match="lacks 'time'"):
        small(coords_encoding=[])(image(), temporal_coords=torch.zeros(2, 1, 2))


# Layers and arguments


def test_layers_come_in_the_order_asked_for_and_only_the_last_block_is_normalised():
    model = small()
    everything = model(image())
    model.select_layers([2, -3])
    last, first = model(image())
    assert torch.equal(last, everything[2])
    assert torch.equal(first, everything[0])
    normalised = last.detach()
    np.testing.assert_allclose(normalised.mean(-1).numpy(), 0, atol=1e-5)
    assert not np.allclose(first.detach().mean(-1).numpy(), 0, atol=1e-3)
    assert model.out_channels == [32, 32]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"variant": "prithvi_eo_v2_30"},
            "There is no Prithvi variant 'prithvi_eo_v2_30'. Did you mean 'prithvi_eo_v2_300'",
        ),
        ({"out_indices": [0, 3]}, r"layers 0 to 2, each selectable once; got \[0, 3\]"),
        ({"out_indices": [1, -2]}, "each selectable once"),
        ({"out_indices": []}, "each selectable once"),
        ({"coords_encoding": ["tme"]}, "coords_encoding has no 'tme'. Did you mean 'time'"),
        ({"num_heads": 5}, "embed_dim must be a multiple of num_heads; got 32 and 5"),
        ({"embed_dim": 24, "num_heads": 4}, "multiple of 16"),
        ({"patch_size": [1, 16, 14]}, "square patches"),
        ({"patch_size": [2, 16, 16], "num_frames": 3}, "num_frames must be a multiple of the patch's 2 frames; got 3"),
        ({"bands": ["RED", "GREN"]}, "Unknown band 'GREN'. Did you mean 'GREEN'"),
        ({"bands": ["RED", "B4"]}, "names each band once"),
        ({"bands": []}, "at least one"),
        ({"pretrained": True, "ckpt_path": "a.pt"}, "each name the weights; give one of them"),
        ({"variant": "prithvi_eo_tiny", "pretrained": True}, "prithvi_eo_tiny has no published weights"),
        ({"ckpt_path": "/nowhere/a.pt"}, "There is no weight file at /nowhere/a.pt"),
    ],
)
def test_an_argument_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        small(**changes)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.zeros(1, 5, 64, 64), r"takes 6 bands \(BLUE, .*\); the image has 5"),
        (torch.zeros(1, 6, 60, 64), "no multiples of the patch"),
    ],
)
def test_an_image_that_does_not_fit_is_refused(given, message):
    with pytest.raises(UserError, match=message):
        small()(given)


# Weights


def published(layout: str) -> tuple[PrithviViT, dict[str, Tensor]]:
    """Return a small random model and its weights as the published files lay them out, with a decoder's beside them."""
    torch.manual_seed(5)
    model = small()
    own = model.state_dict()
    if layout == "v1":
        return model, {**own, "decoder_embed.weight": torch.zeros(2), "mask_token": torch.zeros(1)}
    state = {f"encoder.{key}": value for key, value in own.items()}
    state |= {"decoder.mask_token": torch.zeros(1), "decoder.decoder_blocks.0.norm1.weight": torch.zeros(2)}
    return model, {f"_timm_module.{key}": value for key, value in state.items()} if layout == "old" else state


def stored(folder: Path, state: dict[str, Tensor], name: str = "weights.pt") -> Path:
    path = folder / name
    if path.suffix == ".safetensors":
        save_file({key: value.contiguous() for key, value in state.items()}, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("layout", ["v2", "v1", "old"])
def test_each_published_layout_is_loaded_from_the_hub(layout, tmp_path, monkeypatch):
    source, state = published(layout)
    path = stored(tmp_path, state)
    asked = []

    def download(repository: str, file: str) -> Path:
        asked.append(f"{repository}/{file}")
        return path

    monkeypatch.setattr(prithvi_variants, "download", download)
    model = small(pretrained=True)
    assert asked == ["ibm-nasa-geospatial/Prithvi-EO-2.0-300M/Prithvi_EO_V2_300M.pt"]
    assert model.weights == {"source": asked[0], "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    for mine, theirs in zip(model(image()), source(image()), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors", "weights.ckpt"])
def test_a_local_file_is_loaded_and_its_hash_recorded(name, tmp_path):
    source, state = published("v2")
    path = stored(tmp_path, state, name)
    model = small(ckpt_path=str(path))
    assert model.weights == {"source": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert torch.equal(model(image())[-1], source(image())[-1])


def test_a_wrapped_state_dict_is_unwrapped(tmp_path):
    source, state = published("v1")
    path = tmp_path / "wrapped.pt"
    torch.save({"model": state, "epoch": 3}, path)
    assert torch.equal(small(ckpt_path=str(path))(image())[-1], source(image())[-1])


def test_the_model_keeps_positions_of_its_own_size(tmp_path):
    path = stored(tmp_path, published("v2")[1])
    model = small(ckpt_path=str(path), img_size=32, num_frames=2)
    assert torch.equal(model.pos_embed, small(img_size=32, num_frames=2).pos_embed)


def test_weights_of_a_coordinate_encoding_that_is_off_are_dropped_and_missing_ones_start_anew(
    tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr(logging.getLogger("geocompose"), "propagate", True)
    source, state = published("v2")
    with_time = stored(tmp_path, {**state, "encoder.temporal_embed_enc.scale": torch.tensor([0.7])})
    assert torch.equal(small(ckpt_path=str(with_time))(image())[-1], source(image())[-1])
    model = small(ckpt_path=str(with_time), coords_encoding=["time"], coords_scale_learn=True)
    assert model.temporal_embed_enc is not None
    assert model.temporal_embed_enc.scale.item() == pytest.approx(0.7)
    with caplog.at_level(logging.WARNING, "geocompose"):
        small(ckpt_path=str(stored(tmp_path, state)), coords_encoding=["location"], coords_scale_learn=True)
    assert "no location_embed_enc" in caplog.text


def test_bands_take_their_own_slices_in_any_choice_and_order(tmp_path):
    source, state = published("v2")
    chosen = ["SWIR_2", "B2", "NIR_NARROW"]
    model = small(ckpt_path=str(stored(tmp_path, state)), bands=chosen)
    places = [HLS_BANDS.index(name) for name in ("SWIR_2", "BLUE", "NIR_NARROW")]
    assert torch.equal(model.patch_embed.proj.weight, source.patch_embed.proj.weight[:, places])
    whole = torch.zeros(2, 6, 64, 64)
    whole[:, places] = image(3)
    torch.testing.assert_close(model(image(3))[-1], source(whole)[-1], atol=1e-5, rtol=1e-5)


def test_weights_of_other_bands_are_matched_by_the_names_given(tmp_path):
    source, state = published("v2")
    order = ["SWIR_2", "SWIR_1", "NIR_NARROW", "RED", "GREEN", "BLUE"]
    model = small(ckpt_path=str(stored(tmp_path, state)), pretrained_bands=order)
    assert torch.equal(model.patch_embed.proj.weight, source.patch_embed.proj.weight.flip(1))
    with pytest.raises(UserError, match="have 6 input bands, but pretrained_bands names 2"):
        small(ckpt_path=str(tmp_path / "weights.pt"), pretrained_bands=["RED", "GREEN"])


def test_a_band_without_weights_needs_consent_and_is_announced(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("geocompose"), "propagate", True)
    source, state = published("v2")
    path = str(stored(tmp_path, state))
    with pytest.raises(UserError, match=r"have no band NIR_BROAD; .*backbone.allow_random_bands=true"):
        small(ckpt_path=path, bands=["RED", "NIR_BROAD"])
    with caplog.at_level(logging.WARNING, "geocompose"):
        model = small(ckpt_path=path, bands=["NIR_BROAD", "RED"], allow_random_bands=True)
    assert "No pretrained weights for NIR_BROAD" in caplog.text
    weight = model.patch_embed.proj.weight
    assert torch.equal(weight[:, 1], source.patch_embed.proj.weight[:, HLS_BANDS.index("RED")])
    assert all(not torch.equal(weight[:, 0], source.patch_embed.proj.weight[:, band]) for band in range(6))


def test_a_random_backbone_says_so(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("geocompose"), "propagate", True)
    with caplog.at_level(logging.INFO, "geocompose"):
        small()
    assert "prithvi_eo_v2_300 starts from random weights" in caplog.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": 4}, r"not this backbone's: 12 missing \(blocks.3"),
        ({"depth": 2}, r"12 unknown \(blocks.2"),
        ({"embed_dim": 48}, r"of another shape \(blocks.0.attn.proj.bias: \(32,\) in the file, \(48,\) in the model"),
        ({"patch_size": 8}, r"1 of another shape \(patch_embed.proj.weight"),
    ],
)
def test_weights_of_another_model_are_refused(changes, message, tmp_path):
    with pytest.raises(UserError, match=message):
        small(ckpt_path=str(stored(tmp_path, published("v2")[1])), **changes)


def test_a_file_that_holds_no_weights_is_refused(tmp_path):
    broken, foreign = tmp_path / "broken.pt", tmp_path / "foreign.pt"
    broken.write_bytes(b"no weights")
    torch.save([1, 2], foreign)
    with pytest.raises(UserError, match=r"broken.pt can't be read as weights"):
        small(ckpt_path=str(broken))
    with pytest.raises(UserError, match=r"foreign.pt holds no state dict .*, but list"):
        small(ckpt_path=str(foreign))


def test_published_statistics_follow_the_bands():
    assert small(bands=["SWIR_2", "BLUE"]).pretraining_statistics == ([1363.0, 1087.0], [1049.0, 2248.0])
    assert small(variant="prithvi_eo_v1_100", bands=["GREEN"]).pretraining_statistics == ([1081.0], [1270.0])
    assert small(bands=["RED", "VV"]).pretraining_statistics is None

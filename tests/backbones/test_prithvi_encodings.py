"""Prithvi's position and coordinate encodings, by their published definition."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from geocompose.backbones.prithvi.encodings import CoordinateEncoding
from geocompose.errors import UserError
from tests.kit.prithvi_models import image, small
from tests.kit.shared import PARITY, needs_parity


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


NEW_YEAR = [[2018.0, 364.0], [2019.0, 0.0]]
SUMMER = [[2019.0, 180.0], [2019.0, 210.0]]
UNKNOWN = [float("nan"), float("nan")]


def test_a_patch_over_several_frames_gets_the_mean_of_what_their_dates_say():
    model = small(num_frames=4, patch_size=[2, 16, 16], coords_encoding=["time", "location"])
    assert [spec.num_frames for spec in model.feature_specs] == [2, 2, 2]
    dates = torch.tensor([NEW_YEAR + SUMMER, [NEW_YEAR[0], UNKNOWN, UNKNOWN, UNKNOWN]])
    _, plain = model.embed(image(frames=4))
    _, dated = model.embed(image(frames=4), dates)
    assert model.temporal_embed_enc is not None
    encoded = model.temporal_embed_enc(dates)
    added = (dated - plain).unflatten(1, (2, 16))
    expected = torch.stack([encoded[0, :2].mean(0), encoded[0, 2:].mean(0), encoded[1, 0], torch.zeros(32)])
    torch.testing.assert_close(added[..., 0, :].flatten(0, 1), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(added, added[..., :1, :].expand_as(added), atol=1e-5, rtol=0)


def test_a_patch_of_one_frame_gets_what_its_date_says_to_the_bit():
    model = small(num_frames=2, coords_encoding=["time"])
    assert model.temporal_embed_enc is not None
    dates = torch.tensor([NEW_YEAR, SUMMER])
    _, plain = model.embed(image(frames=2))
    _, dated = model.embed(image(frames=2), dates)
    assert torch.equal(dated, plain + model.temporal_embed_enc(dates).repeat_interleave(16, dim=1))


@pytest.mark.parametrize("given", [2, 3])
def test_a_patch_over_several_frames_takes_a_date_for_each_of_them(given):
    model = small(num_frames=4, patch_size=[2, 16, 16], coords_encoding=["time"])
    with pytest.raises(UserError, match=r"\(B, 4, 2\) for 2 frames of tokens, each of which covers 2 frames"):
        model(image(frames=4), temporal_coords=torch.zeros(2, given, 2))


@pytest.mark.parametrize(
    ("coordinates", "message"),
    [
        ({"location_coords": torch.zeros(2, 2)}, "coords_encoding of this backbone lacks 'location'"),
        (
            {"temporal_coords": torch.zeros(2, 3, 2)},
            r"temporal_coords must be \(B, 1, 2\) for 1 frames of tokens; got \(2, 3, 2\)",
        ),
    ],
)
def test_coordinates_that_are_not_encoded_or_misshapen_are_refused(coordinates, message):
    with pytest.raises(UserError, match=message):
        small(coords_encoding=["time"])(image(), **coordinates)
    with pytest.raises(UserError, match="lacks 'time'"):
        small(coords_encoding=[])(image(), temporal_coords=torch.zeros(2, 1, 2))

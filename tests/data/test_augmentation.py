"""Flips, quarter turns and turns of training samples: the eight views, and the draws of recorded runs."""

import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from geocompose.data.augmentation import VIEWS, View, augmentation, views_of
from geocompose.data.sources import GeoTiffSegmentation
from geocompose.errors import UserError
from tests.kit.data_rasters import arguments

IMAGE = torch.arange(2 * 25, dtype=torch.float32).reshape(2, 5, 5)
MASK = torch.arange(25).reshape(5, 5)


def test_the_views_are_the_eight_of_a_square():
    seen = {tuple(view.of(MASK).flatten().tolist()) for view in VIEWS}
    assert len(seen) == 8
    assert [View.numbered(view.number) for view in VIEWS] == list(VIEWS)
    for view in VIEWS:
        flips = [dim for dim, wanted in ((-1, view.mirrored), (-2, view.flipped)) if wanted]
        expected = torch.rot90(MASK.flip(flips), int(view.turned), (-2, -1))
        assert torch.equal(view.of(MASK), expected), view
        assert torch.equal(view.of(IMAGE)[0], view.of(IMAGE[0]))
        assert view.of(IMAGE).is_contiguous()


@pytest.mark.parametrize(("dihedral", "rotation_deg"), [(True, 0.0), (False, 30.0), (True, 30.0)])
def test_the_draws_are_those_of_torchvisions_transforms(dihedral, rotation_deg):
    """Recorded runs were augmented by these transforms: the same seed has to give the same samples."""
    steps = []
    if dihedral:
        steps += [v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()]
        steps += [v2.RandomApply([v2.RandomRotation((90, 90))], p=0.5)]
    if rotation_deg:
        fill = {tv_tensors.Image: 0, tv_tensors.Mask: -1}
        steps.append(v2.RandomRotation(rotation_deg, interpolation=v2.InterpolationMode.BILINEAR, fill=fill))
    theirs = v2.Compose(steps)
    ours = augmentation(dihedral=dihedral, rotation_deg=rotation_deg, no_label=-1)
    seen = set()
    for seed in range(40):
        torch.manual_seed(seed)
        image, mask = theirs(tv_tensors.Image(IMAGE), tv_tensors.Mask(MASK))
        torch.manual_seed(seed)
        view = ours.draw_view()
        own_image, own_mask = ours.turn(view.of(IMAGE), view.of(MASK))
        assert torch.equal(own_image, image)
        assert torch.equal(own_mask, mask)
        seen.add(tuple(own_mask.flatten().tolist()))
    assert len(seen) > 6


@pytest.mark.parametrize(
    ("dihedral", "steps"),
    [
        ("flips", [v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()]),
        ("horizontal", [v2.RandomHorizontalFlip()]),
        ("vertical", [v2.RandomVerticalFlip()]),
    ],
)
def test_flips_alone_are_torchvisions_too_and_their_views_are_all_that_is_drawn(dihedral, steps):
    theirs, ours = v2.Compose(steps), augmentation(dihedral=dihedral, rotation_deg=0.0, no_label=-1)
    drawn = set()
    for seed in range(40):
        torch.manual_seed(seed)
        expected = theirs(tv_tensors.Mask(MASK))
        torch.manual_seed(seed)
        view = ours.draw_view()
        assert torch.equal(view.of(MASK), expected)
        drawn.add(view)
    assert drawn == set(views_of(dihedral))
    assert len(drawn) == 2 ** len(steps)


def test_every_view_or_the_image_as_it_is():
    assert views_of(True) == VIEWS
    assert views_of(False) == VIEWS[:1]


def test_no_change_is_none():
    assert augmentation(dihedral=False, rotation_deg=0.0, no_label=-1) is None


@pytest.mark.parametrize("other", ["flip", "true", 1, ["flips"]])
def test_a_change_that_there_is_not_is_refused_in_python_too(other, tmp_path):
    with pytest.raises(UserError, match=r"must be true or false, or one of flips, horizontal, vertical; got"):
        GeoTiffSegmentation(**arguments(tmp_path, dihedral=other))

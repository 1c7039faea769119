"""How a training sample is changed at random: flips and quarter turns, which move pixels, and turns by any angle."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from geocompose.data.loading import DIHEDRAL, Dihedral


@dataclass(frozen=True)
class View:
    """One of the eight ways to lay a square on itself: mirrored, turned upside down, then turned by a quarter.

    mirrored: left and right change places. flipped: top and bottom do. turned: then a quarter turn counterclockwise.
    """

    mirrored: bool = False
    flipped: bool = False
    turned: bool = False

    @property
    def number(self) -> int:
        """Its number from 0, the image as it is, to 7."""
        return self.mirrored + 2 * self.flipped + 4 * self.turned

    @classmethod
    def numbered(cls, number: int) -> "View":
        """Return the view of a number from 0 to 7."""
        return cls(bool(number & 1), bool(number & 2), bool(number & 4))

    def of(self, pixels: Tensor) -> Tensor:
        """Return pixels (..., side, side) in this view, contiguous; the tensor itself for the image as it is."""
        # A quarter turn mirrors and then transposes, so that one flip serves for all three.
        flips = [dim for dim, wanted in ((-1, self.mirrored != self.turned), (-2, self.flipped)) if wanted]
        changed = pixels.flip(flips) if flips else pixels
        return changed.transpose(-2, -1).contiguous() if self.turned else changed

    def of_plane(self, plane: np.ndarray) -> np.ndarray:
        """Return an array (side, side) in this view: the same numbers seen otherwise, or a copy of them."""
        if self.turned:
            plane = _spread(plane)
        if self.mirrored != self.turned:
            plane = plane[:, ::-1]
        if self.flipped:
            plane = plane[::-1]
        return plane.T if self.turned else plane


def _spread(plane: np.ndarray) -> np.ndarray:
    """Return a copy whose columns are quick to read.

    Where the bytes of a row are a power of two, all pixels of a column fall into the same few places of the processor's
    cache, and drive each other out; rows that are 64 bytes further apart don't.
    """
    rows, columns = plane.shape
    spread = np.empty((rows, columns + 64 // plane.itemsize), plane.dtype)[:, :columns]
    np.copyto(spread, plane)
    return spread


AS_IT_IS = View()
VIEWS = tuple(View.numbered(number) for number in range(8))


def views_of(dihedral: Dihedral) -> tuple[View, ...]:
    """Return the views that a sample may be drawn in, in the order of their numbers."""
    changes = DIHEDRAL[dihedral]
    return tuple(
        view
        for view in VIEWS
        if all(may or not does for may, does in zip(changes, (view.mirrored, view.flipped, view.turned), strict=True))
    )


@dataclass(frozen=True)
class Augmentation:
    """The random change of a square sample.

    dihedral: one of its views (`views_of`), all equally likely. rotation_deg: then a turn by an angle between minus and
    plus this. The image is interpolated, the mask takes the nearest pixel's label; corners that come in are 0, the
    mean, and `no_label`.
    """

    dihedral: Dihedral
    rotation_deg: float
    no_label: float

    def draw_view(self, generator: torch.Generator | None = None) -> View:
        """Draw the flips and quarter turns; `turn` draws the rest after it. generator: None is torch's global one."""
        drawn = torch.float32  # not torch's default type, which half precision changes
        mirrored, flipped, turned = (
            may and bool(torch.rand(1, generator=generator, dtype=drawn) < 0.5) for may in DIHEDRAL[self.dihedral]
        )
        if turned and self.rotation_deg:
            torch.rand(
                1, generator=generator, dtype=drawn
            )  # recorded runs drew the quarter's angle here, and `turn` draws after it
        return View(mirrored, flipped, turned)

    def turn(
        self, image: Tensor, mask: Tensor | None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return an image, and its mask where it has one, turned by a random angle within `rotation_deg`."""
        if not self.rotation_deg:
            return image, mask
        fill = {tv_tensors.Image: 0, tv_tensors.Mask: self.no_label}  # images are normalised: 0 is the mean
        turn = v2.RandomRotation(self.rotation_deg, interpolation=v2.InterpolationMode.BILINEAR, fill=fill)
        # Drawn as torchvision does, which knows the global generator alone.
        angle = {"angle": torch.empty(1, dtype=torch.float32).uniform_(*turn.degrees, generator=generator).item()}
        image = turn.transform(tv_tensors.Image(image), angle).as_subclass(Tensor).contiguous()
        if mask is None:
            return image, None
        return image, turn.transform(tv_tensors.Mask(mask), angle).as_subclass(Tensor).contiguous()


def augmentation(*, dihedral: Dihedral, rotation_deg: float, no_label: float) -> Augmentation | None:
    """Return the random change of training samples, or None for none: see `Augmentation`."""
    return Augmentation(dihedral, rotation_deg, no_label) if dihedral or rotation_deg else None

"""A hash of an image's pixels, made while they are read for something else."""

import hashlib

import numpy as np


class PixelHash:
    """The hash of an image whose windows are added in one order; what is not valid does not count."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._shows = False

    def add(self, image: np.ndarray, valid: np.ndarray) -> None:
        """Take in the image of a window, float32 (bands, ..., height, width). valid: bool (height, width)."""
        self._shows = self._shows or bool(valid.any())
        self._hash.update(repr(image.shape).encode())
        whole = valid.all()
        self._hash.update(np.ascontiguousarray(image if whole else np.where(valid, image, np.float32(0))).data)
        if not whole:
            self._hash.update(np.packbits(valid).data)

    @property
    def digest(self) -> bytes | None:
        """The hash; None where no pixel is valid."""
        return self._hash.digest() if self._shows else None

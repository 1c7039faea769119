"""Hashes of an image's pixels, made while they are read for something else."""

import hashlib

import numpy as np


class PixelHash:
    """The hashes of an image whose windows are added in one order: of what is valid, and of all that is stored.

    Either shows a copy: one whose pixels without data hold other numbers, and one that declares other pixels as such.
    """

    def __init__(self) -> None:
        self._valid = hashlib.blake2b(digest_size=16)
        # Where all is valid both are the same, and one is made.
        self._stored: hashlib.blake2b | None = None
        self._shows = False

    def add(self, image: np.ndarray, valid: np.ndarray) -> None:
        """Take in the image of a window, float32 (bands, ..., height, width). valid: bool (height, width)."""
        self._shows = self._shows or bool(valid.any())
        whole = valid.all()
        if not whole and self._stored is None:
            self._stored = self._valid.copy()
        shape = repr(image.shape).encode()
        for each in (self._valid, self._stored):
            if each is not None:
                each.update(shape)
        if self._stored is not None:
            self._stored.update(np.ascontiguousarray(image).data)
        shown = image if whole else np.where(valid, image, np.float32(0))
        self._valid.update(np.ascontiguousarray(shown).data)
        if not whole:
            self._valid.update(np.packbits(valid).data)

    @property
    def digests(self) -> tuple[bytes, ...]:
        """The hashes, each once; none where no pixel is valid."""
        if not self._shows:
            return ()
        return (self._valid.digest(), *([] if self._stored is None else [self._stored.digest()]))

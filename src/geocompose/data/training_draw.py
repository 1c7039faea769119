"""Which training samples are drawn, and how likely each is."""

from collections.abc import Callable

import numpy as np

from geocompose.data.census import Census, Sampling, sampling_weights


class TrainingDraw:
    """The training samples that are kept, and the weights by which they are drawn.

    min_valid: leave out samples of which a smaller share of pixels counts; 0 keeps all.
    look: reads what each training sample holds. It reads every pixel of the split, so it is called once, and only
        where something asks for it.

    Attributes: `sampling`, how samples are drawn (None: each once per epoch).
    """

    def __init__(self, min_valid: float, look: Callable[[], Census]) -> None:
        self.sampling: Sampling | None = None
        self._min_valid = min_valid
        self._look = look
        self._census: Census | None = None

    @property
    def census(self) -> Census:
        """What each training sample holds; read when it is first asked for."""
        if self._census is None:
            self._census = self._look()
        return self._census

    def kept(self, num_tiles: int) -> np.ndarray:
        """Return the numbers of the samples that are trained on, of `num_tiles`.

        Raises:
            UserError: `min_valid` keeps none.
        """
        return self.census.kept(self._min_valid) if self._min_valid else np.arange(num_tiles)

    def num_left_out(self, num_tiles: int) -> int | None:
        """Return how many samples `min_valid` leaves out; None where it leaves out none or nobody looked yet."""
        if not self._min_valid or self._census is None:
            return None
        return num_tiles - len(self.kept(num_tiles))

    def weights(self, num_tiles: int) -> np.ndarray | None:
        """Return how likely each kept sample is drawn, with sum 1; None where each is drawn once per epoch."""
        if self.sampling is None:
            return None
        return sampling_weights(self.sampling, self.census.of(self.kept(num_tiles)))

"""Checkpoints on disk: written whole or not at all, with the one before kept until the new one is safe."""

import logging
import os
import pickle
from pathlib import Path
from typing import IO, Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from geocompose.backbones.foreign.adapters import LORA, factors
from geocompose.errors import UserError, in_one_line
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.models.frozen_weights import PREFIX, FrozenWeights, put_back
from geocompose.runs.atomic import RefusedError, explained, write_through
from geocompose.runs.folder import LAST, PREVIOUS

log = logging.getLogger("geocompose")

# What torch and the archive below it raise for a file that is cut short, overwritten or not a checkpoint.
UNREADABLE = (RuntimeError, EOFError, OSError, pickle.UnpicklingError, KeyError, ValueError)


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside its place, has it on the disk, and only then lets it take the place.

    The last checkpoint's predecessor is kept as well, and is loaded where the last one can't be read.
    """

    def __init__(self, model: EncoderDecoderModel | None = None, *, keep_frozen: bool = False) -> None:
        """Take the model whose frozen weights stay out of checkpoints.

        model: None where nothing is left out. keep_frozen: frozen weights stay in.
        """
        super().__init__()
        self._model = model
        self._frozen = FrozenWeights({}) if model is None or keep_frozen else FrozenWeights.of(model)

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Replace the checkpoint at `path`; after any failure or kill, the earlier one or the new one stands whole.

        Raises:
            UserError: the disk refuses.
        """
        place = Path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        keep = place.with_name(PREVIOUS) if place.name == LAST else None
        short = self._frozen.left_out(checkpoint)
        told = {} if self._model is None else factors(self._model, PREFIX)
        if told:
            short[LORA] = told  # so that the file alone is a start for another run
        write_through(place, lambda file: _save(short, file), keep=keep)

    def load_checkpoint(
        self, path: str | os.PathLike[str], map_location: Any = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Return a checkpoint, on the CPU; that of before where the last one can't be read.

        Raises:
            UserError: none can be read.
        """
        place = Path(path)
        content = self._load(place)
        return content if self._model is None else put_back(content, self._model, place)

    def _load(self, place: Path) -> dict[str, Any]:
        try:
            return _load(place)
        except UNREADABLE as error:
            earlier = place.with_name(PREVIOUS)
            if place.name != LAST or not earlier.is_file():
                if isinstance(error, RefusedError):
                    raise  # the file may be whole: it is not to be computed anew
                raise UserError(_unreadable(place, error)) from error
            log.warning("%s can't be read (%s); the run goes on from %s.", place, in_one_line(error), earlier)
        try:
            return _load(earlier)
        except UNREADABLE as error:
            raise UserError(_unreadable(earlier, error)) from error


class _Noted:
    """A file that remembers what the system refused: torch's own message hides it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.refused: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.refused = error
            raise

    def flush(self) -> None:
        self._file.flush()


def _save(checkpoint: dict[str, Any], file: IO[bytes]) -> None:
    noted = _Noted(file)
    try:
        torch.save(checkpoint, noted)  # type: ignore[arg-type]
    except Exception:
        if noted.refused is not None:
            raise noted.refused from None
        raise


def _load(path: Path) -> dict[str, Any]:
    with explained(path, "read"):
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return content


def _unreadable(path: Path, error: BaseException) -> str:
    return f"{path} can't be read ({in_one_line(error)}). Run the same command with rerun=true to compute the run anew."

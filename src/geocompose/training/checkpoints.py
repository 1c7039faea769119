"""Checkpoints that survive the move of a run's folder."""

from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import ModelCheckpoint

from geocompose.errors import UserError
from geocompose.inference.checkpoint import PUT_BACK


class MovableCheckpoint(ModelCheckpoint):
    """Lightning's, except that the best score is kept when an interrupted run is resumed in another place.

    Lightning forgets it then, and the next epoch, however bad, becomes the best.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the state, with its paths in this run's folder.

        Raises:
            UserError: the best checkpoint is gone.
        """
        here = Path(str(self.dirpath))

        def moved(path: str) -> str:
            return str(here / Path(path).name) if path else path

        best = state_dict["best_model_path"]
        if self.monitor is not None and best and not Path(moved(best)).is_file():
            raise UserError(f"{moved(best)} is missing: of the epochs so far, it is the best. {PUT_BACK}")
        paths = ("best_model_path", "kth_best_model_path", "last_model_path")
        super().load_state_dict(
            {
                **state_dict,
                "dirpath": self.dirpath,
                "best_k_models": {moved(path): score for path, score in state_dict["best_k_models"].items()},
                **{name: moved(state_dict[name]) for name in paths},
            }
        )

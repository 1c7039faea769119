"""A run's best checkpoint, read without executing anything: the file that was recorded, whole, with finite weights."""

import pickle
from pathlib import Path
from typing import Any

import torch

from geocompose.errors import UserError, in_one_line
from geocompose.runs.fingerprint import hash_file

PUT_BACK = "Put it back, or compute the run again with rerun=true."


def read_best(path: Path, sha256: str | None = None) -> dict[str, Any]:
    """Return what a checkpoint holds, on the CPU; its weights are under `state_dict`.

    sha256: what the run recorded of the file; None where an earlier version recorded none.

    Raises:
        UserError: it can't be read, is another file than the recorded one, or holds NaN or infinite weights.
    """
    if sha256 is not None and hash_file(path) != sha256:
        raise UserError(f"{path} is not the file that the run recorded: its sha256 differs. {PUT_BACK}")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        state = content["state_dict"]
        spoilt = [name for name, value in state.items() if not torch.isfinite(value).all()]
    except (
        *(RuntimeError, EOFError, OSError, LookupError, TypeError, ValueError, AttributeError),
        pickle.UnpicklingError,
    ) as error:
        raise UserError(f"{path} is damaged ({in_one_line(error)}). {PUT_BACK}") from error
    if spoilt:
        raise UserError(
            f"{path} holds NaN or infinite weights ({spoilt[0]}): the training diverged, or the file is damaged. Lower "
            "optimizer.lr, or put the file back."
        )
    return content

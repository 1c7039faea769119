"""Random numbers of a training step that depend on the run's seed and the step alone."""

import random
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback


class StepSeed(Callback):
    """Seeds dropout and the like anew for each step, so that a resumed run draws what an undisturbed one would."""

    def __init__(self, seed: int, rank: int = 0) -> None:
        """Take the run's seed. rank: of the process; each one drops out other features."""
        self.seed = seed
        self.rank = rank

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed all generators for this step."""
        step = [self.seed, trainer.current_epoch, batch_idx, *([self.rank] if self.rank else [])]
        words = np.random.SeedSequence(step).generate_state(1)
        value = int(words[0])
        random.seed(value)
        np.random.seed(value)  # noqa: NPY002 - for libraries that still draw from numpy's global state
        torch.manual_seed(value)

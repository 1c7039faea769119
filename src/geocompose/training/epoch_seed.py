"""Random numbers of an epoch that depend on the run's seed and the epoch alone."""

import random

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback


class EpochSeed(Callback):
    """Seeds dropout and the like anew for each epoch, so that a resumed run draws what an undisturbed one would."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Seed all generators for this epoch."""
        words = np.random.SeedSequence([self.seed, trainer.current_epoch]).generate_state(1)
        value = int(words[0])
        random.seed(value)
        np.random.seed(value)  # noqa: NPY002 - for libraries that still draw from numpy's global state
        torch.manual_seed(value)

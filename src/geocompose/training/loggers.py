"""Where metrics go beside metrics.csv."""

from pathlib import Path

from lightning.pytorch.loggers import Logger, TensorBoardLogger


def tensorboard(folder: Path) -> list[Logger]:
    """Return a TensorBoard logger into the run's folder."""
    return [TensorBoardLogger(save_dir=folder, name="", version="tensorboard")]


def csv_only(folder: Path) -> list[Logger]:
    """Return no logger: metrics.csv is always written."""
    return []

"""Lightning's loggers, so that a run which is resumed goes on in the same place, and with our pictures."""

import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import MLFlowLogger, TensorBoardLogger, WandbLogger

TRACKING_URI = "MLFLOW_TRACKING_URI"
_LOCK = ".geocompose.lock"


class TensorBoardRun(TensorBoardLogger):
    """TensorBoard's files, with a line in its table of hyperparameters."""

    def log_hyperparams(
        self,
        params: dict[str, Any] | Namespace,
        metrics: dict[str, Any] | None = None,
        step: int | None = None,
    ) -> None:
        """Write the line; metrics: the names of those beside it, whose values come as they are logged."""
        from torch.utils.tensorboard.summary import hparams

        values = {key: "null" if value is None else value for key, value in dict(params).items()}
        writer = self.experiment._get_file_writer()
        for summary in hparams(values, metrics or {}):
            writer.add_summary(summary)

    def pictures(self, files: Sequence[Path], step: int) -> None:
        """Show pictures."""
        from matplotlib.image import imread

        for file in files:
            self.experiment.add_image(f"figures/{file.stem}", imread(file)[:, :, :3], step, dataformats="HWC")


class MlflowRun(MLFlowLogger):
    """A run of MLflow, whose experiment is made once however many processes begin at the same time."""

    def __init__(self, **arguments: Any) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        uri = str(arguments["tracking_uri"])
        if uri.startswith("file:"):
            # Since 3.13 MLflow wants to be told that a store of files is meant. It needs no database package, and
            # processes on several machines can write it at once.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        super().__init__(**arguments)
        if uri.startswith("file:"):
            self._make_experiment(Path(uri.removeprefix("file://").removeprefix("file:")), arguments["experiment_name"])

    def _make_experiment(self, store: Path, name: str) -> None:
        from filelock import FileLock

        store.mkdir(parents=True, exist_ok=True)
        with FileLock(store / _LOCK):
            if self._mlflow_client.get_experiment_by_name(name) is None:
                self._mlflow_client.create_experiment(name)

    @property
    def experiment(self) -> Any:
        """MLflow's client."""
        # Lightning's sets a variable of the whole process: a sweep's next run would take it for the user's.
        before = os.environ.get(TRACKING_URI)
        client = super().experiment
        if before is None:
            os.environ.pop(TRACKING_URI, None)
        else:
            os.environ[TRACKING_URI] = before
        return client

    @property
    def save_dir(self) -> str | None:
        """The folder of a store of files; None of another store."""
        return None if super().save_dir is None else str(super().save_dir).removeprefix("//")

    def pictures(self, files: Sequence[Path], step: int) -> None:
        """Keep pictures among the run's artifacts."""
        for file in files:
            self.experiment.log_artifact(self.run_id, str(file), "figures")


class WandbRun(WandbLogger):
    """A run of Weights & Biases that ends with ours: a sweep's next one begins its own."""

    def pictures(self, files: Sequence[Path], step: int) -> None:
        """Show pictures."""
        for file in files:
            self.log_image(f"figures/{file.stem}", [str(file)], step)

    def finalize(self, status: str) -> None:
        """End the run."""
        super().finalize(status)
        self.experiment.finish(exit_code=0 if status == "success" else 1)


def name_of(logger: object) -> str:
    """Return under which name a record keeps what it knows of a logger."""
    named: Mapping[type, str] = {TensorBoardRun: "tensorboard", MlflowRun: "mlflow", WandbRun: "wandb"}
    return named.get(type(logger), type(logger).__name__)

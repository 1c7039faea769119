"""The images of the tiles that a report shows, from the data of the run that it shows."""

import logging
from collections.abc import Sequence

import numpy as np

from geocompose.actions.data_to_score import data_to_score, open_as_trained
from geocompose.errors import UserError, in_one_line
from geocompose.experiment import Experiment
from geocompose.imagery.samples import Target
from geocompose.runs import load_rules, open_run
from geocompose.studies.reading import Run

log = logging.getLogger("geocompose")


def tile_images(
    experiment: Experiment, run: Run, split: str, tiles: Sequence[int], trust: Sequence[str] | None
) -> tuple[dict[int, np.ndarray], str]:
    """Return the images (3, H, W) in 0 ... 1 of tiles by their numbers in a split, and why there are none.

    A report stands without them: where the data isn't here, or a run's files can't be trusted, the page says so.
    """
    try:
        return _images(experiment, run, split, tiles, trust), ""
    except (UserError, OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
        log.warning("The report shows no images: %s", in_one_line(error))
        return {}, f"no images: {in_one_line(error)}"


def _images(
    experiment: Experiment, run: Run, split: str, tiles: Sequence[int], trust: Sequence[str] | None
) -> dict[int, np.ndarray]:
    recorded = open_run(
        run.folder.path,
        load_rules(experiment.conf_dir),
        experiment.trust(None if trust is None else list(trust)),
        checkpoint=False,
    )
    chosen, source, _ = data_to_score(experiment, recorded.config, recorded.record, None)
    from geocompose.inference.shown_images import shown_images  # torch

    target = Target.from_record(recorded.record.data.get("target"))
    data = open_as_trained(chosen, source, recorded.record.data, target, split)
    return dict(zip(tiles, shown_images(data, split, tiles), strict=True))

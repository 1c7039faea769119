"""Necks that a configuration leaves to its libraries: settled by trying the composition in shapes alone."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from geocompose.errors import UserError, first_line
from geocompose.from_config import trial_model
from geocompose.imagery.bands import HLS_BANDS
from geocompose.imagery.samples import Inputs
from geocompose.migration.model.backbone import CHANNELS_FIRST
from geocompose.migration.translation import MODEL_ARGS, Translation
from geocompose.migration.trying.composition import composed, target_of
from geocompose.trial import Trial

# What makes levels of four maps of one scale.
_PYRAMID: dict[str, Any] = {"name": "LearnedInterpolateToPyramidal"}
_RESHAPE = "ReshapeTokensToImage"


@contextmanager
def in_terms_of_the_file(to: Translation) -> Iterator[None]:
    """Have an error about a part name it as the configuration does: no option of it was chosen on the command line."""
    try:
        yield
    except UserError as error:
        part, error.part = error.part, None
        given = to.ledger.get((*MODEL_ARGS, str(part)))
        if isinstance(given, str) and given not in str(error):
            raise UserError(f"model_args.{part}={given}: {error}") from error
        raise


def settled_trial(to: Translation, conf_dir: Path, study: str) -> Trial:
    """Return the composition in shapes alone; its necks are settled where the configuration's don't do.

    Raises:
        UserError: the parts don't fit together.
    """
    written, values = to.choices["neck"], deepcopy(to.values.get("neck", {}))
    try:
        return _with_necks(to, conf_dir, study)
    except UserError as error:
        if kept := _without_class_token(to):
            try:
                trial = _with_necks(to, conf_dir, study)
                to.ledger.remark(kept)
                return trial
            except UserError as later:
                # Of the two, what is wrong with the necks as TerraTorch takes them.
                error = error if _RESHAPE in first_line(later).partition(":")[0] else later
        to.choose("neck", written)
        to.values["neck"] = values
        raise error from None  # of what the configuration says


def likely_bands(to: Translation) -> list[str]:
    """Return the model's bands, or those that it would most likely get where nothing names them."""
    return list(to.bands or HLS_BANDS)


def _without_class_token(to: Translation) -> str | None:
    """Let the tokens' reshaping take none off, as TerraTorch does after a first attempt; return what is said of it.

    None: there is no such neck, or TerraTorch would not try again, as where `h` is given.
    """
    necks = to.values.get("neck", {}).get("necks") or []
    again = [neck for neck in necks if isinstance(neck, dict) and neck.get("name") == _RESHAPE and not neck.get("h")]
    if not any(neck.get("remove_cls_token", True) for neck in again):
        return None
    changed = [{**neck, "remove_cls_token": False} if neck in again else neck for neck in necks]
    to.set("neck.necks", changed)
    return (
        f"neck.necks: {_RESHAPE} gets remove_cls_token: false. This backbone gives no class token; TerraTorch, too, "
        "tries again without taking one off."
    )


def _with_necks(to: Translation, conf_dir: Path, study: str) -> Trial:
    """Return the composition in shapes alone; with further necks where the decoder can't do without them.

    Raises:
        UserError: the parts don't fit together.
    """
    try:
        return _tried(to, composed(to, conf_dir, study))
    except UserError as error:
        written, values = to.choices["neck"], dict(to.values.get("neck", {}))
        for added in [None] if written == "none" else [_PYRAMID, CHANNELS_FIRST]:
            if added is None:
                to.choose("neck", "auto")
            else:
                to.set("neck.necks", [*values["necks"], added])
            try:
                trial = _tried(to, composed(to, conf_dir, study))
            except UserError:
                continue
            settled = "neck=auto plans necks" if added is None else f"{added['name']} is added to neck.necks"
            to.ledger.remark(
                f"The decoder can't do with the features that the configuration gives it ({first_line(error)}), which "
                f"TerraTorch does not check before it trains: {settled}.",
                changes_model=True,
            )
            return trial
        to.choose("neck", written)
        to.values["neck"] = values
        raise  # of what the configuration says


def _tried(to: Translation, config: Mapping[str, Any]) -> Trial:
    assert to.tile_px is not None
    bands = tuple(likely_bands(to))
    target = target_of(to, config, bands)
    return trial_model(config, inputs=Inputs(bands, to.tile_px, to.num_frames), target=target)

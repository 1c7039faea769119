"""What the weights that a Prithvi starts from have seen: published ones, your own, or a run's. Needs no torch."""

from collections.abc import Mapping

from geocompose.catalog.prithvi import Variant, pretraining_of
from geocompose.errors import UserError
from geocompose.imagery.bands import HLS_BANDS, canonical
from geocompose.imagery.pretraining import Pretraining, of_own_file
from geocompose.runs.pretrained import seen_by_file


def bands_of_weights(pretrained_bands: list[str] | None, ckpt_path: str | None) -> list[str] | None:
    """Return the input bands of the weights: those that their run or a description recorded, else the stated ones.

    Raises:
        UserError: other bands are stated than were recorded.
    """
    seen = None if ckpt_path is None else seen_by_file(ckpt_path)
    if seen is None:
        return pretrained_bands
    recorded = seen.names
    stated = None if pretrained_bands is None else list(map(canonical, pretrained_bands))
    if stated is not None and stated not in (list(HLS_BANDS), list(map(canonical, recorded))):
        raise UserError(
            f"backbone.pretrained_bands={pretrained_bands}, but the run of backbone.ckpt_path={ckpt_path}, or the "
            f"description beside that file, has recorded {recorded}. Leave backbone.pretrained_bands out."
        )
    return recorded


def seen_by_weights(
    variant: str,
    row: Variant,
    of_weights: list[str],
    ckpt_path: str | None,
    stated: Mapping[str, object] | None,
) -> Pretraining:
    """Return what the weights have seen. of_weights: their bands. stated: `backbone.pretrained_on`.

    Raises:
        UserError: a statement that can't be, or of weights of which it is recorded.
    """
    published = pretraining_of(row, of_weights)
    if ckpt_path is None:
        return published
    seen = seen_by_file(ckpt_path, stated)
    return of_own_file(stated, published, variant) if seen is None else seen

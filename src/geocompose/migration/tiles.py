"""The size of the tiles that images are cut into, which TerraTorch's configurations name somewhere or nowhere."""

from typing import Any

from geocompose.errors import at_least
from geocompose.imagery.samples import PIXEL_WISE
from geocompose.migration.translation import MODEL, MODEL_ARGS, Translation

_TILED = (*MODEL, "tiled_inference_parameters")
_USUAL_PX = 224
_ANOTHER = "action.tile_px sets another size"


def settle_tiles(to: Translation, given: int | None) -> None:
    """Set the size of tiles: the one given, else that of crops, tiled inference or the backbone's images, or 224.

    Raises:
        UserError: the given size is below 1.
    """
    if given is not None:
        at_least("action.tile_px", given, 1)
    inference = to.ledger.get(_TILED, {}).get("h_crop")
    inference = inference if isinstance(inference, int) and inference == _crop(to, "w_crop") else None
    of_model = to.ledger.get((*MODEL_ARGS, "backbone_img_size"))
    every = "images of every split are cut into such tiles" if to.kind in PIXEL_WISE else "images are fitted to it"
    whole = "images are cut into such tiles for training, too" if to.kind in PIXEL_WISE else "images are fitted to it"
    sources = (
        (given, ""),
        (to.tile_px, f"the size in the transforms of the file: {every}"),
        (inference, f"the size of tiled inference: {whole}; TerraTorch trains on whole ones ({_ANOTHER})"),
        (of_model if isinstance(of_model, int) else None, f"backbone_img_size: {whole} ({_ANOTHER})"),
        (_USUAL_PX, f"as no size was found in the file: {whole}; TerraTorch takes whole ones ({_ANOTHER})"),
    )
    to.tile_px, said = next((px, said) for px, said in sources if px)
    if said:
        to.ledger.remark(f"data.tile_px={to.tile_px}, {said}.")
    to.set("data.tile_px", to.tile_px)
    _tiled_inference(to)


def _tiled_inference(to: Translation) -> None:
    for side in ("h", "w"):
        crop, stride = _crop(to, f"{side}_crop"), _crop(to, f"{side}_stride")
        if crop == to.tile_px:
            to.ledger.carried((*_TILED, f"{side}_crop"), "data.tile_px")
        else:
            to.ledger.lost((*_TILED, f"{side}_crop"), f"tiles are squares of data.tile_px={to.tile_px}")
        overlap = f", here action.overlap_px={crop - stride}" if _are_whole(crop, stride) else ""
        to.ledger.lost((*_TILED, f"{side}_stride"), f"action=predict takes the overlap of windows{overlap}")


def _crop(to: Translation, key: str) -> Any:
    return to.ledger.get((*_TILED, key))


def _are_whole(*values: object) -> bool:
    return all(isinstance(value, int) and not isinstance(value, bool) for value in values)

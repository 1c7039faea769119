"""The size of the tiles that images are cut into, which TerraTorch's configurations name somewhere or nowhere."""

from geocompose.errors import at_least
from geocompose.imagery.samples import PIXEL_WISE
from geocompose.migration.translation import MODEL, MODEL_ARGS, Translation

_TILED = (*MODEL, "tiled_inference_parameters")
_SIDES = ("h", "w")
_OTHERS = {
    "batch_size": "action=predict has action.batch_size",
    "delta": "windows are joined by weights that fall off towards their borders",
    "average_patches": "windows are joined where they overlap",
    "blend_overlaps": "windows are joined where they overlap",
    "padding": "images smaller than a window are padded",
    "verbose": "only the display",
}
_USUAL_PX = 224
_ANOTHER = "action.tile_px sets another size"


def settle_tiles(to: Translation, given: int | None) -> None:
    """Set the size of tiles: the one given, else that of crops, tiled inference or the backbone's images, or 224.

    Raises:
        UserError: the given size is below 1.
    """
    if given is not None:
        at_least("action.tile_px", given, 1)
    high, wide = (_size(to, side, "crop") for side in _SIDES)
    inference = high if high == wide else None
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
    """Say what becomes of the windows of tiled inference: of one side, or of both at once."""
    for side in _SIDES:
        crop, stride = _size(to, side, "crop"), _size(to, side, "stride")
        for key in ("crop", f"{side}_crop"):
            if crop == to.tile_px:
                to.ledger.carried((*_TILED, key), "data.tile_px")
            else:
                to.ledger.lost((*_TILED, key), f"tiles are squares of data.tile_px={to.tile_px}")
        overlap = f", here action.overlap_px={crop - stride}" if crop is not None and stride is not None else ""
        for key in ("stride", f"{side}_stride"):
            to.ledger.lost((*_TILED, key), f"action=predict takes the overlap of windows{overlap}")
    for key, why in _OTHERS.items():
        to.ledger.needless((*_TILED, key), why)


def _size(to: Translation, side: str, what: str) -> int | None:
    """Return the crop or the stride of a side (`h` or `w`), which may be given for both."""
    for key in (f"{side}_{what}", what):
        if (value := to.ledger.get((*_TILED, key))) is not None:
            return int(value)
    return None

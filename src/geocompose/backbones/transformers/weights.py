"""Pretrained weights of transformers, from the hub or a folder, for the model's own bands."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from torch import Tensor, nn

from geocompose.backbones.foreign.band_choice import BandChoice
from geocompose.backbones.foreign.files import download, sha256
from geocompose.backbones.foreign.probe import reason, shell
from geocompose.backbones.foreign.weights import RGB, fill, input_layers, of_photographs
from geocompose.backbones.transformers.config import Definition
from geocompose.catalog.optional import imported
from geocompose.errors import UserError, shortened
from geocompose.imagery.bands import canonical
from geocompose.imagery.pretraining import Pretraining

PREPROCESSING = "preprocessor_config.json"


def load_pretrained(
    model: nn.Module,
    made_of: Definition,
    name: str,
    image_size: tuple[int, int] | None,
    levels: list[int],
    choice: BandChoice,
    idle: set[str],
) -> dict[str, str]:
    """Fill a backbone with the weights of `name`; return their source and sha256.

    image_size: that the model was made for, where it is not the weights' own. levels: those it returns. idle: names of
    parameters that may start randomly, since no feature depends on them.

    Raises:
        UserError: the weights can't be downloaded or read, or don't cover the model.
    """
    config = made_of.config(image_size=image_size, levels=levels)
    loader: Any = made_of.backbone_class
    try:
        with torch.random.fork_rng(devices=[]), torch.device("cpu"), _quiet():
            theirs, said = loader.from_pretrained(
                name, config=config, dtype=torch.float32, ignore_mismatched_sizes=True, output_loading_info=True
            )
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"The weights of {name} can't be loaded into transformers' {made_of.model_type}: {reason(error)}"
        ) from error
    if said["mismatched_keys"]:
        key, there, here = sorted(said["mismatched_keys"])[0]
        others = f" and {len(said['mismatched_keys']) - 1} more" if len(said["mismatched_keys"]) > 1 else ""
        raise UserError(
            f"The weights of {name} are of another shape than the model: {key} {tuple(there)} instead of "
            f"{tuple(here)}{others}. Leave out what changes it: backbone.kwargs, or a backbone.img_size (data.tile_px) "
            f"other than {_size_of(made_of)}."
        )
    fresh = model.state_dict()
    # The norms of features, which weights of classifiers lack, all start with the same scale and shift: that is not
    # random.
    random = sorted(key for key in set(said["missing_keys"]) - idle if not _is_constant(fresh[key]))
    if random:
        raise UserError(
            f"backbone.pretrained=true: the weights of {name} have no values for {shortened(random, 6)}. "
            "Use backbone.pretrained=false, or other weights."
        )
    state = theirs.state_dict()
    more = shell(partial(made_of.create, made_of.channels + 1, image_size, levels))
    fill(model, state, input_layers(state, more), choice, name)
    return _origin(name, made_of)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from reporting what our own messages say."""
    logging = imported("transformers", "transformers.utils.logging")
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _size_of(made_of: Definition) -> str:
    size = made_of.image_size
    return f"{size[0]}x{size[1]}" if size else "its own"


def _is_constant(start: Tensor) -> bool:
    return start.numel() > 1 and bool((start == start.flatten()[0]).all())


def _origin(name: str, made_of: Definition) -> dict[str, str]:
    """Return where weights come from, and the sha256 of their file; of several files, that of their joined sha256s."""
    folder = made_of.folder
    assert folder is not None
    local = Path(name).is_dir()
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    assert files, folder
    digests = [sha256(file) for file in files]
    digest = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    return {"source": name if local else f"{name}@{folder.name}", "sha256": digest}


def pretraining_of(name: str, pretrained_bands: list[str], *, read: bool) -> Pretraining:
    """Return what the weights of `name` have seen: photographs, where their bands are red, green and blue.

    read: whether mean and standard deviation are looked up in the file beside them, where there is one.
    """
    bands = tuple(map(canonical, pretrained_bands))
    if bands != RGB:
        return Pretraining(bands)
    said = _preprocessing(name) if read else {}
    if not said.get("do_normalize", True) or "image_mean" not in said or "image_std" not in said:
        return Pretraining(RGB, "uint8")
    scale = said.get("rescale_factor", 1 / 255) if said.get("do_rescale", True) else 1
    return of_photographs(said["image_mean"], said["image_std"], 1 / scale)


def _preprocessing(name: str) -> dict[str, Any]:
    if Path(name).is_dir():
        file = Path(name) / PREPROCESSING
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    try:
        return json.loads(download(name, PREPROCESSING).read_text(encoding="utf-8"))
    except UserError as error:
        cause = error.__cause__
        # A repository without that file states nothing. Without a network it isn't known whether it has one.
        if not isinstance(cause, EntryNotFoundError) or isinstance(cause, LocalEntryNotFoundError):
            raise
        return {}

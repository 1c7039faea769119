"""A bundle as the start of another run: `backbone.ckpt_path=BUNDLE` is its backbone, adapters merged, as plain ones."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from geocompose.errors import UserError, quiet
from geocompose.inference.bundle_weights import whole_state
from geocompose.inference.plain_model import method_of, plain_model
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.program import conf_dir
from geocompose.runs import RecordedRun, Trust, load_rules, open_run
from geocompose.runs.atomic import explained, write_through
from geocompose.runs.bundle import Bundle, is_bundle, read_bundle
from geocompose.runs.fingerprint import cache_folder

log = logging.getLogger("geocompose")

_PART = "encoder"

Load = Callable[[RecordedRun], EncoderDecoderModel]


def with_plain_files(backbone: Mapping[str, Any], load: Load) -> dict[str, Any]:
    """Return a backbone's configuration in which each bundle that it starts from is a file of plain weights.

    The file is written into the cache folder, once; its name has the bundle's sha256. load: see
    `geocompose.inference.trained.load_trained`.

    Raises:
        UserError: the bundle is damaged, its base isn't here, or what it has learned can't be merged into its backbone.
    """
    return {
        name: with_plain_files(value, load)
        if isinstance(value, Mapping)
        else str(_plain_file(read_bundle(value), load))
        if name == "ckpt_path" and value is not None and is_bundle(value)
        else value
        for name, value in backbone.items()
    }


def _plain_file(bundle: Bundle, load: Load) -> Path:
    """Return the file with the plain weights of a bundle's backbone."""
    folder = cache_folder() / "bundles"
    path = folder / f"{bundle.path.resolve().name}-{bundle.sha256}.safetensors"
    if not path.is_file():
        state = _backbone(bundle, load)
        content = save({name: value.detach().clone().contiguous() for name, value in state.items()}, {"format": "pt"})
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_through(path, lambda file: file.write(content))
    method = "" if bundle.manifest.adapter is None else f", its {bundle.manifest.adapter.method} merged,"
    log.info("backbone.ckpt_path=%s is a bundle: its backbone%s is the start (%s).", bundle.path, method, path)
    return path


def _backbone(bundle: Bundle, load: Load) -> dict[str, Tensor]:
    """Return the tensors of a bundle's backbone, as a plain one has them.

    Raises:
        UserError: see `with_plain_files`.
    """
    if bundle.manifest.base is None and bundle.manifest.adapter is None:  # nothing of it has to be built
        return {name.removeprefix(f"{_PART}."): value for name, value in whole_state(bundle, _PART).items()}
    conf = conf_dir()
    try:
        with quiet():
            run = open_run(bundle.path, load_rules(conf), Trust((conf,)))
            encoder = plain_model(load(run), method_of(run)).encoder
    except UserError as error:
        error.add_note(
            f"{bundle.path} is the start of this run. action=export action.run={bundle.path} action.format=merged, "
            "with action.base or action.trust where it asks for them, writes one that needs no base"
        )
        raise
    return encoder.state_dict()

"""A model's parts compiled by torch.compile: each by itself, under the names that their weights have anyway."""

import os
import shutil
from collections.abc import Callable, Iterator

from torch import nn

from geocompose.errors import UserError
from geocompose.models.encoder_decoder import EncoderDecoderModel

_COMPILERS = ("c++", "g++", "clang++", "cl")


def check_compiler() -> None:
    """Refuse to compile without a compiler.

    Raises:
        UserError: says where it was looked for.
    """
    own = os.environ.get("CXX")
    if not any(shutil.which(name) for name in ([own] if own else _COMPILERS)):
        looked = f"CXX={own}" if own else ", ".join(_COMPILERS)
        raise UserError(
            f"trainer.compile=true needs a C++ compiler, and none is found ({looked}). Install one, such as g++, name "
            "it in the environment variable CXX, or leave trainer.compile=false."
        )


def compile_parts(model: EncoderDecoderModel, backend: str | Callable[..., object] = "inductor") -> None:
    """Let encoder, necks, decoder, head and auxiliary heads be compiled when each is first called.

    They are compiled for the sizes that come: whole batches, the last of an epoch and those that are scored, all in the
    first epoch. Names of weights stay, and so do checkpoints. What torch.compile can't take runs as it is, between two
    graphs. Nothing is compiled for the meta device: a model is tried there before. backend: of torch.compile.
    """
    for part in _parts(model):
        # `Module.compile` replaces the call and not the module, which would get `_orig_mod.` into the weights' names.
        part.compile(backend=backend, dynamic=False)


def _parts(model: EncoderDecoderModel) -> Iterator[nn.Module]:
    yield from (model.encoder, model.neck, model.decoder)
    if not isinstance(model.head, nn.Identity):
        yield model.head
    yield from model.aux_heads.values()

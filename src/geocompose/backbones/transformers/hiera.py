"""Hiera as a backbone of transformers puts its features at wrong places: fixed here.

Hiera computes on tokens in the order of nested windows, and lays its features out as maps from that order.
`HieraModel` sorts the tokens so beforehand; `HieraBackbone` (seen in transformers 5.23) does not, and its maps are
scrambled.
"""

import importlib
import inspect
from functools import partial
from typing import Any

from torch import nn


def sort_tokens_first(model: nn.Module) -> None:
    """Let a `HieraBackbone` sort its tokens into nested windows, unless its own code does so."""
    if "unroll(" in inspect.getsource(type(model).forward):
        return
    config: Any = model.config
    schedule = [list(config.query_stride)] * (len(config.depths) - 1)
    encoder: Any = model.encoder
    encoder.register_forward_pre_hook(
        partial(_sorted_tokens, list(config.image_size), list(config.patch_stride), schedule)
    )


def _sorted_tokens(
    image_size: list[int], patch_stride: list[int], schedule: list[list[int]], _: nn.Module, given: tuple[Any, ...]
) -> tuple[Any, ...]:
    hiera = importlib.import_module("transformers.models.hiera.modeling_hiera")
    tokens, *others = given
    return hiera.unroll(tokens, image_size, patch_stride, schedule), *others

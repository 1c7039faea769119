"""Learned prompts: tokens of each block's own, which stand after the class token while that block runs.

Source: Visual Prompt Tuning, deep variant (arXiv 2203.12119).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from geocompose.errors import UserError, at_least


def random_prompts(
    vpt: bool, n_tokens: int | None, dropout: float, *, depth: int, embed_dim: int, patch_px: int
) -> nn.ParameterList | None:
    """Return random prompts (1, n_tokens, embed_dim) per block, spread as in the paper; None without VPT.

    Raises:
        UserError: VPT without a number of prompts, or the reverse.
    """
    if not vpt:
        if n_tokens is not None or dropout:
            given = f"vpt_n_tokens={n_tokens}" if n_tokens is not None else f"vpt_dropout={dropout}"
            raise UserError(f"{given} counts only with vpt=true; write vpt=true, or leave it out.")
        return None
    if n_tokens is None:
        raise UserError("vpt=true needs vpt_n_tokens, the number of prompts per block, such as vpt_n_tokens=10.")
    at_least("vpt_n_tokens", n_tokens, 1)
    # Xavier's bound for a patch of three channels, whatever the bands, as the paper's code has it.
    bound = math.sqrt(6 / (3 * patch_px**2 + embed_dim))
    return nn.ParameterList(nn.init.uniform_(torch.empty(1, n_tokens, embed_dim), -bound, bound) for _ in range(depth))


def run_with_prompts(block: Callable[[Tensor], Tensor], tokens: Tensor, prompts: Tensor) -> Tensor:
    """Return a block's output for tokens (B, 1 + patches, C), class token first, without those of the prompts.

    prompts: (B, n, C).
    """
    prompts = prompts.to(tokens.dtype)
    tokens = block(torch.cat([tokens[:, :1], prompts, tokens[:, 1:]], dim=1))
    return torch.cat([tokens[:, :1], tokens[:, 1 + prompts.shape[1] :]], dim=1)

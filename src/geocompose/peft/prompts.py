"""Visual prompt tuning: learned tokens beside those of the image, for every backbone with one sequence of tokens.

Source: arXiv 2203.12119; 100 prompts with a dropout of 0.1 as in arXiv 2504.17397.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn

from geocompose.catalog.peft_refusals import Backbone, refusal
from geocompose.contracts.backbone import contract_of
from geocompose.contracts.probing import backbone_specs
from geocompose.errors import FOREIGN_ERRORS, UserError, at_least, first_line
from geocompose.peft.blocks import Blocks, blocks_of, single_backbones, without_numbers
from geocompose.peft.prompted import DROPOUT, PROMPTS, Carried, Prompted
from geocompose.peft.share import say_share

_INSTEAD = "Use peft=lora, or a backbone that is a plain vision transformer, such as backbone=vit or backbone=prithvi."


@dataclass(frozen=True)
class VisualPrompts:
    """Learned tokens stand before those of the image while the backbone's blocks run, and are taken off again.

    The backbone itself does not learn. Its features have as many tokens as without prompts.

    deep: each block has prompts of its own; else those before the first block go on through all others. num_prompts:
    of each. dropout: share of the prompts' numbers that is dropped in training.
    """

    deep: bool = True
    num_prompts: int = 100
    dropout: float = 0.1

    freezes = True
    keeps_outputs_at_start = False
    mergeable = False

    @property
    def name(self) -> str:
        """The option's name."""
        return "vpt_deep" if self.deep else "vpt_shallow"

    def adapt(self, backbone: nn.Module) -> nn.Module:
        """Return the backbone, whose blocks have prompts.

        Raises:
            UserError: a number out of range, or a backbone without one sequence of tokens.
        """
        at_least("peft.num_prompts", self.num_prompts, 1)
        if not 0 <= self.dropout < 1:
            raise UserError(f"peft.dropout must be a share from 0 to below 1; got {self.dropout}.")
        learning: list[nn.Parameter] = []
        count = 0
        for _, single in single_backbones(backbone):
            blocks = blocks_of(single)
            self._check(single, blocks)
            learning += self._put_in(single, blocks)
            count += len(blocks.names)
            self._try(single)
        before = f"before each of {count} blocks" if self.deep else "before the first block"
        say_share(self.name, f"{self.num_prompts} prompts {before}", learning, backbone)
        return backbone

    def _check(self, backbone: nn.Module, blocks: Blocks) -> None:
        name = type(backbone).__name__
        if getattr(backbone, "vpt_prompt_embeddings", None) is not None:
            raise UserError(
                f"peft={self.name} with backbone.vpt=true would be prompts twice. Write backbone.vpt=false."
            )
        if any(hasattr(part, PROMPTS) for part in backbone.modules()):
            raise UserError(f"The backbone {name} has prompts already. Give one without, or leave peft as none.")
        kind = _unlike_a_sequence(blocks)
        if kind is not None:
            raise UserError(refusal(self.name, name, kind, _INSTEAD))

    def _put_in(self, backbone: nn.Module, blocks: Blocks) -> list[nn.Parameter]:
        carried = None if self.deep else Carried()
        prompts = []
        for number, block_name in enumerate(blocks.names):
            block = backbone.get_submodule(block_name)
            if self.deep or number == 0:
                prompts.append(self._given(block, backbone, blocks))
            block.forward = Prompted(block, self.num_prompts, number, carried)
            for part in block.modules():
                before = getattr(part, "num_prefix_tokens", None)
                if isinstance(before, int):  # rotary positions are for the tokens after so many
                    setattr(part, "num_prefix_tokens", before + self.num_prompts)  # noqa: B010
        return prompts

    def _given(self, block: nn.Module, backbone: nn.Module, blocks: Blocks) -> nn.Parameter:
        """Give a block random prompts, spread as in the paper: Xavier's bound for a patch of three channels."""
        shape = blocks.calls[blocks.names[0]].given
        assert shape is not None
        width, like = shape[-1], next(block.parameters())
        bound = math.sqrt(6 / (3 * _patch_px(backbone) ** 2 + width))
        prompts = nn.Parameter(
            torch.empty(1, self.num_prompts, width, device=like.device, dtype=like.dtype).uniform_(-bound, bound)
        )
        block.register_parameter(PROMPTS, prompts)
        block.add_module(DROPOUT, nn.Dropout(self.dropout))
        block.adapter_layer_names = (*getattr(block, "adapter_layer_names", ()), PROMPTS, DROPOUT)  # type: ignore[assignment]
        return prompts

    def _try(self, backbone: nn.Module) -> None:
        """Run the backbone without numbers.

        Raises:
            UserError: it can't take more tokens than an image has.
        """
        try:
            without_numbers(backbone)
        except FOREIGN_ERRORS as error:
            told = f"It stopped with: {first_line(error)}. {_INSTEAD}"
            raise UserError(refusal(self.name, type(backbone).__name__, "counted tokens", told)) from error


def _unlike_a_sequence(blocks: Blocks) -> Backbone | None:
    """Return why blocks don't take one sequence of tokens (B, N, C), the same for all; None where they do."""
    shapes = {shape for name in blocks.names for shape in (blocks.calls[name].given, blocks.calls[name].returned)}
    if not shapes:
        return "no blocks"
    if any(shape is None or len(shape) != 3 for shape in shapes):
        return "maps"
    return "several sequences" if len(shapes) > 1 else None


def _patch_px(backbone: nn.Module) -> int:
    contract = contract_of(backbone)
    if contract.patch_size is not None:
        return contract.patch_size
    return int(backbone_specs(backbone, contract.own_size)[0].stride)

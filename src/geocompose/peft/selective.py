"""Methods that add nothing to a backbone and train a few of its own parameters: biases, norms, the last blocks."""

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from geocompose.catalog.peft_refusals import refusal
from geocompose.errors import UserError, at_least, counted, shortened
from geocompose.models.freezing import CHOSEN, Chosen
from geocompose.peft.blocks import Blocks, blocks_of, single_backbones
from geocompose.peft.layers import is_norm
from geocompose.peft.library import adapted, refuse_adapted
from geocompose.peft.share import say_share


@dataclass(frozen=True)
class BitFit:
    """The biases of the backbone learn and nothing else of it. Source: BitFit, arXiv 2106.10199.

    Those of norms are among them; statistics of batch norms stand still.
    """

    freezes = True
    keeps_outputs_at_start = True
    mergeable = True

    def adapt(self, backbone: nn.Module) -> nn.Module:
        """Return the backbone, which notes what goes on learning when it is frozen.

        Raises:
            UserError: it has no bias that could learn.
        """
        refuse_adapted(backbone)
        names = [name for name, parameter in _learning(backbone) if name.rpartition(".")[2].endswith("bias")]
        if not names:
            instead = "Use peft=norm_tuning, peft=lora or peft=frozen."
            raise UserError(refusal("bitfit", type(backbone).__name__, "no biases", instead))
        return _chosen(backbone, "bitfit", Chosen(tuple(names)), counted(len(names), "bias", "biases"))


@dataclass(frozen=True)
class NormTuning:
    """Scales and shifts of all normalisation layers learn, by PEFT's LN_TUNING. Source: arXiv 2312.11420.

    Statistics of batch norms stand still. All kinds of normalisation that have parameters are meant: layer, group,
    batch and response norms.
    """

    freezes = True
    keeps_outputs_at_start = True
    mergeable = True

    def adapt(self, backbone: nn.Module) -> nn.Module:
        """Return the backbone within PEFT's model, in which copies of the norms learn.

        Raises:
            UserError: it has no norm with parameters.
        """
        refuse_adapted(backbone)
        names = [name for name, module in backbone.named_modules() if is_norm(module) and _has_learning(module)]
        if not names:
            instead = "Use peft=bitfit, peft=lora or peft=frozen."
            raise UserError(refusal("norm_tuning", type(backbone).__name__, "no norms", instead))
        with warnings.catch_warnings():
            # PEFT doesn't know how wide a norm is, and doesn't need to.
            warnings.filterwarnings("ignore", "Unsupported layer type", UserWarning)
            # One expression: of a list PEFT takes each as an ending, and `norm` is one of many names.
            return adapted(backbone, "LN_TUNING", {"target_modules": "|".join(map(re.escape, names))})


@dataclass(frozen=True)
class LastKBlocks:
    """The last `k` blocks of the backbone learn as in full fine-tuning, and what comes after them, such as a last norm.

    Blocks are those of a transformer or the residual ones of a convolutional network, whatever stage they are in (see
    `geocompose.peft.blocks`); what leads from one block to the next, such as a downsampling, goes with the later one.
    The rest is frozen and in evaluation mode. Of backbones side by side, each has its own last blocks.
    """

    k: int = 2

    freezes = True
    keeps_outputs_at_start = True
    mergeable = True

    def adapt(self, backbone: nn.Module) -> nn.Module:
        """Return the backbone, which notes what goes on learning when it is frozen.

        Raises:
            UserError: it has no blocks, or fewer.
        """
        at_least("peft.k", self.k, 1)
        refuse_adapted(backbone)
        names: list[str] = []
        trains: list[str] = []
        last: list[str] = []
        for start, single in single_backbones(backbone):
            blocks = blocks_of(single)
            self._check(blocks, single)
            first = len(blocks.names) - self.k + 1
            own = [name for name, _ in _learning(single) if blocks.layer_of(name) >= first]
            names += [start + name for name in own]
            last += [start + name for name in blocks.names[-self.k :]]
            owners = dict.fromkeys(name.rpartition(".")[0] for name in own)
            trains += last + [
                start + owner
                for owner in owners
                if not any(f"{owner}.".startswith(f"{block}.") for block in blocks.names)
            ]
        beside = [name for name in dict.fromkeys(trains) if name not in last]
        what = f"the last {counted(self.k, 'block')} ({shortened(last, 4)})"
        if beside:
            what += f" and what is beside or after them ({shortened(beside, 4)})"
        return _chosen(backbone, "last_k_blocks", Chosen(tuple(names), tuple(dict.fromkeys(trains))), what)

    def _check(self, blocks: Blocks, backbone: nn.Module) -> None:
        count, name = len(blocks.names), type(backbone).__name__
        if not count:
            raise UserError(refusal("last_k_blocks", name, "no blocks", "Use peft=none or peft=frozen."))
        if self.k > count:
            raise UserError(
                f"peft.k={self.k} is more than {name} has: its features need {counted(count, 'block')} "
                f"({shortened(blocks.names, 4)}). Use peft.k={count} or less; peft=none trains all of it."
            )


def _has_learning(module: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())


def _learning(backbone: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield the parameters that the features depend on: what the composition never uses doesn't learn already."""
    return ((name, parameter) for name, parameter in backbone.named_parameters() if parameter.requires_grad)


def _chosen(backbone: nn.Module, method: str, chosen: Chosen, what: str) -> nn.Module:
    setattr(backbone, CHOSEN, chosen)
    say_share(method, what, [backbone.get_parameter(name) for name in chosen.parameters], backbone)
    return backbone

"""Linear probing, then fine-tuning: the backbone is frozen at first and learns at a lower rate afterwards."""

from dataclasses import dataclass

from torch import nn

from geocompose.catalog.peft_refusals import refusal
from geocompose.errors import UserError
from geocompose.models.freezing import THAWS, Thaw
from geocompose.peft.library import refuse_adapted


@dataclass(frozen=True)
class LpFt:
    """Frozen for the first epochs, then all of the model learns at a fraction of the rate.

    A head that starts randomly would pull the backbone away from its weights in the first steps; it is trained first.
    head_share: share of the epochs (trainer.max_epochs) in which the backbone is frozen, its statistics included.
    factor: what every learning rate is multiplied by afterwards, whatever the schedule.
    Source: arXiv 2202.10054; the numbers are OlmoEarth's (arXiv 2511.13655).
    """

    head_share: float = 0.2
    factor: float = 0.1

    freezes = True
    keeps_outputs_at_start = True
    mergeable = True

    def adapt(self, backbone: nn.Module) -> nn.Module:
        """Return the backbone, which notes what of it learns when it is thawed.

        Raises:
            UserError: a number is out of range, or nothing of the backbone could learn.
        """
        if not 0 < self.head_share < 1:
            raise UserError(f"peft.head_share must be between 0 and 1, such as 0.2; got {self.head_share}.")
        if not 0 < self.factor <= 1:
            raise UserError(f"peft.factor must be above 0 and at most 1, such as 0.1; got {self.factor}.")
        refuse_adapted(backbone)
        names = tuple(name for name, parameter in backbone.named_parameters() if parameter.requires_grad)
        if not names:
            raise UserError(refusal("lp_ft", type(backbone).__name__, "no parameters", "Use peft=none."))
        setattr(backbone, THAWS, Thaw(names, self.head_share, self.factor))
        return backbone

"""What an optimizer gets: the parameters that learn, with learning rates by part where they are asked for."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from geocompose.errors import UserError, choices, nearest

# How experimenters call the parts of a model, and its attributes.
PARTS = {"backbone": "encoder", "neck": "neck", "decoder": "decoder", "head": "head", "auxiliary": "aux_heads"}


def parameter_groups(model: nn.Module, lr_by_part: Mapping[str, float] | None) -> list[dict[str, Any]]:
    """Return an optimizer's groups of the parameters that learn: first all parts of the optimizer's own rate, if any.

    lr_by_part: absolute rates by part; each makes a group that has the part's `name`.

    Raises:
        UserError: an unknown part, a rate below 0, or a part in which nothing learns.
    """
    groups: list[dict[str, Any]] = []
    taken: set[int] = set()
    for part, lr in (lr_by_part or {}).items():
        if part not in PARTS:
            raise UserError(f"task.lr_by_part has no part {part!r}. {choices(_meant(part), PARTS)}")
        if isinstance(lr, bool) or not isinstance(lr, int | float) or not 0 <= lr < float("inf"):
            raise UserError(f"task.lr_by_part.{part} must be a rate of 0 or more; got {lr}.")
        own = [parameter for parameter in getattr(model, PARTS[part]).parameters() if parameter.requires_grad]
        if not own:
            raise UserError(
                f"task.lr_by_part.{part}={lr} would change nothing: the {part} has no parameter that learns. Leave it "
                "out, or free the part (task.freeze_*, peft)."
            )
        groups.append({"params": own, "lr": float(lr), "name": part})
        taken |= {id(parameter) for parameter in own}
    others = [parameter for parameter in model.parameters() if parameter.requires_grad and id(parameter) not in taken]
    return [{"params": others}, *groups] if others else groups


def _meant(part: str) -> str:
    """Return an experimenter's word for what may be a model's attribute, misspelt perhaps; else what was given."""
    words = {attribute: word for word, attribute in PARTS.items()}
    near = nearest(part, [*PARTS, *words])
    return part if near is None else words.get(near, part)

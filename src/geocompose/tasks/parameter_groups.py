"""What an optimizer gets: the parameters that learn, with rates by part, and by depth, where they are asked for."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from geocompose.errors import UserError, choices, nearest
from geocompose.models.freezing import ever_learns
from geocompose.tasks.layer_decay import DEPTH, groups_by_depth

# How experimenters call the parts of a model, and its attributes.
PARTS = {"backbone": "encoder", "neck": "neck", "decoder": "decoder", "head": "head", "auxiliary": "aux_heads"}


def parameter_groups(
    model: nn.Module,
    lr_by_part: Mapping[str, float] | None,
    layer_decay: float | None = None,
    rate: float | None = None,
) -> list[dict[str, Any]]:
    """Return an optimizer's groups of the parameters that learn: first all parts of the optimizer's own rate, if any.

    What learns later in a run (`geocompose.models.freezing.Thaw`) is among them: without a gradient an optimizer leaves
    it alone.

    lr_by_part: absolute rates by part; each makes a group that has the part's `name`. layer_decay: by which factor the
    backbone's rate falls with each layer (`geocompose.tasks.layer_decay`); null: it does not. rate: the optimizer's
    own, from which it falls where lr_by_part names none for the backbone.

    Raises:
        UserError: an unknown part, a rate below 0, a part in which nothing learns, or a decay that can't be.
    """
    encoder: nn.Module = model.encoder  # type: ignore[assignment]
    groups: list[dict[str, Any]] = []
    taken: set[int] = set()
    learns = ever_learns(encoder)

    def learning(module: nn.Module) -> list[nn.Parameter]:
        return [each for each in module.parameters() if each.requires_grad or id(each) in learns]

    for part, lr in (lr_by_part or {}).items():
        if part not in PARTS:
            raise UserError(f"task.lr_by_part has no part {part!r}. {choices(_meant(part), PARTS)}")
        if isinstance(lr, bool) or not isinstance(lr, int | float) or not 0 <= lr < float("inf"):
            raise UserError(f"task.lr_by_part.{part} must be a rate of 0 or more; got {lr}.")
        own = learning(getattr(model, PARTS[part]))
        if not own:
            raise UserError(
                f"task.lr_by_part.{part}={lr} would change nothing: the {part} has no parameter that learns. Leave it "
                "out, or free the part (task.freeze_*, peft)."
            )
        if part == "backbone" and layer_decay is not None:
            for group in groups_by_depth(encoder, own, layer_decay, float(lr)):
                groups.append(group if DEPTH in group else {**group, "name": part})
        else:
            groups.append({"params": own, "lr": float(lr), "name": part})
        taken |= {id(parameter) for parameter in own}
    if layer_decay is not None and "backbone" not in (lr_by_part or {}):
        fallen = [group for group in groups_by_depth(encoder, learning(encoder), layer_decay, rate) if DEPTH in group]
        groups += fallen
        taken |= {id(parameter) for group in fallen for parameter in group["params"]}
    others = [parameter for parameter in learning(model) if id(parameter) not in taken]
    return [{"params": others}, *groups] if others else groups


def _meant(part: str) -> str:
    """Return an experimenter's word for what may be a model's attribute, misspelt perhaps; else what was given."""
    words = {attribute: word for word, attribute in PARTS.items()}
    near = nearest(part, [*PARTS, *words])
    return part if near is None else words.get(near, part)

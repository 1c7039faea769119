"""LoRA and its variants: low-rank matrices beside a backbone's layers."""

from dataclasses import dataclass, field

from torch import nn

from geocompose.errors import UserError, at_least
from geocompose.peft.chosen import check_kwargs, chosen_layers
from geocompose.peft.library import adapted, keeps_outputs_at_start, refuse_adapted

_OWN_KEYS = {"r": "r", "lora_alpha": "alpha", "lora_dropout": "dropout", "target_modules": "target_modules"}


@dataclass(frozen=True)
class Lora:
    """Low-rank matrices beside the layers of the backbone, which itself does not learn. Source: arXiv 2106.09685.

    r, alpha: rank, and the factor alpha / r of what is added. dropout: of what the added matrices are given.
    roles: which layers are adapted, such as [query, value, mlp]: see `geocompose.peft.roles`; or target_modules: the
    last parts of the names of the modules. Where both are null, those that follow from the family: queries, values and
    feed-forward layers of transformers after fused ones were split, convolutions of others.
    replace_qkv: with target_modules, the name of fused layers to split into q_linear, k_linear and v_linear.
    kwargs: further arguments of PEFT's LoraConfig: {use_dora: true} is DoRA (arXiv 2402.09353), {use_rslora: true}
    scales by alpha / sqrt(r) (arXiv 2312.03732).
    """

    r: int = 16
    alpha: int = 16
    dropout: float = 0.0
    roles: list[str] | None = None
    target_modules: list[str] | None = None
    replace_qkv: str | None = None
    kwargs: dict[str, object] = field(default_factory=dict)

    freezes = True
    mergeable = True

    @property
    def keeps_outputs_at_start(self) -> bool:
        """Whether the adapted backbone returns what it did before, until something is learned."""
        return keeps_outputs_at_start("LORA", self.kwargs)

    def adapt(self, backbone: nn.Module) -> nn.Module:
        """Return the backbone within PEFT's model.

        Raises:
            UserError: numbers out of range, targets that are not there, or an argument that LoraConfig doesn't have.
        """
        refuse_adapted(backbone)
        at_least("peft.r", self.r, 1)
        at_least("peft.alpha", self.alpha, 1)
        if not 0 <= self.dropout < 1:
            raise UserError(f"peft.dropout must be from 0 to below 1; got {self.dropout}.")
        check_kwargs(self.kwargs, _OWN_KEYS)
        own = {"r": self.r, "lora_alpha": self.alpha, "lora_dropout": self.dropout}
        layers = chosen_layers(backbone, self.roles, self.target_modules, self.replace_qkv)
        return adapted(backbone, "LORA", {**own, **self.kwargs, "target_modules": layers})

"""A run's model with what its method of fine-tuning has learned in the backbone's own layers."""

import copy
from typing import Any

from geocompose.configuration.instantiation import instantiate
from geocompose.errors import UserError
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.peft.merging import merge
from geocompose.peft.methods import PeftMethod
from geocompose.runs import RecordedRun

AS_IT_IS = "The run's model can be exported as it is, by action.format=bundle, pt2 or onnx."


def method_of(run: RecordedRun) -> PeftMethod:
    """Return the method of a run's configuration, whose targets were checked when the run was opened."""
    method: PeftMethod = instantiate(run.config["peft"])
    return method


def plain_model(model: EncoderDecoderModel, method: PeftMethod) -> EncoderDecoderModel:
    """Return a copy of a model without adapters, which says the same.

    Raises:
        UserError: the method can't be merged, or not into one of the layers.
    """
    plain = copy.deepcopy(model)
    own: Any = method
    if not getattr(own, "mergeable", True):
        raise UserError(f"{type(method).__name__} can't be merged into a backbone's own layers. {AS_IT_IS}")
    # What PEFT has added, PEFT merges; a method of ours that adds something itself has a way to merge it.
    plain.encoder = own.merge(plain.encoder) if hasattr(own, "merge") else merge(plain.encoder)
    return plain.eval()

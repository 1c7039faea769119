"""Where a model is in a file of weights that holds more: training loops and wrappers put prefixes before its names."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from torch import Tensor

from geocompose.errors import UserError, counted, shortened

log = logging.getLogger("geocompose")

# What torch itself puts into names, at any depth: torch.compile, FSDP and activation checkpointing.
WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
_ADAPTED = ("base_layer", "lora_", "ia3_", "hada_", "lokr_", "oft_", "boft_", "vera_", "modules_to_save")
_DEEPEST = 12  # parts of a prefix; models of models of models have five
_LEAST_SHARE = 0.5  # of a model's names, before a prefix counts as found: single names occur in many models

_PART: ContextVar[str | None] = ContextVar("_PART", default=None)


@contextmanager
def of_part(name: str) -> Iterator[None]:
    """Within the block, of several equal backbones in a file the one counts that was the part `name` of a fusion."""
    token = _PART.set(name)
    try:
        yield
    finally:
        _PART.reset(token)


def of_model(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor], named: Callable[[str], str | None], path: str | Path
) -> dict[str, Tensor]:
    """Return the tensors of a file that stand under the prefix of this model, without it; which one it was is said.

    A file whose names are the model's as they are comes back whole. So does one in which no prefix leads to at least
    half of the model's names: whoever loads it says what is missing.

    own: the model's tensors by its own names. named: returns the model's own name for a name in a file, or None.

    Raises:
        UserError: several prefixes lead to such a model, or its layers hold PEFT's adapters; says what to do.
    """
    clean = _without_wrappers(state, path)
    found = _candidates(clean, own, named)
    scores = {start: _score(keys, clean, own) for start, keys in found.items()}
    best = max(scores.values(), default=(0, 0))
    start = "" if scores.get("") == best else _chosen({s: found[s] for s in found if scores[s] == best}, path)
    covered = best[1]
    if covered < len(own):
        _refuse_adapters(clean, path)
    if not start or covered < _LEAST_SHARE * len(own):
        if clean.keys() != state.keys():
            log.info("backbone.ckpt_path=%s: %s is stripped from its names.", path, _wrappers_in(state))
        return clean
    rest = {key: value for key, value in clean.items() if not key.startswith(start)}
    others = sorted({".".join(key.split(".")[:2]) for key in rest})
    log.info(
        "backbone.ckpt_path=%s: the prefix %s is stripped%s; %s are used%s.",
        path, start, f", and {_wrappers_in(state)}" if clean.keys() != state.keys() else "",
        counted(covered, "tensor"), f", {len(clean) - covered:,} passed over ({shortened(others, 4)})" if rest else "",
    )  # fmt: skip
    return {key.removeprefix(start): value for key, value in clean.items() if key.startswith(start)}


def _without_wrappers(state: Mapping[str, Tensor], path: str | Path) -> dict[str, Tensor]:
    clean = {".".join(part for part in key.split(".") if part not in WRAPPERS): value for key, value in state.items()}
    if len(clean) < len(state):
        raise UserError(
            f"backbone.ckpt_path={path} holds tensors twice, with and without {_wrappers_in(state)} in their names. "
            "Keep one of them."
        )
    return clean


def _wrappers_in(state: Mapping[str, Tensor]) -> str:
    parts = {part for key in state for part in key.split(".")}
    return " and ".join(f"{wrapper}." for wrapper in WRAPPERS if wrapper in parts)


def _candidates(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor], named: Callable[[str], str | None]
) -> dict[str, dict[str, str]]:
    """Return by each prefix the names in the file of the model's tensors, by the model's own names."""
    found: dict[str, dict[str, str]] = {}
    for key in state:
        parts = key.split(".")
        for depth in range(min(len(parts), _DEEPEST)):
            start = "".join(f"{part}." for part in parts[:depth])
            here = named(key[len(start) :])
            if here is not None and here in own:
                found.setdefault(start, {}).setdefault(here, key)
    return found


def _score(keys: Mapping[str, str], state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> tuple[int, int]:
    """Return how many tensors have the model's shape, and how many its names: of two encoders the one that fits."""
    return sum(state[key].shape == own[name].shape for name, key in keys.items()), len(keys)


def _chosen(tied: Mapping[str, Mapping[str, str]], path: str | Path) -> str:
    """Return the one prefix that leads to a model."""
    # `model.` before `encoder.conv1` and `model.encoder.` before `conv1` lead to the same tensors: the longest holds
    # the fewest others.
    longest: dict[frozenset[str], str] = {}
    for start in sorted(tied, key=len):
        longest[frozenset(tied[start].values())] = start
    several = sorted(longest.values())
    part = _PART.get()
    if len(several) > 1 and part is not None:
        several = [start for start in several if f".parts.{part}." in f".{start}"] or several
    if len(several) > 1:
        raise UserError(
            f"backbone.ckpt_path={path} holds {len(several)} models that would fit, under the prefixes "
            f"{shortened(several, 6)}. Save the one that you mean to a file of its own: its tensors by their names, "
            "by torch.save."
        )
    return several[0] if several else ""


def _refuse_adapters(state: Mapping[str, Tensor], path: str | Path) -> None:
    adapted = [key for key in state if any(part.startswith(_ADAPTED) for part in key.split("."))]
    if adapted:
        raise UserError(
            f"backbone.ckpt_path={path} holds PEFT's adapters beside the layers that they change "
            f"({shortened(sorted(adapted), 2)}), and is not a plain model. Merge them first (merge_and_unload() of "
            "PEFT's model, then save its state dict), or start from a run with peft=none."
        )

"""How a TerraTorch run learns, as options of our groups: task, optimizer, scheduler, trainer, and the seed."""

import inspect
from collections.abc import Mapping
from typing import Any

from geocompose.imagery.samples import Target
from geocompose.migration.ledger import Place
from geocompose.migration.lightning_yaml import class_name
from geocompose.migration.training.selection import BY_SELECTION, tell_selection
from geocompose.migration.training.trainer import translate_trainer
from geocompose.migration.translation import MODEL, TRAINER, Translation, shown
from geocompose.tasks.class_losses import classification_losses, segmentation_losses
from geocompose.tasks.label_losses import multilabel_losses
from geocompose.tasks.number_losses import regression_losses

_NOT_NEEDED = {
    "plot_on_val": "samples of the best epoch are always drawn",
    "test_dataloaders_names": "there is one test split",
    "output_on_inference": "action=predict has action.kind",
    "output_most_probable": "action=predict has action.kind",
    "path_to_record_metrics": "every run records its metrics",
    "tiled_inference_on_testing": "every split is scored by tiles",
    "tiled_inference_on_validation": "every split is scored by tiles",
    "task": "the class says it",
    "masked_metric": "hidden pixels that have data are scored",
}
_PARTS = {"encoder": "backbone", "backbone": "backbone", "neck": "neck", "decoder": "decoder", "head": "head"}
# Of tasks whose configuration names no loss.
_USUAL_LOSS = {
    **dict.fromkeys(("segmentation", "classification", "multilabel"), "ce"),
    **dict.fromkeys(("regression", "scalar_regression", "reconstruction"), "mse"),
}
EPOCHS = "${trainer.max_epochs}"
_OF_OPTION = {
    "CosineAnnealingLR": "cosine",
    "ReduceLROnPlateau": "plateau",
    "StepLR": "step",
    "PolynomialLR": "polynomial",
}


def translate_training(to: Translation) -> None:
    """Translate task, optimizer, scheduler, trainer and seed."""
    _task(to)
    _optimizer(to)
    _scheduler(to)
    translate_trainer(to)
    tell_selection(to)
    seed = to.ledger.get(("seed_everything",))
    if isinstance(seed, int) and not isinstance(seed, bool):
        to.carry(("seed_everything",), "seed", seed)
    elif seed is not None:
        to.ledger.needless(("seed_everything",), "every run is seeded; seed=0 where nothing else is said")


def _task(to: Translation) -> None:
    ledger = to.ledger
    to.choose("task", to.kind)
    ledger.carried(("model", "class_path"), f"task={to.kind}")
    for key in ("freeze_backbone", "freeze_decoder", "freeze_head", "aux_loss"):
        if (value := ledger.get((*MODEL, key))) is not None:
            to.carry((*MODEL, key), f"task.{key}", value)
    if (frozen := ledger.get((*MODEL, "freeze_encoder"))) is not None:  # the reconstruction task's word
        to.carry((*MODEL, "freeze_encoder"), "task.freeze_backbone", frozen)
    loss = ledger.get((*MODEL, "loss"))
    named = [loss] if isinstance(loss, str) else list(loss or [_USUAL_LOSS[to.kind]])
    known = _losses(to)
    unknown = [name for name in named if name not in known]
    if ledger.get((*MODEL, "custom_loss")) or unknown:
        for key in ("loss", "custom_loss", "custom_loss_kwargs"):
            to.lose((*MODEL, key), f"task={to.kind} has the losses {', '.join(known)}", "task.loss")
        if loss is None:
            ledger.remark(
                f"task.loss={shown(to.value('task.loss'))}, as the file names none; TerraTorch's is {named[0]}."
            )
    elif loss is not None:
        note = "rmse is the root of a batch's mean square; TerraTorch takes that root twice" if "rmse" in named else ""
        to.carry((*MODEL, "loss"), "task.loss", _loss(to, loss), note if to.kind != "reconstruction" else "")
    ledger.needless((*MODEL, "custom_loss"), "false")
    weights = ledger.get((*MODEL, "class_weights"))
    if weights is not None:
        if to.kind in ("regression", "scalar_regression", "reconstruction"):
            ledger.needless((*MODEL, "class_weights"), "TerraTorch's regression does not look at it")
        elif "ce" in named and not unknown:
            to.carry((*MODEL, "class_weights"), "task.class_weights", weights)
        elif "focal" in named and not unknown:
            ledger.needless((*MODEL, "class_weights"), "TerraTorch's focal loss does not take them")
        else:
            to.lose((*MODEL, "class_weights"), "class weights belong to the losses ce and focal", "task.class_weights")
    for key, why in _NOT_NEEDED.items():
        ledger.needless((*MODEL, key), why)


def _loss(to: Translation, loss: Any) -> Any:
    """Return the losses of a configuration as ours: what TerraTorch calls focal is smp's, of each class alone."""
    if to.kind not in ("segmentation", "classification"):
        return loss
    ours = {"focal": "sigmoid_focal"}
    if isinstance(loss, str):
        return ours.get(loss, loss)
    if isinstance(loss, Mapping):
        return {ours.get(name, name): weight for name, weight in loss.items()}
    return [ours.get(name, name) for name in loss]


def _losses(to: Translation) -> list[str]:
    """Return the names of the losses that a task of this kind has."""
    target = Target(to.kind, tuple(to.names))  # type: ignore[arg-type]
    if to.kind == "segmentation":
        return list(segmentation_losses(target.ignore_index))
    if to.kind == "classification":
        return list(classification_losses(target.ignore_index))
    if to.kind == "reconstruction":
        return ["mse", "mae", "rmse", "huber"]
    if to.kind == "multilabel":
        return list(multilabel_losses([1.0] * len(to.names)))
    return list(regression_losses(target))


def _optimizer(to: Translation) -> None:
    ledger = to.ledger
    section = ledger.get(("optimizer",))
    name_place: Place = (*MODEL, "optimizer")
    place: Place = (*MODEL, "optimizer_hparams")
    name = ledger.get(name_place, "Adam")
    if section is not None:  # which overrides the task's own arguments, in TerraTorch too
        name = class_name(section) or "Adam"
        name_place, place = _places("optimizer", section)
        for key in ("optimizer", "lr", "optimizer_hparams", "lr_overrides"):
            ledger.needless((*MODEL, key), "the section `optimizer` wins over it")
    given = dict(ledger.get(place, {}))
    rate_place = (*MODEL, "lr") if section is None and given.get("lr") is None else (*place, "lr")
    given.pop("lr", None)
    rate = ledger.get(rate_place, 0.001)  # the default of TerraTorch, and of nearly all of torch's optimizers
    found = to.options.by_target("optimizer", name)
    if not found:
        ours = [
            f"optimizer.{key}" for key in to.choose("optimizer", "adamw") if not key.startswith("_") and key != "lr"
        ]
        to.lose(name_place, f"the group optimizer has no {name}", "optimizer", *ours)
    else:
        keys = to.choose("optimizer", found[0])
        ledger.carried(name_place, f"optimizer={found[0]}")
        _with_defaults(to, "optimizer", keys, torch_class("optim", name), given, place)
    to.carry(rate_place, "optimizer.lr", float(rate))
    ledger.lost(place, f"an argument of {name}")
    ledger.needless((*MODEL, "lr"), f"{'.'.join(rate_place)} wins over it")
    if section is None:
        _rates_by_part(to)


def _rates_by_part(to: Translation) -> None:
    """Translate the rates of parameters that have a text in their names."""
    ledger = to.ledger
    for key, value in ledger.get((*MODEL, "lr_overrides"), {}).items():
        part = _PARTS.get(str(key).removeprefix("model.").strip("."))
        if part == key == "backbone":
            why = (
                "no parameter of TerraTorch's models has this in its name (theirs is `encoder`): it does nothing there"
            )
            ledger.lost((*MODEL, "lr_overrides", key), f"{why}; here task.lr_by_part.backbone={value:g} would be it")
        elif part:
            of_both = part == "decoder" and to.choices.get("auxiliary", "none") != "none"
            note = "of the main decoder alone; in TerraTorch auxiliary decoders have it too" if of_both else ""
            to.carry((*MODEL, "lr_overrides", key), f"task.lr_by_part.{part}", float(value), note)
        else:
            ledger.lost(
                (*MODEL, "lr_overrides", key),
                f"task.lr_by_part knows the parts {', '.join(sorted(set(_PARTS.values())))}",
            )


def _scheduler(to: Translation) -> None:
    ledger = to.ledger
    section = ledger.get(("lr_scheduler",))
    if section is not None and ledger.get(("optimizer",)) is None:
        ledger.needless(("lr_scheduler",), "Lightning takes no notice of it without a section `optimizer`")
        section = None
    name_place: Place = (*MODEL, "scheduler")
    place: Place = (*MODEL, "scheduler_hparams")
    name = ledger.get(name_place)
    if section is None and ledger.get(("optimizer",)) is not None:
        for key in ("scheduler", "scheduler_hparams"):
            ledger.needless((*MODEL, key), "the section `optimizer` takes the place of both in TerraTorch")
        name = None
    if section is not None:
        name = class_name(section)
        name_place, place = _places("lr_scheduler", section)
        for key in ("scheduler", "scheduler_hparams"):
            ledger.needless((*MODEL, key), "the section `lr_scheduler` wins over it")
    option = _OF_OPTION.get(str(name))
    if option is None:
        to.choose("scheduler", "none")
        if name is not None:
            why = f"{name} has no counterpart that is sure to do the same; choose one with scheduler=..."
            to.lose(name_place, why, "scheduler")
            ledger.lost(place, f"an argument of {name}")
        return
    keys = to.choose("scheduler", option)
    ledger.carried(name_place, f"scheduler={option}")
    given = dict(ledger.get(place, {}))
    if option == "plateau":
        for key in ("mode", "monitor"):
            ledger.needless((*place, key), BY_SELECTION)
            given.pop(key, None)
        ledger.needless(("lr_scheduler", "monitor"), BY_SELECTION)
    if given.pop("interval", "epoch") == "epoch":
        ledger.needless((*place, "interval"), "an epoch")
    _with_defaults(to, "scheduler", keys, torch_class("optim.lr_scheduler", str(name)), given, place)


def _places(section: str, node: Any) -> tuple[Place, Place]:
    """Return where a section has its class's name and its arguments."""
    return ((section,) if isinstance(node, str) else (section, "class_path")), (section, "init_args")


def torch_class(module: str, name: str) -> Any:
    """Return a class of torch by the module below `torch` and its name."""
    import importlib

    return getattr(importlib.import_module(f"torch.{module}"), name)


def _with_defaults(
    to: Translation, group: str, keys: Mapping[str, Any], target: Any, given: Mapping[str, Any], place: Place
) -> None:
    """Carry arguments, and torch's defaults of those that are not given, which our option's need not be."""
    for name, parameter in inspect.signature(target).parameters.items():
        if name in keys and name != "lr" and parameter.default is not parameter.empty:
            default = parameter.default
            to.set(f"{group}.{name}", list(default) if isinstance(default, tuple) else default)
    for name, value in given.items():
        if keys.get(name) == EPOCHS and value == to.ledger.get((*TRAINER, "max_epochs")):
            to.values[group].pop(name, None)
            to.ledger.carried((*place, name), f"{group}.{name}={EPOCHS}")
        elif name in keys:
            to.carry((*place, name), f"{group}.{name}", value)
        elif (
            name in inspect.signature(target).parameters and value == inspect.signature(target).parameters[name].default
        ):
            to.ledger.needless((*place, name), "torch's default")
        else:
            to.ledger.lost((*place, name), f"{group}={to.choices[group]} has no key {name!r}")

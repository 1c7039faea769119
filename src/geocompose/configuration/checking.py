"""A composed configuration is checked before anything heavy loads: root keys, and keys and types of every target."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, MissingMandatoryValue

from geocompose.catalog.learning_rates import Rate, default_rate
from geocompose.catalog.origin import is_ours
from geocompose.configuration.annotations import Argument
from geocompose.configuration.signatures import arguments, names_in
from geocompose.configuration.values import checked_value
from geocompose.configuration.weights import loads_weights
from geocompose.contracts.needs import FROM_NEIGHBOURS
from geocompose.errors import UserError, choices, first_line
from geocompose.program import conf_dir
from geocompose.runs.pretrained import with_checkpoints

# Groups of parts, which the factory completes.
PARTS = ("backbone", "neck", "decoder", "head")
NECKS = "neck.necks["
CALLBACKS = "trainer.callbacks["  # classes that get no argument beside those that are given
LOSSES = "task.loss"
HYDRA_KEYS = ("_target_", "_partial_", "_convert_", "_recursive_")

ROOT: Mapping[str, Argument] = {
    argument.name: argument
    for argument in (
        Argument("study", str, "a name", True),
        Argument("seed", int, "a whole number", True),
        Argument("debug", bool, "true or false", True),
        Argument("rerun", bool, "true or false", True),
        Argument("ablate", Literal["all"] | list[str] | None, "all, or a list of keys", True),
        Argument("retry", Literal["failed"] | None, "failed or null", True),
    )
}


class Checked(NamedTuple):
    """A configuration as plain, resolved, typed values, and what `optimizer.lr: null` meant in it, if it was null."""

    config: dict[str, Any]
    default_rate: Rate | None


def check(config: DictConfig, groups: Sequence[str]) -> dict[str, Any]:
    """Return the configuration as plain, resolved, typed values; see `checked`."""
    return checked(config, as_written(config), groups).config


def as_written(config: DictConfig) -> dict[Any, Any]:
    """Return a configuration as plain values in which nothing is resolved."""
    written = OmegaConf.to_container(config, resolve=False)
    assert isinstance(written, dict)
    return written


def checked(config: DictConfig, written: Mapping[Any, Any], groups: Sequence[str]) -> Checked:
    """Return the configuration as plain, resolved, typed values: `lr: 1` of a float argument is 1.0.

    A run's folder that a backbone is to start from has become the run's best checkpoint.

    written: the same `as_written`, which takes time. groups: the names of the config groups; beside them there are the
    root keys alone.

    Raises:
        UserError: a required value is missing, a key is not an argument of its target, or a value is not of its type.
    """
    _check_root_folder(config)
    missing = list(_missing(written, ""))
    if missing:
        are = "is" if len(missing) == 1 else "are"
        of_groups = dict.fromkeys(key.partition(".")[0] for key in missing if key.partition(".")[0] in groups)
        conf = "conf" if Path("conf").resolve() == conf_dir() else conf_dir()
        folders = [f"{conf}/{group}/" for group in of_groups]
        raise UserError(
            f"{', '.join(missing)} {are} required: write {' '.join(f'{key}=VALUE' for key in missing)}. What a VALUE "
            f"may be stands beside the key in the option's file in {' or '.join(folders)}."
        )
    # What is taken from nowhere else stands resolved as it was written.
    taken = {str(name) for name, value in written.items() if _is_open(value)}
    plain = {str(name): _resolved(config, name) if name in taken else value for name, value in written.items()}
    if (rate := _default_learning_rate(plain)) is not None:
        plain["optimizer"] = {**plain["optimizer"], "lr": rate.rate}
    found: dict[str, Any] = {}
    # What takes a value from elsewhere comes last, so that a wrong value is told where it was written.
    for name, value in sorted(plain.items(), key=lambda item: item[0] in taken):
        if name not in ROOT and name not in groups:
            raise UserError(f"There is no group or key {name!r}. {choices(name, [*groups, *ROOT])}")
        found[name] = check_node(name, value) if isinstance(value, dict) else _root(name, value)
    if "backbone" in found:
        found["backbone"] = with_checkpoints(found["backbone"])
    return Checked({name: found[name] for name in plain}, rate)


def _resolved(config: DictConfig, name: str) -> Any:
    """Return a root key's value as plain, resolved values.

    Raises:
        UserError: what it is taken from is not there.
    """
    try:
        value = config[name]
        if OmegaConf.is_config(value):
            return OmegaConf.to_container(value, resolve=True, throw_on_missing=True)
        return value
    except (InterpolationKeyError, MissingMandatoryValue) as error:
        raise UserError(f"{error.full_key!s}: {first_line(error)}") from error


def _default_learning_rate(plain: Mapping[str, Any]) -> Rate | None:
    """Return what `optimizer.lr: null` means in a composed configuration; None where a rate is given.

    Raises:
        UserError: see `default_rate`.
    """
    groups = ("optimizer", "peft", "backbone", "task")
    complete = all(isinstance(plain.get(group), Mapping) and "_target_" in plain[group] for group in groups)
    if not complete or plain["optimizer"].get("lr", 0) is not None:
        return None
    return default_rate(plain, pretrained=loads_weights(plain["backbone"]))


def _is_open(written: object) -> bool:
    """Return whether a value, as it was written, or one in it is taken from elsewhere, or still missing."""
    if isinstance(written, (dict, list)):
        return any(map(_is_open, written.values() if isinstance(written, dict) else written))
    return isinstance(written, str) and ("${" in written or written == "???")


def _check_root_folder(config: DictConfig) -> None:
    """Refuse a data folder that is not there, whatever else is missing."""
    data = config.get("data")
    # `in data` denies a key whose value is required.
    given = isinstance(data, DictConfig) and "root" in data.keys()  # noqa: SIM118
    if given and not OmegaConf.is_missing(data, "root"):
        root = data.root
        if isinstance(root, str) and not Path(root).expanduser().is_dir():
            raise UserError(
                f"data.root={root} is not an existing folder. Set it to the folder that holds the data.{_packed(root)}"
            )


def _packed(root: str) -> str:
    """Return what to do with an archive or a store in a folder's place; empty for anything else."""
    if not root.startswith("/vsi") and not Path(root).expanduser().is_file():
        return ""
    return " Archives and stores are read through a folder: unpack it, or write a VRT of each raster into one."


def _missing(written: Mapping[Any, Any], path: str) -> Iterator[str]:
    for key, value in written.items():
        inner = f"{path}.{key}" if path else str(key)
        if value == "???":
            yield inner
        elif isinstance(value, dict):
            yield from _missing(value, inner)


def _root(name: str, value: Any) -> Any:
    if name not in ROOT:  # a group without an option, such as experiment=null
        return value
    return checked_value(name, ROOT[name], value)


def check_node(path: str, node: dict[str, Any]) -> dict[str, Any]:
    """Return one node of a configuration, its values typed by the signature of its `_target_`.

    Raises:
        UserError: a key is not an argument of the target, or a value is not of its type.
    """
    if "_target_" not in node:
        return {
            key: check_node(f"{path}.{key}", value) if isinstance(value, dict) else value for key, value in node.items()
        }
    target = node["_target_"]
    try:
        known = arguments(target)
    except (ModuleNotFoundError, AttributeError) as error:
        module, _, name = str(target).rpartition(".")
        hint = f" {choices(name, names_in(module))}" if isinstance(error, AttributeError) else ""
        raise UserError(f"{path}._target_={target} can't be found: {error}.{hint}") from error
    checked = {}
    for key, value in node.items():
        inner = f"{path}.{key}"
        if key in HYDRA_KEYS or known is None:
            checked[key] = value
        elif key not in known:
            if path == "decoder" and key in FROM_NEIGHBOURS:
                raise UserError(f"{path} has no key {key!r}. {FROM_NEIGHBOURS[key]} Leave it out.")
            raise UserError(f"{path} has no key {key!r}. {choices(key, _offered(target, known, node, key))}")
        elif isinstance(value, dict) and "_target_" in value:
            checked[key] = check_node(inner, value)
        elif inner == LOSSES and isinstance(value, dict):
            summands = {name: _summand(f"{inner}.{name}", item) for name, item in value.items()}
            checked[key] = checked_value(inner, known[key], summands)
        elif isinstance(value, dict) and value and all(isinstance(v, dict) and "_target_" in v for v in value.values()):
            checked[key] = {name: check_node(f"{inner}.{name}", node) for name, node in value.items()}  # parts by name
        else:
            checked[key] = checked_value(inner, known[key], _checked_items(inner, value))
    if known is not None:  # last: a misspelt key is told as such, not as a missing one
        _check_complete(path, target, known, node)
    return checked


def _checked_items(path: str, value: Any) -> Any:
    """Return a list in which the items that are built by themselves are checked, such as a user's own necks."""
    if not isinstance(value, list):
        return value
    return [
        check_node(f"{path}[{place}]", item) if isinstance(item, dict) and "_target_" in item else item
        for place, item in enumerate(value)
    ]


def _summand(path: str, item: Any) -> Any:
    """Return one loss of a sum, {ce: 0.5, mine: {_target_: ..., weight: 0.5}}, checked if it is built by itself.

    The weight is none of its constructor's arguments.
    """
    if not isinstance(item, dict) or "_target_" not in item:
        return item
    weight = {"weight": item["weight"]} if "weight" in item else {}
    return check_node(path, {key: value for key, value in item.items() if key != "weight"}) | weight


def _offered(target: str, known: Mapping[str, Argument], node: Mapping[str, Any], wrong: str) -> list[str]:
    """Return the keys to choose from: those of our option, or all arguments of another package's class."""
    ours = is_ours(target)
    return [key for key in (node if ours else known) if key not in (*HYDRA_KEYS, wrong)]


def _check_complete(path: str, target: str, known: Mapping[str, Argument], node: Mapping[str, Any]) -> None:
    """Refuse a part or a callback that can't be built as it is, because a required argument is given by nobody.

    Raises:
        UserError: names what is missing.
    """
    missing = [name for name, argument in known.items() if argument.required and name not in node]
    if not missing:
        return
    if path.startswith(CALLBACKS):
        given = ", ".join(f"{name}: VALUE" for name in missing)
        raise UserError(f"{path} needs {', '.join(missing)}: write {{_target_: {target}, {given}}}.")
    if (path in PARTS or path.startswith(NECKS)) and not node.get("_partial_"):
        raise UserError(
            f"{path}._target_={target} needs {', '.join(missing)}, which {path} doesn't give. Give it a value, or "
            f"write _partial_: true there ({path}._partial_=true): the factory then adds what follows from the other "
            "parts, such as the widths of the features, the first argument of a decoder or neck."
        )

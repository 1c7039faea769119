"""What was wrong with an override that Hydra refused: the nearest right group, option or key."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from geocompose.configuration.overrides import flag_names
from geocompose.contracts.needs import FROM_NEIGHBOURS
from geocompose.errors import UserError, choices, shortened

_SHOWN = 5  # names of folders


def options(conf_dir: Path, group: str) -> list[str]:
    """Return the options of a config group, those in subfolders with their path."""
    folder = conf_dir / group
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))


def groups(conf_dir: Path) -> list[str]:
    """Return the names of the config groups."""
    return sorted(path.name for path in conf_dir.iterdir() if path.is_dir() and any(path.rglob("*.yaml")))


def _meant_by(word: str, conf_dir: Path) -> str:
    """Return a question after what a word without a key was meant to be, with a space before it; "" where none is."""
    flags = [f"--{word}"] if f"--{word}" in flag_names() else []
    meant = [*flags, *(f"{group}={word}" for group in groups(conf_dir) if word in options(conf_dir, group))]
    return f" Did you mean {' or '.join(meant)}?" if meant else ""


def check_config_dir(added: str | None, conf_dir: Path, *, to_be_filled: bool = False) -> None:
    """Refuse a typed --config-dir in which Hydra would find nothing: it passes over such a folder in silence.

    to_be_filled: the action writes into it, so that it may be empty.

    Raises:
        UserError: names the folder and how it must look.
    """
    if added is None:
        return
    folder = Path(added)
    needed = "It must be a folder of config groups, such as FOLDER/experiment/NAME.yaml"
    if not folder.is_dir():
        what = "is a file" if folder.exists() else f"does not exist (looked up from {Path.cwd()})"
        raise UserError(f"--config-dir={added} {what}. {needed}.")
    if to_be_filled and not any(folder.iterdir()):
        return
    found = {path.name for path in folder.iterdir() if path.is_dir()}
    if not found & {*groups(conf_dir), "hydra"}:
        holds = f"folders {shortened(sorted(found), _SHOWN)}" if found else "no folder"
        raise UserError(f"--config-dir={added} has no config group in it: it holds {holds}. {needed}.")


def diagnose(overrides: Iterable[str], conf_dir: Path, added: str | None = None) -> UserError | None:
    """Return what is wrong with the first wrong override, or None where the fault lies elsewhere.

    added: a further folder of config groups (--config-dir), whose options are there as well.
    """
    overrides = list(overrides)
    folders = [conf_dir, *([Path(added).resolve()] if added else [])]
    try:
        parsed = OverridesParser.create().parse_overrides(overrides)
    except HydraException as error:
        for text in overrides:
            if any(text.count(left) != text.count(right) for left, right in ("[]", "{}", "()")):
                return UserError(
                    f"{text!r} is cut off: put a value with spaces, brackets or braces into single quotes."
                )
            if "=" not in text:
                return UserError(
                    f"{text!r} is not an override; write KEY=VALUE, such as backbone=prithvi or optimizer.lr=1e-3."
                    f"{_meant_by(text, conf_dir)}"
                )
        return _unreadable(overrides) or UserError(f"The command line can't be read: {str(error).strip()}")
    known = groups(conf_dir)
    chosen = []
    for override in parsed:
        if override.key_or_group in known and not override.is_add():
            fault = _wrong_option(override, folders)
            if fault:
                return fault
            if not override.is_sweep_override():
                chosen.append(f"{override.key_or_group}={override.value()}")
    try:
        with initialize_config_dir(str(conf_dir), version_base="1.3"):
            search = [f"hydra.searchpath=[{','.join(json.dumps(f'file://{each}') for each in folders[1:])}]"]
            config = compose("config", overrides=[*chosen, *search])
    except (HydraException, OmegaConfBaseException):
        return None  # the options don't compose by themselves: Hydra's own message says why
    for override in parsed:
        if override.key_or_group not in known and not override.is_add():
            of_run = "evaluate" in str(config.action._target_) and not any(text.startswith("data=") for text in chosen)
            fault = _wrong_key(override, config, known, folders)
            if fault and of_run and override.key_or_group.startswith("data."):
                # What was composed are the default data: their keys say nothing about those of the run.
                key = override.key_or_group.removeprefix("data.")
                return UserError(
                    f"{override.input_line}: evaluate takes the run's own data. Write 'action.data={{{key}: "
                    f"{override.value()}}}' to change this of it, or choose other data with data=OPTION."
                )
            if fault:
                return fault
    return None


def _unreadable(overrides: Iterable[str]) -> UserError | None:
    """Return which override can't be read as KEY=VALUE, or None where each by itself can."""
    for text in overrides:
        try:
            OverridesParser.create().parse_overrides([text])
        except HydraException:
            if quoted := _as_text(text):
                return UserError(f"{text!r} can't be read. A text with braces needs both quotes: write '{quoted}'.")
            return UserError(
                f"{text!r} can't be read: a list is written [a, b], a mapping {{a: b}}, within each other too, and a "
                "text with other signs in quotes, such as 'key=\"a, b\"'."
            )
    return None


def _as_text(text: str) -> str | None:
    """Return an override with its value in quotes, or None where that is a list, a mapping or no text even then."""
    key, equals, value = text.partition("=")
    quoted = f'{key}{equals}"{value}"'
    if "{" not in value or '"' in value or (value[0], value[-1]) in (("[", "]"), ("{", "}")):
        return None
    try:
        OverridesParser.create().parse_overrides([quoted])
    except HydraException:
        return None
    return quoted


def _wrong_option(override: Override, folders: Sequence[Path]) -> UserError | None:
    group = override.key_or_group
    allowed = sorted({option for folder in folders for option in options(folder, group)})
    values = override.sweep_string_iterator() if override.is_sweep_override() else [override.value()]
    for value in values:
        for name in value if isinstance(value, list) else [value]:
            if name is not None and str(name).removesuffix(".yaml") not in allowed:
                any_timm = " Any model of timm: backbone=timm backbone.name=NAME." if group == "backbone" else ""
                return UserError(f"{group} has no option {str(name)!r}. {choices(str(name), allowed)}{any_timm}")
    return None


def _wrong_key(override: Override, config: DictConfig, known: list[str], folders: Sequence[Path]) -> UserError | None:
    key = override.key_or_group
    parts = key.split(".")
    if parts[0] == "hydra" or override.package is not None:
        return None
    node: object = config
    for depth, part in enumerate(parts):
        # `in node` denies keys whose value is required.
        if not isinstance(node, DictConfig) or part not in node.keys():  # noqa: SIM118
            where = ".".join(parts[:depth])
            allowed = (
                [str(name) for name in node if not str(name).startswith("_")] if isinstance(node, DictConfig) else []
            )
            other = _in_other_groups(part, config)
            if not where:
                if other:
                    return UserError(f"There is no group or key {part!r}. Did you mean {' or '.join(other)}?")
                return UserError(f"There is no group or key {part!r}. {choices(part, sorted({*known, *allowed}))}")
            hint = _elsewhere(where, part, folders) or (
                f"There is {' and '.join(other)}. " if other and depth == 1 else ""
            )
            if where == "decoder" and part in FROM_NEIGHBOURS:
                return UserError(f"{where} has no key {part!r}. {FROM_NEIGHBOURS[part]} Leave it out.")
            return UserError(f"{where} has no key {part!r}. {hint}{choices(part, allowed)}")
        node = None if OmegaConf.is_missing(node, part) else node[part]
    return None


def _in_other_groups(key: str, config: DictConfig) -> list[str]:
    """Return where a key stands in the composed groups, such as optimizer.lr for lr; [] for more than three places."""
    groups = [str(name) for name in config if isinstance(config._get_node(name), DictConfig)]
    places = [f"{name}.{key}" for name in groups if key in config[name].keys()]  # noqa: SIM118 - as above
    return places if len(places) <= 3 else []


def _elsewhere(group: str, key: str, folders: Sequence[Path]) -> str:
    """Return which other options of a group have the key, those first that ask for a value of it; "" for none."""
    found = {}
    for folder in folders:
        for name in options(folder, group):
            content = yaml.safe_load((folder / group / f"{name}.yaml").read_text(encoding="utf-8"))
            if isinstance(content, dict) and key in content:
                found[name] = content[key]
    names = sorted(found, key=lambda name: found[name] != "???")
    return f"It is a key of {group}={', '.join(names[:3])}. " if names else ""

"""Which compositions the doctor tries: options chosen by pattern, each read once; all else is the command line's."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from geocompose.catalog.optional import PACKAGES, install_command, installed
from geocompose.configuration.checking import check, check_node
from geocompose.configuration.diagnosis import groups, options
from geocompose.configuration.patterns import matching
from geocompose.data.preflight import Preview, data_source, preflight
from geocompose.errors import UserError, first_line

Patterns = str | list[str] | None


@dataclass(frozen=True)
class LeftOut:
    """An option that makes no cell, and why."""

    group: str
    name: str
    reason: str


@dataclass(frozen=True)
class Basis:
    """All of a composition but its backbone and decoder, for the tasks of one kind of labels.

    config: checked, as of one run. preview: what its data gives, with all the bands that there are.
    """

    config: Mapping[str, Any]
    preview: Preview


@dataclass(frozen=True)
class Cells:
    """The table to fill: each backbone with each decoder for each task, in this order.

    backbones, decoders: the checked contents of the options by name. bases: the rest, by task.
    """

    backbones: Mapping[str, Mapping[str, Any]]
    decoders: Mapping[str, Mapping[str, Any]]
    bases: Mapping[str, Basis]
    left_out: Sequence[LeftOut] = ()

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Yield the name of each backbone with that of each decoder."""
        return product(self.backbones, self.decoders)

    def __len__(self) -> int:
        return len(self.backbones) * len(self.decoders) * len(self.bases)

    def config(self, backbone: str, decoder: str, task: str) -> dict[str, Any]:
        """Return the configuration of one cell."""
        return {
            **self.bases[task].config,
            "backbone": dict(self.backbones[backbone]),
            "decoder": dict(self.decoders[decoder]),
        }


def chosen_cells(
    conf_dir: Path, overrides: Sequence[str], backbones: Patterns, decoders: Patterns, tasks: Patterns
) -> Cells:
    """Return the cells of the options that match.

    overrides: the command line's, for everything but backbone, decoder and task.
    backbones, decoders, tasks: a pattern such as `prithvi*`, several of them, or None for all.

    Raises:
        UserError: a pattern matches nothing, an override can't be used, no cell is left, or the data has labels of a
            task that was not asked for.
    """
    with _composing(conf_dir):
        left_out: list[LeftOut] = []
        chosen = {
            group: _contents(group, _matching(group, given, options(conf_dir, group)), left_out)
            for group, given in (("backbone", backbones), ("decoder", decoders))
        }
        for group, found in chosen.items():
            if not found:
                reasons = " ".join(f"{option.name}: {option.reason}." for option in left_out if option.group == group)
                raise UserError(f"No {group} is left to try. {reasons}")
        bases = _bases(conf_dir, overrides, tasks)
    return Cells(chosen["backbone"], chosen["decoder"], bases, left_out)


@contextmanager
def _composing(conf_dir: Path) -> Iterator[None]:
    """Let Hydra compose within the block; the program's own Hydra, where it runs, knows the folder already."""
    if GlobalHydra.instance().is_initialized():
        yield
        return
    with initialize_config_dir(str(conf_dir), version_base="1.3"):
        yield


def _matching(group: str, patterns: Patterns, names: Sequence[str]) -> list[str]:
    if patterns is None:
        return list(names)
    return matching(group, [patterns] if isinstance(patterns, str) else patterns, names)


def _contents(group: str, names: Sequence[str], left_out: list[LeftOut]) -> dict[str, Mapping[str, Any]]:
    """Return the checked contents of options; those that can't be a cell are added to `left_out`."""
    found: dict[str, Mapping[str, Any]] = {}
    for name in names:
        source = name.partition("_")[0]
        if source in PACKAGES and not installed(source):
            reason = f"{source} is not installed ({install_command(source)})"
            left_out.append(LeftOut(group, name, reason))
            continue
        node = compose(f"{group}/{name}")
        for part in group, *Path(name).parts[:-1]:  # an option in a subfolder of its group comes with its path
            node = node[part]
        missing = sorted(OmegaConf.missing_keys(node))
        if missing:
            reason = f"it stands for all of its kind: {missing[0]} has to be given"
            left_out.append(LeftOut(group, name, reason))
            continue
        plain = OmegaConf.to_container(node, resolve=True)
        assert isinstance(plain, dict)
        found[name] = check_node(group, {str(key): value for key, value in plain.items()})
    return found


def _bases(conf_dir: Path, overrides: Sequence[str], tasks: Patterns) -> dict[str, Basis]:
    known = options(conf_dir, "task")
    wanted = _matching("task", tasks, known)
    if not any(text.lstrip("+").startswith("data=") for text in overrides):
        return {task: _basis(conf_dir, [*overrides, f"task={task}"], f" (task={task})") for task in wanted}
    # Data that was given has labels of one kind.
    basis = _basis(conf_dir, overrides, "")
    kind = basis.preview.target.kind
    if kind not in wanted:
        raise UserError(
            f"task={','.join(wanted)}: this data has labels for task={kind}. Write task={kind}, or leave it out."
        )
    return {kind: _basis(conf_dir, [*overrides, f"task={kind}"], "")}


def _basis(conf_dir: Path, overrides: Sequence[str], of_task: str) -> Basis:
    try:
        config = check(compose("config", overrides=list(overrides)), groups(conf_dir))
    except (HydraException, OmegaConfBaseException) as error:
        # Each task has a head, data and settings of its own; what one has, another may lack.
        text = f"{first_line(error)}."
        raise UserError(
            f"The command line can't be composed{of_task}: {text} task=NAME chooses the tasks to try."
        ) from error
    data = config["data"]
    source = data_source(data)
    if source is None:
        raise UserError(
            f"The doctor takes declared data, such as data=geotiff; data._target_={data['_target_']} is a data module."
        )
    return Basis(config, preflight(source, lambda available: list(source.bands or available)))

"""Two thousand command lines out of conf/, right and wrong: each is understood, or answered in one message."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from geocompose.catalog.checks import check_source_names
from geocompose.configuration.checking import check
from geocompose.configuration.diagnosis import diagnose, groups
from geocompose.configuration.overrides import check_hydra_keys
from geocompose.data.declaration import DataSource
from geocompose.data.preflight import data_source
from geocompose.errors import UserError
from tests.kit.places import CONF

LINES, BATCHES, SEED = 2000, 20, 20251
VALUES = [
    "0", "1", "-1", "3", "16", "1000000000", "1e-3", "0.5", "-0.5", "1e300", "nan", "inf", "true", "false", "null",
    "", "x", "''", "'a b'", "a b", "[]", "[1, 2]", "[a, b]", "[[1], [2]]", "{}", "{a: b}", "[", "}", "'", "é", "[/b]",
    "RED", "[RED,GREEN]", "[RED,RED]", "[GREN]", "../x", "/nowhere", "~/x", "a=b", "a,b", "-", "???", "1_000", "0x10",
    "${seed}", "${nothing}", "${oc.env:NOTHING_OF_THIS_NAME}", "999999999999999999999999999999",
]  # fmt: skip
GROUPS = [name for name in groups(CONF) if name not in ("experiment", "hydra", "action")]


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def keys(group: str, option: str) -> list[str]:
    content: Any = yaml.safe_load((CONF / group / f"{option}.yaml").read_text())
    return [key for key in content or {} if not key.startswith("_") and key != "defaults"]


def misspelt(text: str, drawn: random.Random) -> str:
    place = drawn.randrange(len(text))
    return drawn.choice([text[:place] + text[place + 1 :], text[:place] + "x" + text[place:], text.upper()])


def line(drawn: random.Random) -> list[str]:
    """Return a command line: some options, some keys of theirs with any values, some of it misspelt."""
    chosen = {group: drawn.choice(options(group)) for group in drawn.sample(GROUPS, drawn.randint(1, 4))}
    overrides = [f"{group}={option}" for group, option in chosen.items()]
    for _ in range(drawn.randint(0, 3)):
        group = drawn.choice(list(chosen))
        own = keys(group, chosen[group])
        key = f"{group}.{drawn.choice(own)}" if own else drawn.choice(["seed", "study", "debug", "retry"])
        overrides.append(f"{drawn.choice(['', '', '', '', '+', '++'])}{key}={drawn.choice(VALUES)}")
    if drawn.random() < 0.3:
        place = drawn.randrange(len(overrides))
        key, _, value = overrides[place].partition("=")
        overrides[place] = drawn.choice([f"{misspelt(key, drawn)}={value}", f"{key}={misspelt(value or 'x', drawn)}"])
    return overrides


def answered(overrides: list[str]) -> UserError | None:
    """Return what the program answers before it reads data or loads torch; None where all is understood."""
    try:
        check_hydra_keys(overrides)
        with initialize_config_dir(str(CONF), version_base="1.3"):
            composed = compose("config", overrides=overrides)
        config = check(composed, groups(CONF))
        check_source_names(config)
        if "root" not in config["data"]:
            assert isinstance(data_source(config["data"]), DataSource)
    except UserError as error:
        return error
    except (HydraException, OmegaConfBaseException) as error:
        return diagnose(overrides, CONF) or UserError(str(error).splitlines()[0])
    return None


def batches() -> Iterator[list[list[str]]]:
    drawn = random.Random(SEED)
    for _ in range(BATCHES):
        yield [line(drawn) for _ in range(LINES // BATCHES)]


@pytest.mark.slow
@pytest.mark.parametrize("batch", list(batches()), ids=range(BATCHES))
def test_a_command_line_is_understood_or_answered_in_one_message(batch: list[list[str]]) -> None:
    refused = 0
    for overrides in batch:
        answer = answered(overrides)
        if answer is not None:
            refused += 1
            said = str(answer)
            assert said, overrides
            assert len(said.splitlines()) == 1, (overrides, said)
            assert "unexpected" not in said.lower(), (overrides, said)
            assert "Traceback" not in said, (overrides, said)
    assert 0 < refused < len(batch)

"""The space of a search in Hydra's own syntax."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from geocompose.errors import UserError
from geocompose.search.space import Choice, Numbers, Space, space_of


def space(*lines: str) -> Space:
    return space_of(OverridesParser.create().parse_overrides(list(lines)))


@pytest.mark.parametrize(
    ("line", "dimension"),
    [
        ("decoder=upernet,fcn", Choice("decoder", ("upernet", "fcn"))),
        ("data.batch_size=choice(4,8)", Choice("data.batch_size", ("4", "8"))),
        ("+x.y=1,2", Choice("+x.y", ("1", "2"))),
        ("x=[1,2],[3]", Choice("x", ("[1,2]", "[3]"))),
        ("lr=interval(0.1,0.9)", Numbers("lr", 0.1, 0.9, False)),
        ("lr=tag(log, interval(1e-5,1e-2))", Numbers("lr", 1e-5, 1e-2, False, log=True)),
        ("n=int(interval(1,9))", Numbers("n", 1, 9, True)),
        ("n=tag(int, log, interval(1,64))", Numbers("n", 1.0, 64.0, True, log=True)),
        ("n=range(1,8,3)", Numbers("n", 1, 7, True, 3)),
        ("n=range(0.1,0.5,0.1)", Numbers("n", 0.1, 0.4, False, 0.1)),
        ("n=range(5,6)", Choice("n", ("5",))),
    ],
)
def test_what_hydra_writes_is_a_dimension(line, dimension):
    assert space(line).dimensions == (dimension,)


def test_numbers_are_short_and_stay_within_their_ends():
    numbers = Numbers("lr", 1e-5, 0.00123456, False, log=True)
    assert numbers.value(0.000345678) == 0.0003457
    assert numbers.value(0.0012345599) == 0.00123456
    assert Numbers("n", 0.1, 0.4, False, 0.1).values() == [0.1, 0.2, 0.3, 0.4]


def test_what_does_not_vary_is_part_of_every_point_and_the_search_of_none():
    found = space("study=x", "search=tpe", "search.trials=3", "seed=1", "lr=1,2", "n=range(1,4)", "~x", "seed=2")
    assert found.fixed == ("study=x", "~x", "seed=2")
    assert found.size == 6
    assert found.overrides({"lr": "1", "n": 3}) == ["study=x", "~x", "seed=2", "lr=1", "n=3"]
    assert len(list(found.points())) == 6


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("seed=0,1", "a seed that scores well is luck"),
        ("data=a,b", "scores on other data"),
        ("data.seed=0,1", "scores on other data"),
        ("data.split_files.train=a,b", "scores on other data"),
        ("data.variables=[a],[b]", "scores on other data"),
        ("data.fold=0,1", "a fold that scores well is luck"),
        ("data.folds=3,5", "a fold that scores well is luck"),
        ("data.fraction=0.1,1", "more labels nearly always score higher"),
        ("protocol=pangaea,geobench2", "protocol can't be searched, because it sets many keys at once"),
        ("experiment=a,b", "experiment can't be searched"),
        ("task=a,b", "scores on other data or of another task"),
        ("launcher.workers=1,2", "it changes no score"),
        ("lr=tag(lin, interval(1,2))", "knows the tags log and int; got lin"),
        ("lr=tag(log, interval(0,2))", "above 0; got 0"),
        ("lr=tag(log, choice(1,2))", "not for listed values"),
        ("lr=tag(log, range(1,9,2))", "in steps of 1"),
        ("lr=interval(2,1)", "from a smaller to a larger number"),
        ("n=tag(int, interval(1,2.5))", "has integers as its ends"),
        ("n=shuffle(1,2)", "leave shuffle"),
        ("n=range(3,3)", "has no values"),
    ],
)
def test_what_can_not_vary_is_refused(line, says):
    with pytest.raises(UserError, match=says.replace("(", r"\(")):
        space(line)


def test_keys_of_data_and_task_may_vary():
    assert [each.key for each in space("data.batch_size=4,8", "task.layer_decay=0.7,0.9").dimensions] == [
        "data.batch_size", "task.layer_decay",
    ]  # fmt: skip

"""What a model's output means for each kind of task, and what of it can be written."""

import math

import pytest
import torch

from geocompose.errors import UserError
from geocompose.imagery.samples import Target
from geocompose.inference.answers import answers, check_output, first_not_finite
from geocompose.inference.content import CONTENTS, check_names, choose_content
from geocompose.inference.tally import Tally

KINDS = ("segmentation", "regression", "classification", "multilabel", "scalar_regression")


def target_of(kind, names=("a", "b"), mean=(10.0, 0.0), std=(2.0, 1.0)):
    if kind in ("regression", "scalar_regression"):
        return Target(kind, names, mean=mean[: len(names)], std=std[: len(names)])
    return Target(kind, names)


@pytest.mark.parametrize("kind", KINDS)
def test_the_content_that_fits_the_task_is_the_default(kind):
    expected = "values" if kind.endswith("regression") else "classes"
    assert choose_content(None, target_of(kind)) == expected
    for content in CONTENTS[kind]:
        assert choose_content(content, target_of(kind)) == content


@pytest.mark.parametrize(
    ("kind", "content", "fitting"),
    [
        ("segmentation", "values", "classes, probabilities"),
        ("regression", "probabilities", "values"),
        ("scalar_regression", "classes", "values"),
    ],
)
def test_a_kind_that_does_not_fit_the_task_is_refused_with_what_does(kind, content, fitting):
    with pytest.raises(UserError, match=rf"action.kind={content} does not fit .* task {kind}\..*Allowed: {fitting}\."):
        choose_content(content, target_of(kind))


LOGITS = torch.tensor([[2.0, 0.0], [-1.0, 3.0]])


def test_classes_of_pixels_and_images_are_the_most_probable():
    maps = LOGITS[:, :, None, None].expand(2, 2, 3, 4)
    assert answers(LOGITS, target_of("classification"), "classes").tolist() == [[0], [1]]
    pixels = answers(maps, target_of("segmentation"), "classes")
    assert pixels.shape == (2, 1, 3, 4)
    assert pixels[:, 0, 0, 0].tolist() == [0, 1]


def test_probabilities_of_one_class_each_sum_to_1_and_those_of_several_do_not():
    one = answers(LOGITS, target_of("classification"), "probabilities")
    torch.testing.assert_close(one, LOGITS.softmax(dim=1))
    several = answers(LOGITS, target_of("multilabel"), "probabilities")
    torch.testing.assert_close(several, LOGITS.sigmoid())


def test_a_class_of_several_is_there_from_a_probability_of_one_half_on():
    logits = torch.tensor([[0.0, -0.1], [0.1, 5.0]])
    assert answers(logits, target_of("multilabel"), "classes").tolist() == [[1, 0], [1, 1]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_numbers_are_in_the_physical_unit_and_float32_whatever_the_model_computed_in(dtype):
    scalar = answers(torch.tensor([[1.0, 5.0]], dtype=dtype), target_of("scalar_regression"), "values")
    assert scalar.dtype == torch.float32
    assert scalar.tolist() == [[12.0, 5.0]]
    single = answers(torch.full((3, 4, 5), 0.5, dtype=dtype), target_of("regression", ("a",)), "values")
    assert single.shape == (3, 1, 4, 5)
    assert (single == 11).all()
    several = answers(torch.full((3, 2, 4, 5), 0.5, dtype=dtype), target_of("regression"), "values")
    assert several[0, :, 0, 0].tolist() == [11.0, 0.5]
    probabilities = answers(LOGITS.to(dtype), target_of("classification"), "probabilities")
    assert probabilities.dtype == torch.float32


IMAGES = torch.zeros(3, 6, 8, 9)


@pytest.mark.parametrize(
    ("kind", "names", "right"),
    [
        ("segmentation", ("a", "b"), (3, 2, 8, 9)),
        ("regression", ("a",), (3, 8, 9)),
        ("regression", ("a", "b"), (3, 2, 8, 9)),
        ("classification", ("a", "b"), (3, 2)),
        ("multilabel", ("a", "b"), (3, 2)),
        ("scalar_regression", ("a",), (3,)),
        ("scalar_regression", ("a", "b"), (3, 2)),
    ],
)
def test_an_output_of_another_shape_is_refused_with_the_right_one(kind, names, right):
    target = target_of(kind, names)
    check_output(torch.zeros(right), IMAGES, target)
    shown = " x ".join(map(str, right))
    for wrong in ((3, 7, *right[2:]), (2, *right[1:]), (*right, 1), (3, 1, *right[1:])):
        with pytest.raises(UserError, match=rf"returned {' x '.join(map(str, wrong))} for 3 x 6 x 8 x 9;.*{shown}\."):
            check_output(torch.zeros(wrong), IMAGES, target)


@pytest.mark.parametrize("shape", [(3,), (3, 2), (3, 2, 4, 4)])
def test_the_first_output_that_is_no_number_is_found(shape):
    output = torch.zeros(shape)
    assert first_not_finite(output) is None
    output[1:] = math.nan
    assert first_not_finite(output) == 1
    output[0] = math.inf
    assert first_not_finite(output) == 0


@pytest.mark.parametrize(
    ("kind", "names", "message"),
    [
        ("segmentation", ("a",), "2 to 65535 classes, got 1"),
        ("regression", (), "1 to 65535 variables, got 0"),
        ("regression", ("a", "a"), "Two variables have one name: a, a"),
        ("multilabel", ("a", "a"), "Two classes have one name: a, a"),
    ],
)
def test_names_that_cannot_be_told_apart_are_refused(kind, names, message):
    with pytest.raises(UserError, match=message):
        check_names(Target(kind, names))


def test_a_tally_counts_classes_or_ranges_over_all_that_was_added():
    single = Tally(target_of("segmentation"))
    single.add(torch.tensor([[0, 1, 1]]).numpy())
    single.add(torch.tensor([[0.6, 0.2], [0.4, 0.8]]).numpy())
    assert (single.count, single.classes, single.variables) == (5, {"a": 2, "b": 3}, {})
    several = Tally(target_of("multilabel"))
    several.add(torch.tensor([[1, 1], [0, 1]]).numpy())
    assert (several.count, several.classes) == (2, {"a": 2, "b": 1})
    numbers = Tally(target_of("regression"))
    numbers.add(torch.tensor([[1.0, 3.0], [5.0, 5.0]]).numpy())
    numbers.add(torch.tensor([[-4.0], [8.0]]).numpy())
    assert numbers.variables == {"a": (-4.0, 0.0, 3.0), "b": (5.0, 6.0, 8.0)}
    assert numbers.classes == {}
    assert all(math.isnan(number) for number in Tally(target_of("regression")).variables["a"])

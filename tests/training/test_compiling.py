"""Compiled parts: the same weights by the same names, the same numbers, and nothing compiled again for sizes seen."""

import pytest
import torch

from geocompose.errors import UserError
from geocompose.training.compiling import check_compiler, compile_parts
from tests.kit.tiny_tasks import TARGETS, model


def test_names_of_weights_stay_and_sizes_seen_are_not_compiled_again():
    graphs = []

    def count(graph, inputs):
        graphs.append(graph)
        return graph.forward

    plain, compiled = (model(TARGETS["segmentation"], aux=("aux",)) for _ in range(2))
    compile_parts(compiled, backend=count)

    def epoch():
        outputs = []
        for one in (plain, compiled):
            one.train()
            torch.manual_seed(0)
            batches = [torch.randn(size, 2, 8, 8) for size in (4, 4, 3)]
            outputs.append([one(batch).output for batch in batches])
            sum(output.sum() for output in outputs[-1]).backward()
            with torch.no_grad():
                outputs[-1].append(one.eval()(batches[0]).output)
        return outputs

    epoch()
    first = len(graphs)
    expected, found = epoch()
    assert first >= 3
    assert len(graphs) == first
    assert all(torch.equal(one, other) for one, other in zip(expected, found, strict=True))
    assert list(compiled.state_dict()) == list(plain.state_dict())


def test_a_missing_compiler_is_told_before_anything_is_compiled(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UserError, match=r"trainer\.compile=true needs a C\+\+ compiler.*CXX=no-such-compiler"):
        check_compiler()

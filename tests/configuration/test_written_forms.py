"""A part of one's own is checked however its module writes it: in blocks, re-exported, as a partial, decorated."""

from pathlib import Path

import pytest

from geocompose.configuration.checking import check_node
from geocompose.configuration.signatures import arguments, class_constant, names_in
from geocompose.errors import UserError
from tests.kit.own_modules import own_module

INIT = "def __init__(self, channel_list, channels: int = 8): ..."
NET = f"class Net:\n    kind = 'segmentation'\n    {INIT}"
BLOCK = NET.replace("\n", "\n    ")
BASE = NET.replace("Net", "Base")
DEEPER = BLOCK.replace("\n", "\n    ")
KEPT = f"\n@keep\n{NET}"
KEEP = "def keep(part):\n    TABLE.append(part)\n    part.note = 'mine'\n    return part"
NAMED = (
    "def keep(name, *, tag=None):\n    def inner(part):\n        TABLE[name] = part\n        return part\n"
    "    return inner"
)
WRAPS = (
    "from functools import wraps\ndef timed(function):\n    @wraps(function)\n    def inner(*args, **kwargs):\n"
    "        return function(*args, **kwargs)\n    return inner"
)
WRITTEN = {
    "try": f"try:\n    {BLOCK}\nexcept ImportError:\n    Net = None",
    "except": f"try:\n    from not_there import Net\nexcept ImportError:\n    {BLOCK}",
    "else of try": f"try:\n    import json\nexcept ImportError:\n    Net = None\nelse:\n    {BLOCK}",
    "finally": f"try:\n    import json\nfinally:\n    {BLOCK}",
    "if": f"if READY:\n    {BLOCK}",
    "if and null": f"Net = None\nif READY:\n    {BLOCK}",
    "if and null in else": f"if READY:\n    {BLOCK}\nelse:\n    Net = None",
    "else": f"if READY:\n    Net = None\nelse:\n    {BLOCK}",
    "two alike": f"if READY:\n    {BLOCK}\nelse:\n    {BLOCK}",
    "TYPE_CHECKING": f"from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    {BLOCK}\nelse:\n    Net = made()",
    "Python's version": f"import sys\nif sys.version_info >= (3, 9):\n    {BLOCK}\nelse:\n    class Net:\n"
        "        def __init__(self, width): ...",
    "not the platform": f"import sys\nif not sys.platform == 'plan9':\n    {BLOCK}\nelse:\n"
        "    from not_there import Net",
    "with": f"with open(__file__):\n    {BLOCK}",
    "for": f"for _ in range(1):\n    {BLOCK}",
    "match": f"match 1:\n    case _:\n        {DEEPER}",
    "blocks in blocks": f"try:\n    if READY:\n        {DEEPER}\nexcept OSError:\n    raise",
    "partial": f"from functools import partial\n{BASE}\nNet = partial(Base, channels=16)",
    "functools.partial": f"import functools\n{BASE}\nNet = functools.partial(Base, channels=16)",
    "partial of a partial": f"import functools as f\n{BASE}\nOther = f.partial(Base)\n"
        "Net = f.partial(Other, channels=16)",
    "positional partial": "from functools import partial as bound\nclass Base:\n    kind = 'segmentation'\n"
        "    def __init__(self, first, channel_list, channels: int = 8): ...\nNet = bound(Base, 1)",
    "own decorator": f"TABLE = []\n{KEEP}{KEPT}",
    "own decorator with arguments": f"TABLE = {{}}\n{NAMED}\n@keep('net', tag=1)\n{NET}",
    "own decorator called": f"TABLE = []\n{KEEP}\n{BASE}\nNet = keep(Base)",
    "registered by a call": f"{BASE}\nNet = register('net')(Base)",
    "classes of a class": f"class Outer:\n    {BLOCK}\nNet = Outer.Net",
}  # fmt: skip
FUNCTIONS = {
    "wrapped": f"{WRAPS}\n@timed\ndef Net(channel_list, channels: int = 8): ...",
    "lambda": "Net = lambda channel_list, channels=8: None",
}


@pytest.fixture
def written(tmp_path, monkeypatch, request):
    """Write a module that says `raise` at its end: it is read, never imported. Return its name."""
    name = f"written_{abs(hash(request.node.nodeid)):x}"

    def write(text: str) -> str:
        Path(f"{name}.py").write_text(f"{text}\nraise RuntimeError('this module is read, never imported')\n")
        return name

    with own_module(tmp_path, name, "", monkeypatch):
        yield write


@pytest.mark.parametrize("form", [*WRITTEN, *FUNCTIONS])
def test_the_arguments_are_read_in_every_form(form, written):
    found = arguments(f"{written({**WRITTEN, **FUNCTIONS}[form])}.Net")
    assert found is not None
    assert list(found) == ["channel_list", "channels"]
    assert found["channel_list"].required
    assert not found["channels"].required


@pytest.mark.parametrize("form", WRITTEN)
def test_what_a_class_declares_is_read_in_every_form(form, written):
    assert class_constant(f"{written(WRITTEN[form])}.Net", "kind") == "segmentation"


PLACES = (
    "backbone",
    "neck.necks[0]",
    "decoder",
    "head",
    "task",
    "task.loss",
    "trainer.callbacks[0]",
    "logger",
    "data.module",
)


@pytest.mark.parametrize("form", ["except", "if", "partial", "own decorator with arguments"])
@pytest.mark.parametrize("place", PLACES)
def test_a_misspelt_key_is_told_wherever_the_part_stands(place, form, written):
    node = {"_target_": f"{written(WRITTEN[form])}.Net", "_partial_": True, "chanels": 16}
    with pytest.raises(UserError, match=r"has no key 'chanels'. Did you mean 'channels'\?"):
        check_node(place, node)
    with pytest.raises(UserError, match="channels takes a whole number; got 'many'"):
        check_node(place, {"_target_": node["_target_"], "_partial_": True, "channels": "many"})


@pytest.mark.parametrize("place", PLACES)
def test_a_misspelt_required_key_is_told_as_misspelt_and_not_as_missing(place, written):
    node = {"_target_": f"{written(NET)}.Net", "chanel_list": [1]}
    with pytest.raises(UserError, match=r"has no key 'chanel_list'. Did you mean 'channel_list'\?"):
        check_node(place, node)


def test_of_two_that_differ_each_ones_keys_are_taken_and_no_others(written):
    text = (
        "if READY:\n    class Net:\n        def __init__(self, width: int, depth: int): ...\n"
        "else:\n    class Net:\n        def __init__(self, width: int, depth: str = 'deep', more: float = 1.0): ...\n"
    )
    target = f"{written(text)}.Net"
    found = arguments(target)
    assert found is not None
    assert {name: each.required for name, each in found.items()} == {"width": True, "depth": False, "more": False}
    assert check_node("loss", {"_target_": target, "width": 2, "depth": "deep"})["depth"] == "deep"
    with pytest.raises(UserError, match=r"has no key 'widht'. Did you mean 'width'"):
        check_node("loss", {"_target_": target, "widht": 1})
    with pytest.raises(UserError, match="width takes a whole number"):
        check_node("loss", {"_target_": target, "width": "wide"})


BASE_OF_THREE = "class Base:\n    def __init__(self, first, width: int = 1, depth: int = 2): ...\nclass Net(Base):\n"
HANDED_ON = {
    "all": ("def __init__(self, *args, own: int = 0, **kwargs):\n        super().__init__(*args, **kwargs)",
        ["first", "width", "depth", "own"]),
    "the rest": ("def __init__(self, first, own: int = 0, **kwargs):\n        super().__init__(first, **kwargs)",
        ["first", "own", "width", "depth"]),
    "some by name": ("def __init__(self, first, **kwargs):\n        super().__init__(first, depth=3, **kwargs)",
        ["first", "width"]),
    "a decorated one": ("@no_grad\n    def __init__(self, **kwargs):\n        super().__init__(**kwargs)",
        ["first", "width", "depth"]) ,
}  # fmt: skip
KEPT_BACK = {
    "more is done with them": "def __init__(self, **kwargs):\n        log(kwargs)\n        super().__init__(**kwargs)",
    "they go elsewhere": "def __init__(self, **kwargs):\n        super().__init__(1)\n        self.a = made(**kwargs)",
    "they go nowhere": "def __init__(self, **kwargs): ...",
    "others stand between": "def __init__(self, *args, **kwargs):\n        super().__init__(*other, **kwargs)",
    "two calls": "def __init__(self, **kwargs):\n        super().__init__(**kwargs)\n        super().__init__(1)",
}


@pytest.mark.parametrize("form", HANDED_ON)
def test_what_a_constructor_hands_on_to_its_base_is_checked_too(form, written):
    text, names = HANDED_ON[form]
    found = arguments(f"{written(f'{BASE_OF_THREE}    {text}')}.Net")
    assert found is not None
    assert list(found) == names


@pytest.mark.parametrize("form", KEPT_BACK)
def test_keywords_that_a_constructor_does_not_just_hand_on_are_not_guessed(form, written):
    assert arguments(f"{written(f'{BASE_OF_THREE}    {KEPT_BACK[form]}')}.Net") is None


UNKNOWN = {
    "a decorator that wraps": f"def keep(part):\n    return lambda *args: part(*args){KEPT}",
    "a decorator of two ways": f"def keep(part):\n    if DEBUG:\n        return other\n    return part{KEPT}",
    "a decorator that changes the constructor": f"def keep(part):\n    part.__init__ = other\n    return part{KEPT}",
    "a decorator that sets it": f"def keep(part):\n    setattr(part, '__init__', x)\n    return part{KEPT}",
    "a decorator that binds anew": f"def keep(part):\n    part = other(part)\n    return part{KEPT}",
    "a decorator without a result": f"def keep(part):\n    TABLE.append(part){KEPT}",
    "a decorated decorator": f"{KEEP.replace('def keep', '@other' + chr(10) + 'def keep')}{KEPT}",
    "a partial of no one": "from functools import partial\nNet = partial(made(), channels=1)",
    "a partial of another kind": f"from mine import partial\n{BASE}\nNet = partial(Base, channels=1)",
    "a partial of a mapping": f"from functools import partial\n{BASE}\nNet = partial(Base, **given)",
    "a class made by a function": f"def made():\n    {BLOCK}\n    return Net\nNet = made()",
    "one of two": f"if READY:\n    {BLOCK}\nelse:\n    Net = made()",
}  # fmt: skip


@pytest.mark.parametrize("form", UNKNOWN)
def test_what_source_does_not_tell_is_not_guessed(form, written):
    assert arguments(f"{written(UNKNOWN[form])}.Net") is None


def test_parts_in_blocks_are_among_those_to_choose_from(written):
    name = written(f"try:\n    {BLOCK}\nexcept ImportError:\n    class Other: ...")
    assert names_in(name) == ["Net", "Other"]
    with pytest.raises(UserError, match=r"can't be found.* Did you mean 'Net'"):
        check_node("decoder", {"_target_": f"{name}.Nte"})

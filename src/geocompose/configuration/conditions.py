"""Conditions at module level that are decided without running the module: of Python's version and the platform."""

import ast
import operator
import sys
from collections.abc import Callable, Mapping
from typing import Any

_FACTS: Mapping[str, Any] = {
    "sys.version_info": tuple(sys.version_info),
    "sys.version_info.major": sys.version_info.major,
    "sys.version_info.minor": sys.version_info.minor,
    "sys.version_info[0]": sys.version_info.major,
    "sys.version_info[1]": sys.version_info.minor,
    "sys.version_info[:2]": tuple(sys.version_info[:2]),
    "sys.platform": sys.platform,
}
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}  # fmt: skip


def decided(test: ast.expr) -> bool | None:
    """Return whether a condition holds, or None where that is only known when it runs."""
    if isinstance(test, ast.Constant):
        return bool(test.value)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = decided(test.operand)
        return None if inner is None else not inner
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return None
    compare = _COMPARISONS.get(type(test.ops[0]))
    sides = [_value(side) for side in (test.left, test.comparators[0])]
    if compare is None or None in sides:
        return None
    try:
        return compare(*sides)
    except TypeError:  # kinds that have no order; the module will say so itself
        return None


def _value(expression: ast.expr) -> Any:
    """Return a fact or a literal; None for anything else."""
    fact = _FACTS.get(ast.unparse(expression))
    if fact is not None:
        return fact
    try:
        return ast.literal_eval(expression)
    except ValueError:
        return None

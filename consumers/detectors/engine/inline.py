"""The float side of "one source for arrays and floats": detectors with the namespace's operations inlined.

A call of `where` or `maximum` costs Python more than what it computes. So for floats the source of a module is
read once, `where(c, a, b)` becomes `a if c else b`, `maximum(a, b)` becomes `a if a > b else b`, `&` becomes
`and`, and so on, and the result is compiled under the module's own file and line numbers. The operations on
numbers stay as they are, in their order, so the bits do.
"""

from __future__ import annotations

import ast
import inspect
import math
from functools import cache
from types import ModuleType
from typing import Any

from consumers.contracts.detector import DetectorSpecError

_COMPARISONS: dict[str, type[ast.cmpop]] = {"maximum": ast.Gt, "minimum": ast.Lt}
_FUNCTIONS = {"sqrt": "sqrt", "absolute": "abs"}
_NAMESPACE = "xp"


@cache
def for_floats(module: ModuleType) -> ModuleType:
    """Return a copy of `module` whose functions of a namespace `xp` work on floats, and ignore it."""
    tree = _Inliner(f"{module.__name__.replace('.', '/')}.py").visit(ast.parse(inspect.getsource(module)))
    floats = ModuleType(module.__name__, module.__doc__)
    floats.__dict__.update(__package__=module.__package__, __file__=module.__file__)
    floats.__dict__["sqrt"] = math.sqrt
    code = compile(ast.fix_missing_locations(tree), str(module.__file__), "exec")
    exec(code, floats.__dict__)  # noqa: S102 - our own source, as it was imported
    return floats


class _Inliner(ast.NodeTransformer):
    def __init__(self, place: str) -> None:
        self._place = place
        self._temporaries = 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        if not any(argument.arg == _NAMESPACE for argument in node.args.args):
            return node
        return self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
        if all(_of_namespace(value) for value in values):
            return None
        return self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.BitAnd | ast.BitOr):
            operator = ast.And() if isinstance(node.op, ast.BitAnd) else ast.Or()
            return ast.BoolOp(operator, [node.left, node.right])
        return node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        where = f"{self._place}, line {node.lineno}"
        allowed = "written out, as in a = a + b: arrays would change in place, wherever else they are held"
        raise DetectorSpecError(f"`{ast.unparse(node)}`", where=where, allowed=allowed)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        return ast.UnaryOp(ast.Not(), node.operand) if isinstance(node.op, ast.Invert) else node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        match node.func:
            case ast.Name(id=name):
                pass
            case ast.Attribute(value=ast.Name(id="xp"), attr=name):
                pass
            case _:
                return node
        return self._inlined(name, node)

    def _inlined(self, name: str, node: ast.Call) -> ast.AST:
        if name == "where":
            condition, yes, no = node.args
            return ast.IfExp(condition, yes, no)
        if name in _COMPARISONS:
            return self._larger(_COMPARISONS[name](), *node.args)
        if name in ("any", "maybe"):
            return node.args[0]
        if name == "negate":
            return ast.UnaryOp(ast.Not(), node.args[0])
        if name in _FUNCTIONS:
            return ast.Call(ast.Name(_FUNCTIONS[name], ast.Load()), node.args, [])
        return node

    def _larger(self, comparison: ast.cmpop, left: ast.expr, right: ast.expr) -> ast.AST:
        (first, left), (second, right) = self._once(left), self._once(right)
        return ast.IfExp(ast.Compare(first, [comparison], [second]), left, right)

    def _once(self, value: ast.expr) -> tuple[ast.expr, ast.expr]:
        """Return the expression where it is read first, and where it is read again."""
        if isinstance(value, ast.Name | ast.Attribute | ast.Constant):
            return value, value
        self._temporaries += 1
        name = f"_{self._temporaries}"
        return ast.NamedExpr(ast.Name(name, ast.Store()), value), ast.Name(name, ast.Load())


def _of_namespace(value: Any) -> bool:
    match value:
        case ast.Attribute(value=ast.Name(id="xp")):
            return True
    return False

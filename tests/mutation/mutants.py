"""Small changes to a program, each of which a test ought to notice: source text -> mutants.

What is changed: comparisons, `and`/`or`/`not`, arithmetic, numbers, truth values, infinities, `min`/`max`, `any`/`all`, what is
returned, statements that do something (left out), `continue`/`break`. What is not: texts, docstrings, annotations, asserts,
`__slots__`, and what stands under `if TYPE_CHECKING`: a test that compares wording proves nothing about rules.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass, field

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
Path = tuple[tuple[str, int | None], ...]
"""The way from the top of a tree to a node: field, and place in it where it is a list."""
_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True, slots=True)
class Mutant:
    module: str
    line: int
    what: str
    """As it was -> as it is."""
    tree: ast.Module = field(repr=False)
    path: Path = field(repr=False)
    changed: ast.AST = field(repr=False)
    where: str = ""
    """The function in whose body it stands, `Class.method`; empty: in none, it takes part when the module is loaded."""
    lines: tuple[int, ...] = ()
    """Of the statement that holds it (of a compound one: its head): who runs one of them runs it."""
    nth: int = 0
    """Of those with the same words in the same place."""

    @property
    def name(self) -> str:
        return f"{self.module}:{self.line}: {self.what}"

    def source(self) -> str:
        """The whole changed module."""
        made = copy.deepcopy(self.tree)
        _put(made, self.path, self.changed)
        return ast.unparse(ast.fix_missing_locations(made))


def mutants(module: str, source: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its lines."""
    tree = ast.parse(source)
    for node, path in _walk(tree):
        for before, changed in _changes(node):
            line = getattr(node, "lineno", 0)
            after = "(left out)" if isinstance(changed, ast.Pass) else ast.unparse(changed).partition("\n")[0]
            yield Mutant(module, line, f"{before} -> {after}", tree, path, changed, *_place(tree, path))


def _place(tree: ast.AST, path: Path) -> tuple[str, tuple[int, ...]]:
    """The function around the end of a path, and the lines of the statement there."""
    node, names, inside, statement = tree, [], False, tree
    for name, index in path:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and name == "body":
            names.append(node.name)
            inside = inside or not isinstance(node, ast.ClassDef)
        node = getattr(node, name) if index is None else getattr(node, name)[index]
        if isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
            statement = node
    first = getattr(statement, "lineno", getattr(getattr(statement, "pattern", None), "lineno", 0))
    body = getattr(statement, "body", None)
    last = body[0].lineno - 1 if isinstance(body, list) and body else getattr(statement, "end_lineno", first)
    return ".".join(names) if inside else "", tuple(range(first, max(first, last or first) + 1))


def _walk(node: ast.AST, path: Path = ()) -> Iterator[tuple[ast.AST, Path]]:
    """Nodes that may be changed, each with the way to it."""
    if isinstance(node, ast.Assert) or _is_for_types(node) or _is_slots(node):
        return
    yield node, path
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "type_params", "decorator_list"):
            continue
        for index, child in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(child, ast.AST) and not _is_docstring(node, name, child):
                yield from _walk(child, (*path, (name, index if isinstance(value, list) else None)))


def _is_docstring(node: ast.AST, name: str, child: ast.AST) -> bool:
    return name == "body" and isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _is_slots(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("__slots__", "__all__")


def _put(tree: ast.AST, path: Path, changed: ast.AST) -> None:
    for name, index in path[:-1]:
        tree = getattr(tree, name) if index is None else getattr(tree, name)[index]
    name, index = path[-1]
    if index is None:
        setattr(tree, name, changed)
    else:
        getattr(tree, name)[index] = changed


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """What the node may become, each with how it was."""
    before = ast.unparse(node) if not isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) else ""
    for changed in _expressions(node):
        yield before.partition("\n")[0], changed
    for statement in _statements(node):
        yield before.partition("\n")[0], statement


def _expressions(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(ops=[operator]):
            for other in _COMPARISONS.get(type(operator), ()):
                yield ast.Compare(node.left, [other()], node.comparators)
        case ast.BoolOp():
            yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        case ast.UnaryOp(op=ast.Not()):
            yield node.operand
        case ast.BinOp() if type(node.op) in _ARITHMETIC and not _is_text(node):
            yield ast.BinOp(node.left, _ARITHMETIC[type(node.op)](), node.right)
        case ast.Constant(value=bool()):
            yield ast.Constant(not node.value)
        case ast.Constant(value=int() | float()) if node.value + 1 != node.value:
            yield ast.Constant(node.value + 1)
        case ast.Attribute(attr="inf"):
            yield ast.Constant(0.0)
        case ast.Name(id=name) if name in _NAMES and isinstance(node.ctx, ast.Load):
            yield ast.Name(_NAMES[name], ast.Load())


def _is_text(node: ast.BinOp) -> bool:
    return any(
        isinstance(side, ast.JoinedStr) or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in (node.left, node.right)
    )


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Return(value=ast.expr() as value) if not _is_nothing(value):
            yield ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Raise() | ast.Delete():
            yield ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript(), *_]):
            yield ast.Pass()
        case ast.If() if not isinstance(node.test, ast.Compare | ast.UnaryOp):
            yield ast.If(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
        case ast.Continue():
            yield ast.Break()
        case ast.Break():
            yield ast.Continue()


def _is_nothing(value: ast.expr) -> bool:
    """None, and False: who is told one for the other does the same (True for it is another mutant)."""
    return isinstance(value, ast.Constant) and (value.value is None or value.value is False)

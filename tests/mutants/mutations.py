"""The mutants of a module: small changes of its source, each of which some test should notice.

What is changed: comparisons, conditions, operators, constants, arguments by name, fields of new values, returned
values, cases of a ``match``, and statements that are taken out. What is not: annotations, decorators, docstrings,
expressions inside an f-string, and functions' arguments by position: another type there is what mypy notices.
"""

import ast
import bisect
import copy
import dataclasses
import difflib
import hashlib
import itertools
from collections.abc import Callable, Iterator

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
SWAPPED_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


@dataclasses.dataclass(frozen=True, slots=True)
class Mutant:
    """One change of a module's source."""

    path: str
    """Relative to the repository's root."""
    scope: str
    """The qualified name of the outermost function that is changed; empty at the module's or a class's level."""
    line: int
    last_line: int
    start: int
    """The first byte that is replaced."""
    end: int
    replacement: str
    identity: str
    """The same for as long as the changed function is the same, wherever it stands."""

    def source(self, original: bytes) -> bytes:
        """Return the module's changed source. Lines keep their numbers."""
        return original[: self.start] + self.replacement.encode() + original[self.end :]

    def change(self, original: bytes) -> tuple[str, str]:
        """Return the changed lines before and after, without indentation and with single blanks."""
        before, after = original.decode().splitlines(), self.source(original).decode().splitlines()
        lines = [line for line in difflib.ndiff(before, after) if line[:2] in {"- ", "+ "}]
        return tuple(  # type: ignore[return-value]
            " ".join(" ".join(line[2:] for line in lines if line[:2] == sign).split()) for sign in ("- ", "+ ")
        )

    def diff(self, original: bytes) -> str:
        """Return the change as a unified diff without its head."""
        before, after = original.decode().splitlines(), self.source(original).decode().splitlines()
        return "\n".join(list(difflib.unified_diff(before, after, lineterm="", n=1))[2:])


def of_source(path: str, source: bytes) -> list[Mutant]:
    """Return a module's mutants, in the order of its lines."""
    walk = _Walk(path, source)
    walk.visit(ast.parse(source))
    return sorted(walk.mutants, key=lambda mutant: (mutant.start, mutant.end, mutant.replacement))


class _Walk(ast.NodeVisitor):
    """Goes through a module once and keeps the mutants that compile to something else."""

    def __init__(self, path: str, source: bytes) -> None:
        self.path, self.source = path, source
        self.mutants: list[Mutant] = []
        self._original = compile(source, path, "exec")
        lines = source.splitlines(keepends=True)
        self._line_starts = [0, *itertools.accumulate(len(line) for line in lines)]
        self._names: list[str] = []
        self._function: FUNCTIONS | None = None

    # Where things stand

    def _span(self, node: ast.AST) -> tuple[int, int]:
        start = self._line_starts[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]
        return start, self._line_starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]

    def _keep(self, span: tuple[int, int], text: str) -> None:
        """Keep a mutant, unless it is no Python or the compiler makes the same of it."""
        start, end = span
        lines = (
            bisect.bisect(self._line_starts, start),
            bisect.bisect(self._line_starts, end - 1 if end > start else end),
        )
        scope = ".".join(self._names) if self._function is not None else ""
        around = self._span(self._function) if self._function is not None else span
        facts = (self.path, scope, self.source[slice(*around)], start - around[0], end - start, text)
        identity = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
        mutant = Mutant(self.path, scope, *lines, start, end, text, identity)
        try:
            code = compile(mutant.source(self.source), self.path, "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            return
        if code != self._original:
            self.mutants.append(mutant)

    def _replace(self, node: ast.expr, text: str) -> None:
        """Put another expression in a node's place, as many lines long."""
        lines = (node.end_lineno or node.lineno) - node.lineno
        self._keep(self._span(node), f"({text}{chr(10) * lines})")

    def _change(self, node: ast.expr, change: Callable[[ast.expr], None]) -> None:
        """Replace a node by itself with something changed."""
        changed = copy.deepcopy(node)
        change(changed)
        self._replace(node, ast.unparse(ast.fix_missing_locations(changed)))

    def _take_out(self, node: ast.stmt) -> None:
        self._keep(self._span(node), "pass" + "\n" * ((node.end_lineno or node.lineno) - node.lineno))

    # Scopes, and what is left as it is

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._names.append(node.name)
        for child in node.body:
            self.visit(child)
        self._names.pop()

    def _visit_function(self, node: FUNCTIONS) -> None:
        if self._function is not None:
            self._visit_body(node)
            return
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self.visit(default)
        self._names.append(node.name)
        self._function = node
        self._visit_body(node)
        self._function = None
        self._names.pop()

    def _visit_body(self, node: FUNCTIONS) -> None:
        for child in node.body:
            self.visit(child)

    visit_FunctionDef = visit_AsyncFunctionDef = _visit_function  # noqa: N815

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        self._replace(node, "''")

    # Statements

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant) or "assert_never" in ast.unparse(node):
            return
        if self._function is not None:
            self._take_out(node)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        if self._function is not None and not isinstance(node.targets[0], ast.Name | ast.Tuple):
            self._take_out(node)
        self.visit(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._take_out(node)
        self.visit(node.value)

    def visit_Raise(self, node: ast.Raise) -> None:
        self._take_out(node)
        self.generic_visit(node)

    def visit_Delete(self, node: ast.Delete) -> None:
        self._take_out(node)

    def visit_Continue(self, node: ast.Continue) -> None:
        self._keep(self._span(node), "break")
        self._take_out(node)

    def visit_Break(self, node: ast.Break) -> None:
        self._keep(self._span(node), "continue")

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is None:
            self._take_out(node)
        elif not isinstance(node.value, ast.Constant | ast.Compare | ast.BoolOp | ast.UnaryOp | ast.JoinedStr):
            self._replace(node.value, "None")
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        self._decide(node.test)
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        if not isinstance(node.test, ast.Constant):
            self._replace(node.test, "False")
            self.generic_visit(node)
        else:
            for child in node.body:
                self.visit(child)

    def visit_match_case(self, node: ast.match_case) -> None:
        is_wildcard = isinstance(node.pattern, ast.MatchAs) and node.pattern.pattern is None
        if node.guard is None and not is_wildcard:
            end = self._span(node.pattern)[1]
            self._keep((end, end), " if False")
        if node.guard is not None:
            self._decide(node.guard)
            self.visit(node.guard)
        for child in node.body:
            self.visit(child)

    # Expressions

    def _decide(self, test: ast.expr) -> None:
        """Let a condition always hold, and never."""
        self._replace(test, "True")
        self._replace(test, "False")

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._decide(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self._decide(test)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        for index, operator in enumerate(node.ops):
            for other in COMPARISONS[type(operator)]:
                self._change(node, lambda copied, index=index, other=other: _put(copied.ops, index, other()))
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        other = ast.Or if isinstance(node.op, ast.And) else ast.And
        self._change(node, lambda copied: setattr(copied, "op", other()))
        for index in range(len(node.values)):
            self._change(node, lambda copied, index=index: copied.values.pop(index))
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if not isinstance(node.operand, ast.Constant):
            self._replace(node, ast.unparse(node.operand))
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        other = OPERATORS.get(type(node.op))
        if other is not None and self._function is not None:  # at the module's level `|` joins types
            self._change(node, lambda copied: setattr(copied, "op", other()))
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id in SWAPPED_CALLS:
            swapped = SWAPPED_CALLS[node.func.id]
            self._change(node, lambda copied: setattr(copied.func, "id", swapped))
        if ast.unparse(node.func).rpartition(".")[2][0].isupper():  # fields of a frozen value take whatever comes
            for argument in node.args:
                if not isinstance(argument, ast.Constant | ast.Starred | ast.JoinedStr):
                    self._replace(argument, "None")
        for index, keyword in enumerate(node.keywords):
            if keyword.arg is not None:
                self._change(node, lambda copied, index=index: copied.keywords.pop(index))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        for text in _other_constants(node.value):
            self._replace(node, text)


def _put(items: list[ast.cmpop], index: int, item: ast.cmpop) -> None:
    items[index] = item


def _other_constants(value: object) -> Iterator[str]:
    """Yield what stands in a constant's place. Of a sentence it is asked only that somebody looks at it."""
    match value:
        case bool():
            yield str(not value)
        case int() | float():
            yield repr(value + 1)
        case "" | b"":
            yield repr(value[:0] + (b"XX" if isinstance(value, bytes) else "XX"))
        case str() if " " in value:
            yield "''"
        case str():
            yield repr(f"XX{value}")
        case bytes():
            yield repr(b"XX" + value)

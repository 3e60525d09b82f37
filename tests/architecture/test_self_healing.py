"""The table of what is noticed and mended: each row names a test that exists."""

import ast
import pathlib
import re

REPOSITORY = pathlib.Path(__file__).parents[2]
TABLE = REPOSITORY / "ops/docs/self-healing.md"
_TEST = re.compile(r"`(tests/[\w/.]+\.py)::(\w+)`")


def rows() -> list[str]:
    """Return the table's rows without its head."""
    lines = [line for line in TABLE.read_text().splitlines() if line.startswith("|")]
    return lines[2:]


def test_table__each_row__names_a_test_that_exists() -> None:
    assert len(rows()) > 10
    for row in rows():
        named = _TEST.findall(row)
        assert named, f"no test: {row}"
        for path, name in named:
            module = ast.parse((REPOSITORY / path).read_text())
            functions = {
                node.name for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            }
            assert name in functions, f"{path} has no {name}"

"""Names are nouns of the field: no identifier of the agent ends in a word that says only what it is in a sentence."""

import ast
import pathlib
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).parents[2]
GLOSSARY = ROOT / "ops/docs/glossary.md"
WORDS = frozenset(
    {
        *("again", "found", "given", "gone", "known", "left", "made", "one", "place", "rest", "room", "said", "seen"),
        *("there", "thing", "told", "wanted", "way", "written"),
    }
)
FORMATS = frozenset({"place", "is_known"})
"""Fields of what is written to disk: ``Login.place``, ``DesiredState.is_known``."""
FIELDS_TERMS = frozenset(
    {"in_place", "bisect_left", "connection_made", "under_way", "not_found", "not_written", "minus_one"}
)


def identifiers(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield the names that a module binds, with their lines: variables, parameters, functions, classes, attributes."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno


def is_forbidden(name: str) -> bool:
    """Return whether a name is, or ends in, one of the words."""
    core = name.strip("_").lower()
    is_of_the_field = any(core == term or core.endswith(f"_{term}") for term in FIELDS_TERMS)
    return core.rsplit("_", 1)[-1] in WORDS and not is_of_the_field and core not in FORMATS


@pytest.mark.parametrize("path", sorted((ROOT / "agent").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_identifiers__are_nouns_of_the_field(path: pathlib.Path) -> None:
    tree = ast.parse(path.read_text())
    assert [f"{name} in line {line}" for name, line in identifiers(tree) if is_forbidden(name)] == []


def test_identifiers__that_only_say_their_grammar__are_seen() -> None:
    tree = ast.parse("for one in found: there = one\ndef f(wanted): self.told = in_place = wanted\n")
    forbidden = sorted(name for name, _ in identifiers(tree) if is_forbidden(name))
    assert forbidden == ["one", "there", "told", "wanted"]


def test_glossary__lists_the_words__and_names_only_what_is_there() -> None:
    text = GLOSSARY.read_text()
    section = text.partition("## Words that no identifier ends in")[2]
    assert all(word in section for word in WORDS)
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| ")][1:]
    locations = [word for row in rows for word in row[4].split("`")[1::2]]
    missing = [
        location
        for location in locations
        if not any((base / f"{location}{end}").exists() for base in (ROOT, ROOT / "agent") for end in ("", ".py"))
    ]
    assert missing == []

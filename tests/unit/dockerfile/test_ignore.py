"""``.dockerignore``: the rules of Docker's own matcher (moby/patternmatcher), pattern by pattern."""

import time

import pytest

from agent.dockerfile import ignore


@pytest.mark.parametrize(
    ("patterns", "path", "is_out"),
    [
        ("", "a", False),
        ("a", "a", True),
        ("a", "b/a", False),
        ("a", "a/b/c", True),
        ("a", "ab", False),
        ("/a", "a", True),
        ("./a/", "a/b", True),
        ("a/../b", "b", True),
        ("  a  ", "a", True),
        ("# a", "# a", False),
        (" # a", "# a", True),
        ("*", "a", True),
        ("*", "a/b", True),
        ("*.go", "a.go", True),
        ("*.go", "a/b.go", False),
        ("*.go", "axgo", False),
        ("*/b", "a/b", True),
        ("*/b", "a/c/b", False),
        ("a*b", "axxb", True),
        ("a*b", "ax/b", False),
        ("a*b*c", "abbcbc", True),
        ("a*b*c", "abbcb", False),
        ("a?", "ab", True),
        ("a?", "a/", False),
        ("a?", "a", False),
        ("**", "a/b", True),
        ("**/*.go", "a.go", True),
        ("**/*.go", "a/b/c.go", True),
        ("**/a", "a", True),
        ("**/a", "x/y/a/b", True),
        ("**/a", "xa", False),
        ("**a", "xa", True),
        ("**a", "y/xa", True),
        ("**.g?", "x.go", False),
        ("**.g?", "y/.go", True),
        ("a/**", "a/b/c", True),
        ("a/**", "a", False),
        ("a/**", "ab", False),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a/**/b", "a/x/yb", False),
        ("a**b", "ab", True),
        ("a**b", "ax/b", True),
        ("a**b", "axb", False),
        ("a/***/b", "a/x/b", True),
        ("**/a*b/**/c", "a1/ab/x/c", True),
        ("**/a*b/**/c", "a1/x/c", False),
        ("**/**/a", "x/a", True),
        ("[ab]c", "ac", True),
        ("[ab]c", "cc", False),
        ("[^ab]c", "xc", True),
        ("[^^]", "^", False),
        ("[a^]", "^", True),
        ("[^ab]c", "ac", False),
        ("[a-c]", "b", True),
        (r"[\]]", "]", True),
        (r"\*", "*", True),
        (r"\*", "a", False),
        (r"\#a", "#a", True),
        ("a.b+(c)|{d}$^", "a.b+(c)|{d}$^", True),
        ("日*", "日本", True),
        (".", "a", False),
        ("/", "a", False),
        ("a\n!a", "a", False),
        ("!a\na", "a", True),
        ("*\n!a", "a/b", False),
        ("*\n!a\na/b", "a/b", True),
        ("*\n!a/b", "a/b", False),
        ("*\n!a/b", "a/c", True),
        ("*\n! a", "a", False),
        ("*.md\n!README*.md\nREADME-secret.md", "README-x.md", False),
        ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", True),
        ("a\r\nb\r\n", "b", True),
        ("\ufeffa", "a", True),
        ("a\nA", "B", False),
        ("..", "a", False),
        ("**/node_modules", "web/node_modules/x/y.js", True),
    ],
)
def test_leaves_out__pattern_and_path__as_docker_does(patterns: str, path: str, is_out: bool) -> None:
    assert ignore.parse(patterns.encode()).leaves_out(path) is is_out


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a\n!\n", 2, "!: there is nothing behind the exclamation mark"),
        ("[a", 1, "[a: a bracket is not closed"),
        ("[^]", 1, "[^]: a bracket is not closed"),
        ("[^]-1cd\\*", 1, "[^]-1cd\\*: a bracket is not closed"),
        ("[a-]", 1, "[a-]: a bracket is not closed"),
        ("[a-b-c]", 1, "[a-b-c]: a bracket is not closed"),
        ("# x\n\na[]", 3, "a[]: a bracket is not closed"),
        ("a\\", 1, "a\\: there is nothing behind the backslash"),
        ("[b-a]", 1, "[b-a]: its characters are in no order"),
    ],
)
def test_parse__no_pattern__is_told_with_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(ignore.BadPattern) as error:
        ignore.parse(text.encode())
    assert (error.value.line, error.value.message, str(error.value)) == (line, message, message)


@pytest.mark.parametrize(("text", "expected"), [("a\n*.b", False), ("a\n!a/b", True)])
def test_may_bring_back__exclamation_marks__are_what_it_says(text: str, expected: bool) -> None:
    assert ignore.parse(text.encode()).may_bring_back is expected


@pytest.mark.parametrize("pattern", ["*a" * 40 + "b", "**/a" * 40 + "/b", "**/*a*" * 30 + "b", "[^b]*" * 60 + "b"])
def test_leaves_out__hostile_pattern__ends_soon(pattern: str) -> None:
    rules = ignore.parse(pattern.encode())
    begun = time.process_time()
    assert not rules.leaves_out("/".join(["a" * 250] * 15))
    assert time.process_time() - begun < 20  # a matcher that goes back needs ages


def test_parse__more_patterns_than_may_be__is_refused() -> None:
    lines = b"# a comment\n\n" + b"a\n" * ignore.MOST
    assert len(ignore.parse(lines).patterns) == ignore.MOST
    with pytest.raises(ignore.BadPattern, match=f"there are more than {ignore.MOST} patterns") as error:
        ignore.parse(lines + b"!b\n")
    assert error.value.line == ignore.MOST + 3

"""What COPY's sources name in a tree: paths, links and patterns, over a tree of a dictionary."""

import posixpath
import stat

import pytest

from agent.dockerfile import ignore
from agent.engine.build import trees


class Files:
    """A tree in memory: a path's value is a file's content; one that begins with ``->`` is a link."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = dict(files)
        for path in files:
            while path := posixpath.dirname(path):
                self.files.setdefault(path, "/")
        self.files[""] = "/"

    def status(self, path: str) -> trees.Status | None:
        """Return what a path is."""
        value = self.files.get(path)
        if value is None:
            return None
        kind = stat.S_IFDIR if value == "/" else stat.S_IFLNK if value.startswith("->") else stat.S_IFREG
        return trees.Status(kind | 0o644, 0, 0, len(value), 0)

    def names(self, path: str) -> list[str]:
        """Return the names in a folder."""
        prefix = f"{path}/" if path else ""
        below = (name.removeprefix(prefix) for name in self.files if name.startswith(prefix) and name != path)
        return sorted({name.partition("/")[0] for name in below if name})

    def link(self, path: str) -> str:
        """Return where a link leads."""
        return self.files[path].removeprefix("->")


TREE = Files(
    {
        "a.txt": "x",
        "d/a1": "x",
        "d/b2": "x",
        "d/sub/deep": "x",
        "do/a3": "x",
        "empty": "/",
        "way": "->d",
        "d/up": "->../a.txt",
        "absolute": "->/d/sub",
        "out": "->../../etc/passwd",
        "circle": "->circle",
        "gone": "->nothing/here",
        "[odd]": "x",
    }
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.txt", "a.txt"),
        ("/d//./sub/../a1/", "d/a1"),
        ("way/a1", "d/a1"),
        ("d/up", "a.txt"),
        ("absolute/deep", "d/sub/deep"),
        ("out", "etc/passwd"),
        ("../../a.txt", "a.txt"),
        ("gone", "nothing/here"),
        ("nothing/x", "nothing/x"),
        ("", ""),
        ("/", ""),
    ],
)
def test_resolve__links__are_followed_as_if_the_top_were_the_root(path: str, expected: str) -> None:
    assert trees.resolve(TREE, path) == expected


def test_resolve__last_link_is_not_to_be_followed__stays() -> None:
    assert trees.resolve(TREE, "way/up", follows_last=False) == "d/up"


def test_resolve__circle__is_told() -> None:
    with pytest.raises(trees.TooManyLinks):
        trees.resolve(TREE, "circle/x")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.txt", ["a.txt"]),
        ("d*", ["d", "do"]),
        ("d/[ab]?", ["d/a1", "d/b2"]),
        ("d?/*", ["do/a3"]),
        ("*/a*", ["d/a1", "do/a3"]),
        ("**/a*", ["d/a1", "do/a3"]),
        ("way/a*", ["d/a1"]),
        ("nothing/*", []),
        ("a.txt/*", []),
        (r"\[odd\]*", ["[odd]"]),
        ("/d/s*/deep", ["d/sub/deep"]),
    ],
)
def test_matching__pattern__names_what_it_matches_and_no_more(pattern: str, expected: list[str]) -> None:
    assert trees.matching(TREE, pattern) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("a*", True), ("a?", True), ("[a]", True), (r"a\*", False), ("a", False)]
)
def test_has_wildcards__escaped_ones__are_none(text: str, expected: bool) -> None:
    assert trees.has_wildcards(text) is expected


def below(top: str, *excluded: str) -> list[str]:
    patterns = ignore.of([(0, text) for text in excluded])
    return [entry.relative for entry in trees.below(TREE, top, patterns)]


def test_below__folder__comes_before_what_is_in_it_in_order() -> None:
    assert below("d") == ["", "a1", "b2", "sub", "sub/deep", "up"]
    assert below("a.txt") == [""]
    assert below("nothing") == []


def test_below__excluded__is_left_out_with_what_is_below_it() -> None:
    assert below("d", "sub", "*1") == ["", "b2", "up"]
    assert below("d", "*", "!sub/deep") == ["", "sub/deep"]

"""A git commit declares what the same files declare as a directory: links inside the tree are followed alike."""

import os
import pathlib
import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.sources import git_tree, tree

NAMES = st.sampled_from(["a", "b.yaml", "c", "d.yaml", ".hidden", "e~"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
TARGETS = st.lists(st.sampled_from(["..", ".", "a", "b.yaml", "c", "d.yaml", "x"]), min_size=1, max_size=4).map(
    "/".join
)


def _make(top: pathlib.Path, files: list[str], links: list[tuple[str, str]]) -> None:
    for path in files:
        try:
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            if not (top / path).exists():
                (top / path).write_text(path)
        except (FileExistsError, NotADirectoryError):
            continue
    for path, target in links:
        try:
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            (top / path).symlink_to(target)
        except (FileExistsError, NotADirectoryError, OSError):
            continue


def _commit(top: pathlib.Path) -> tuple[list[git_tree.Entry], dict[str, bytes]]:
    """Return the entries and objects that git would list of a directory."""
    entries: list[git_tree.Entry] = []
    objects: dict[str, bytes] = {}
    for directory, directories, names in os.walk(top):
        for name in (*directories, *names):
            full = pathlib.Path(directory, name)
            path = str(full.relative_to(top))
            if full.is_symlink():
                objects[path] = os.fsencode(full.readlink())
                entries.append(git_tree.Entry("120000", path, len(objects[path]), path))
            elif full.is_dir():
                entries.append(git_tree.Entry("040000", path, 0, path))
            else:
                objects[path] = full.read_bytes()
                entries.append(git_tree.Entry("100644", path, len(objects[path]), path))
    return entries, objects


@settings(max_examples=300, deadline=None)
@given(st.lists(PATHS, min_size=1, max_size=6), st.lists(st.tuples(PATHS, TARGETS), max_size=5))
def test_a_commit_and_a_directory__of_the_same_files__declare_the_same(
    files: list[str], links: list[tuple[str, str]]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        top = pathlib.Path(name, "top")
        top.mkdir()
        _make(top, files, links)
        looks = tree.Reader(top, "", lambda _: None).read(lambda _: False)
        expected = {look.file.path: look.file.data for look in looks if not look.file.problem}
        entries, objects = _commit(top)
        listing = list(git_tree.GitTree(entries, objects).manifests("", 40))
    declared = {entry.path: objects[entry.entry.object_id] for entry in listing if entry.entry is not None}
    problems = {entry.path for entry in listing if entry.entry is None}
    outside = any(entry.problem == git_tree.Obstacle.OUTSIDE.value for entry in listing)
    if not outside:
        assert declared == expected
        assert {look.file.path for look in looks if look.file.problem} == problems
    assert declared.keys() <= expected.keys()
    assert {look.file.path for look in looks} <= declared.keys() | problems or outside


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_what_git_prints__whatever_it_is__is_understood_or_refused(printed: bytes) -> None:
    for parse in (git_tree.parse_listing, git_tree.parse_objects):
        try:
            entries = list(parse(printed))
        except git_tree.BadListing:
            continue
        assert len(entries) <= len(printed), "each takes a byte at least"


ENTRIES = st.lists(
    st.builds(
        git_tree.Entry,
        st.sampled_from(["040000", "120000", "160000", "100644"]),
        st.sampled_from(["1", "2", "3"]),
        st.just(1),
        PATHS,
    ),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(ENTRIES, st.dictionaries(st.sampled_from(["1", "2", "3"]), TARGETS.map(str.encode)), PATHS)
def test_a_hostile_tree__parents_that_are_no_directories_and_circles__ends(
    entries: list[git_tree.Entry], targets: dict[str, bytes], subpath: str
) -> None:
    whole = git_tree.GitTree(entries, targets)
    for start in ("", subpath):
        for manifest in whole.manifests(start, 5):
            assert (manifest.entry is None) == bool(manifest.problem)

"""Whatever an archive says and whatever links a container has: nothing outside of its root is read or changed."""

import contextlib
import io
import os
import pathlib
import tarfile
import tempfile
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from agent import errors
from agent.engine.containers import tree_reader, tree_writer
from agent.engine.kernel import linux
from agent.kit import trees

PARTS = ("a", "b", "c", "..", ".", "outside", "secret", "root", "")
KINDS = (tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE)
SECRET = b"the host's"
names = st.lists(st.sampled_from(PARTS), min_size=1, max_size=4).map("/".join)
targets = st.one_of(
    names, names.map("/{}".format), names.map("../../{}".format), st.just("OUTSIDE"), st.just("OUTSIDE/secret")
)
entries = st.lists(st.tuples(st.sampled_from(KINDS), names, targets), max_size=8)
paths = names.map("/{}".format)


@contextlib.contextmanager
def world() -> Iterator[tuple[pathlib.Path, pathlib.Path, tree_reader.Tree]]:
    """Make a root and what is outside of it; afterwards the latter has to be as it was."""
    with tempfile.TemporaryDirectory() as name:
        outside, root = pathlib.Path(name, "outside"), pathlib.Path(name, "root")
        outside.mkdir()
        root.mkdir()
        (outside / "secret").write_bytes(SECRET)
        before = (outside / "secret").stat()
        descriptor = os.open(root, os.O_PATH)
        try:
            yield outside, root, tree_reader.Tree(linux.LinuxKernel(), descriptor, "container web")
            after = (outside / "secret").stat()
            assert [path.name for path in outside.iterdir()] == ["secret"]
            assert (outside / "secret").read_bytes() == SECRET
            assert sorted(path.name for path in pathlib.Path(name).iterdir()) == ["outside", "root"]
            assert (before.st_mode, before.st_nlink, before.st_mtime_ns) == (
                after.st_mode,
                after.st_nlink,
                after.st_mtime_ns,
            )
        finally:
            os.close(descriptor)
            trees.remove(root)


def archive(drawn: list[tuple[bytes, str, str]], outside: pathlib.Path) -> io.BytesIO:
    """Return an archive of drawn entries."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for kind, name, target in drawn:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, target.replace("OUTSIDE", str(outside))
            entry.mode, entry.uid, entry.gid = 0o4777, os.getuid(), os.getgid()
            entry.size = 4 if kind == tarfile.REGTYPE else 0
            tar.addfile(entry, io.BytesIO(b"mine"))
    out.seek(0)
    return out


@settings(deadline=None)
@given(entries, entries, paths)
def test_written__no_archive_leads_out__over_links_of_another_one_neither(first, second, path: str) -> None:
    with world() as (outside, _, tree):
        for drawn, where in ((first, "/"), (second, "/"), (second, path)):
            for single in drawn:  # one after the other: a refusal ends an archive
                with contextlib.suppress(errors.Failure, tarfile.TarError):
                    tree_writer.read_archive(tree, where, archive([single], outside))
        assert [path.name for path in outside.iterdir()] == ["secret"]  # and ``world`` asserts that it is as it was


@settings(deadline=None)
@given(entries, paths)
def test_read__nothing_of_the_host_is_in_an_archive(drawn, path: str) -> None:
    with world() as (outside, _, tree):
        for single in drawn:
            with contextlib.suppress(errors.Failure, tarfile.TarError):
                tree_writer.read_archive(tree, "/", archive([single], outside))
        out = io.BytesIO()
        with contextlib.suppress(errors.Failure):
            tree_reader.write_archive(tree, path, out)
        assert SECRET not in out.getvalue()


@settings(deadline=None)
@given(entries)
def test_copied_out_and_in__is_the_same_again(drawn) -> None:
    with world() as (outside, root, tree):
        (root / "from").mkdir()
        (root / "to").mkdir()
        for single in drawn:
            with contextlib.suppress(errors.Failure, tarfile.TarError):
                tree_writer.read_archive(tree, "/from", archive([single], outside))
        out = io.BytesIO()
        tree_reader.write_archive(tree, "/from", out)
        out.seek(0)
        tree_writer.read_archive(tree, "/to", out)
        again = io.BytesIO()
        tree_reader.write_archive(tree, "/to/from", again)
        assert again.getvalue() == out.getvalue()

"""The files of a build's last stage, in a directory or an archive."""

import pathlib
import stat
import tarfile
from collections.abc import AsyncIterator

import pytest

from agent import errors
from agent.dockerfile import outputs
from agent.engine import engine
from tests.builds import instances

pytestmark = pytest.mark.root

TEXT = """FROM base:1 AS made
RUN mkdir -p /out/sub && echo one > /out/one && echo two > /out/sub/two && chmod 600 /out/sub/two \
 && ln -s one /out/link && ln /out/one /out/hard \
 && cp /bin/sh /out/suid && chmod 4755 /out/suid && chown 7:8 /out/one && mkfifo /out/fifo \
 && mknod /out/null c 1 3
FROM scratch
COPY --from=made /out/ /
RUN --mount=from=made,target=/bin/,source=/bin ["/bin/rm", "/hard"]
"""


@pytest.fixture
async def instance(tmp_path: pathlib.Path) -> AsyncIterator[engine.Engine]:
    async with instances.opened(tmp_path / "instance") as opened:
        yield opened


def local(path: pathlib.Path) -> outputs.Output:
    return outputs.Output(outputs.OutputType.LOCAL, str(path))


async def test_output__local__is_the_tree_without_rights_on_this_host(
    instance: engine.Engine, tmp_path: pathlib.Path
) -> None:
    target = tmp_path / "new" / "out"
    told = await instances.build(instance, TEXT, output=local(target))
    assert told.done[-1] == f"exporting to {target}"
    files = {str(path.relative_to(target)): path.lstat() for path in target.rglob("*")}
    assert files.keys() == {
        "one",
        "sub",
        "sub/two",
        "link",
        "suid",
        *files.keys() & {"bin", "dev", "proc", "sys", "etc"},
    }
    assert (target / "one").read_text() == "one\n"
    assert (target / "link").readlink() == pathlib.Path("one")
    assert {(status.st_uid, status.st_gid) for status in files.values()} == {(0, 0)}
    assert stat.S_IMODE(files["suid"].st_mode) == 0o755
    assert stat.S_IMODE(files["sub/two"].st_mode) == 0o600


async def test_output__local__what_is_there_is_kept_or_replaced_and_nothing_outside_is_written(
    instance: engine.Engine, tmp_path: pathlib.Path
) -> None:
    target, outside = tmp_path / "out", tmp_path / "outside"
    target.mkdir()
    outside.mkdir()
    (target / "kept").write_text("kept")
    (target / "one").symlink_to(outside / "file")
    await instances.build(instance, TEXT, output=local(target))
    assert ((target / "kept").read_text(), (target / "one").read_text()) == ("kept", "one\n")
    assert not (target / "one").is_symlink()
    (target / "sub/two").unlink()
    (target / "sub").rmdir()
    (target / "sub").symlink_to(outside)
    with pytest.raises(errors.InvalidArgument, match="/sub is no directory"):
        await instances.build(instance, TEXT, output=local(target))
    assert list(outside.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(errors.InvalidArgument, match="file is no directory"):
        await instances.build(instance, TEXT, output=local(tmp_path / "file"))


async def test_output__tar__has_owners_and_rights_and_is_the_same_each_time(
    instance: engine.Engine, tmp_path: pathlib.Path
) -> None:
    first, second = tmp_path / "1.tar", tmp_path / "2.tar"
    for path in (first, second):
        await instances.build(instance, TEXT, output=outputs.Output(outputs.OutputType.TAR, str(path)), epoch=7)
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as tar:
        members = {member.name: member for member in tar.getmembers()}
    assert (members["one"].uid, members["one"].gid) == (7, 8)
    assert members["suid"].mode & 0o7777 == 0o4755
    assert members["fifo"].isfifo()
    assert members["null"].ischr()
    assert sorted(path.name for path in tmp_path.iterdir() if "tar" in path.name) == ["1.tar", "2.tar"]
    with pytest.raises(errors.InvalidArgument, match="is a directory"):
        await instances.build(instance, TEXT, output=outputs.Output(outputs.OutputType.TAR, str(tmp_path)))


async def test_output__nothing_was_built__is_an_empty_directory(
    instance: engine.Engine, tmp_path: pathlib.Path
) -> None:
    await instances.build(instance, "FROM scratch\nCMD x", output=local(tmp_path / "out"))
    assert list((tmp_path / "out").iterdir()) == []

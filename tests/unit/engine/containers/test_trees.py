"""Trees of containers read into archives and written from them: whatever is in there, nothing leads out."""

import io
import os
import pathlib
import resource
import stat
import tarfile
from collections.abc import Iterator

import pytest

from agent import errors
from agent.engine.containers import tree_reader, tree_writer
from agent.engine.kernel import linux
from agent.kit import trees

HOSTILE_TARGETS = ("/outside/secret", "../../../../../../../outside/secret", "/proc/self/root{outside}/secret")


class World:
    """A root with a tree in it, and what is outside of it."""

    def __init__(self, folder: pathlib.Path, made_up: frozenset[int] = frozenset()) -> None:
        self.outside, self.root = folder / "outside", folder / "root"
        self.outside.mkdir()
        self.root.mkdir()
        (self.outside / "secret").write_text("the host's")
        self.tree = tree_reader.Tree(linux.LinuxKernel(), os.open(self.root, os.O_PATH), "container web", made_up)

    def read(self, path: str) -> dict[str, tarfile.TarInfo]:
        """Return the archive's entries by name."""
        with tarfile.open(fileobj=self.archive(path)) as archive:
            return {entry.name: entry for entry in archive}

    def archive(self, path: str) -> io.BytesIO:
        """Return the archive."""
        out = io.BytesIO()
        tree_reader.write_archive(self.tree, path, out)
        out.seek(0)
        return out

    def content(self, path: str) -> bytes:
        """Return the only file's content."""
        with tarfile.open(fileobj=self.archive(path)) as archive:
            (entry,) = archive
            file = archive.extractfile(entry)
            assert file is not None
            return file.read()

    def write(self, path: str, *entries: tarfile.TarInfo, content: bytes = b"new") -> None:
        """Unpack an archive of these entries, of which all files have one content."""
        tree_writer.read_archive(self.tree, path, archive_of(*entries, content=content))

    def is_untouched(self) -> bool:
        """Return whether nothing outside was changed."""
        names = [entry.name for entry in self.outside.iterdir()]
        return names == ["secret"] and (self.outside / "secret").read_text() == "the host's"


def archive_of(*entries: tarfile.TarInfo, content: bytes = b"new") -> io.BytesIO:
    """Return an archive of entries."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for entry in entries:
            entry.size = len(content) if entry.isreg() else 0
            archive.addfile(entry, io.BytesIO(content))
    out.seek(0)
    return out


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", **fields: int) -> tarfile.TarInfo:
    """Return an entry."""
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    made.uid, made.gid = os.getuid(), os.getgid()
    for field, value in fields.items():
        setattr(made, field, value)
    return made


@pytest.fixture
def more_descriptors() -> Iterator[None]:
    """As many open files as the process that copies allows itself."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture
def world(tmp_path: pathlib.Path) -> World:
    """A root and what is outside."""
    return World(tmp_path)


def test_read__a_tree__with_modes_times_links_and_pipes_and_without_sockets(world: World) -> None:
    top = world.root / "data"
    (top / "sub").mkdir(parents=True)
    (top / "file").write_bytes(b"content")
    (top / "file").chmod(0o4750)
    os.utime(top / "file", (1_000_000, 2_000_000))
    os.link(top / "file", top / "hard")
    (top / "soft").symlink_to("/outside/secret")
    os.mkfifo(top / "pipe")
    os.mknod(top / "socket", stat.S_IFSOCK | 0o600)
    (top / os.fsdecode(b"latin \xfc")).write_text("")
    read = world.read("/data")
    assert set(read) == {
        *("data", "data/sub", "data/file", "data/hard", "data/soft", "data/pipe"),
        os.fsdecode(b"data/latin \xfc"),
    }
    assert (read["data/file"].mode, read["data/file"].mtime, read["data/file"].size) == (0o4750, 2_000_000, 7)
    assert (read["data/hard"].type, read["data/hard"].linkname) == (tarfile.LNKTYPE, "data/file")
    assert (read["data/soft"].type, read["data/soft"].linkname) == (tarfile.SYMTYPE, "/outside/secret")
    assert read["data/pipe"].isfifo()


def test_read__the_root__is_called_by_a_dot(world: World) -> None:
    (world.root / "file").write_text("")
    assert set(world.read("/")) == {".", "./file"}


@pytest.mark.parametrize("path", ["/data", "/data/", "//data", "/data/.", "/link/../data"])
def test_read__however_a_path_is_spelt__is_the_same(world: World, path: str) -> None:
    (world.root / "data").mkdir()
    (world.root / "link").symlink_to("data")
    assert len(world.read(path)) == 1


def test_read__a_link_as_the_path__is_followed_and_called_by_where_it_leads(world: World) -> None:
    (world.root / "releases").mkdir()
    (world.root / "releases" / "5").write_text("five")
    (world.root / "latest").symlink_to("releases/5")
    (world.root / "current").symlink_to("/latest")
    assert world.content("/current") == b"five"
    assert set(world.read("/current")) == {"5"}


@pytest.mark.parametrize("target", HOSTILE_TARGETS)
def test_read__a_link_that_would_lead_out__leads_to_nothing_of_the_host(world: World, target: str) -> None:
    (world.root / "link").symlink_to(target.format(outside=world.outside))
    (world.root / "folder").symlink_to(pathlib.PurePath(target.format(outside=world.outside)).parent)
    for path in ("/link", "/folder/secret", "/folder/../outside/secret"):
        with pytest.raises((errors.NotFound, errors.InvalidArgument)):
            world.read(path)


def test_read__a_link_like_one_of_the_hosts__is_what_the_container_has_there(world: World) -> None:
    (world.root / "outside").mkdir()
    (world.root / "outside" / "secret").write_text("the container's")
    (world.root / "link").symlink_to("/outside/secret")
    (world.root / "folder").symlink_to("../../../../outside")
    assert world.content("/link") == world.content("/folder/secret") == b"the container's"


@pytest.mark.parametrize("target", ["loop", "/loop", "loop/x"])
def test_read__links_in_a_circle__are_refused(world: World, target: str) -> None:
    (world.root / "loop").symlink_to(target)
    with pytest.raises((errors.InvalidArgument, errors.NotFound)):
        world.read("/loop")


@pytest.mark.parametrize("path", ["/missing", "/file/below"])
def test_read__what_is_not_there__is_not_found(world: World, path: str) -> None:
    (world.root / "file").write_text("")
    with pytest.raises(errors.NotFound) as caught:
        world.read(path)
    assert caught.value.reason == "PathNotFound"


def test_read__a_socket__is_refused(world: World) -> None:
    os.mknod(world.root / "socket", stat.S_IFSOCK | 0o600)
    with pytest.raises(errors.InvalidArgument, match="is a socket"):
        world.read("/socket")


def test_read__a_pipe_and_a_device__are_never_opened(world: World) -> None:
    os.mkfifo(world.root / "pipe")
    assert world.read("/pipe")["pipe"].isfifo()


def test_read__deeper_than_anything_is__is_refused(world: World, more_descriptors: None) -> None:
    assert more_descriptors is None
    descriptor = os.open(world.root, os.O_RDONLY)
    for _ in range(1001):
        os.mkdir("d", dir_fd=descriptor)
        below = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    before = len(list(pathlib.Path("/proc/self/fd").iterdir()))
    try:
        with pytest.raises(errors.InvalidArgument, match="more than 1000 directories"):
            world.read("/d")
        assert len(list(pathlib.Path("/proc/self/fd").iterdir())) == before
    finally:
        trees.remove(world.root)  # pytest's own way of removing it is no match for it


def test_read__what_the_kernel_makes_up__is_left_out(tmp_path: pathlib.Path) -> None:
    device = pathlib.Path("/proc").stat().st_dev
    tree = tree_reader.Tree(linux.LinuxKernel(), os.open("/", os.O_PATH), "container web", frozenset({device}))
    for path in ("/proc", "/proc/version", "/proc/sys"):
        with pytest.raises(errors.NotFound):
            tree_reader.write_archive(tree, path, io.BytesIO())
    assert tmp_path.exists()


def test_write__a_tree__with_owners_modes_times_and_links(world: World) -> None:
    (world.root / "data").mkdir()
    world.write(
        "/data",
        entry("./", tarfile.DIRTYPE, mode=0o700),
        entry("sub", tarfile.DIRTYPE, mode=0o2750),
        entry("sub/file", mode=0o4755, uid=1234, gid=4321, mtime=3_000_000),
        entry("sub/hard", tarfile.LNKTYPE, "sub/file"),
        entry("soft", tarfile.SYMTYPE, "/outside/secret"),
        entry("pipe", tarfile.FIFOTYPE, mode=0o622, uid=1234),
        entry("new/parents/file"),
    )
    top = world.root / "data"
    status = (top / "sub" / "file").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o4755, 1234, 4321)
    assert (status.st_mtime, status.st_nlink) == (3_000_000, 2)
    assert stat.S_IMODE((top / "sub").stat().st_mode) == 0o2750
    assert stat.S_IMODE(top.stat().st_mode) != 0o700
    assert str((top / "soft").readlink()) == "/outside/secret"
    pipe = (top / "pipe").lstat()
    assert (stat.S_ISFIFO(pipe.st_mode), stat.S_IMODE(pipe.st_mode), pipe.st_uid) == (True, 0o622, 1234)
    assert (top / "new" / "parents" / "file").read_bytes() == b"new"


def test_write__files_that_are_there__are_replaced_and_not_written_to(world: World) -> None:
    (world.root / "file").write_text("old")
    os.link(world.root / "file", world.root / "other name")
    (world.root / "link").symlink_to("file")
    world.write("/", entry("file"), entry("link"))
    assert (world.root / "file").read_text() == "new"
    assert (world.root / "other name").read_text() == "old"
    assert not (world.root / "link").is_symlink()


@pytest.mark.parametrize("target", HOSTILE_TARGETS)
def test_write__a_link_where_a_file_goes__is_replaced_and_not_followed(world: World, target: str) -> None:
    (world.root / "file").symlink_to(target.format(outside=world.outside))
    world.write("/", entry("file"))
    assert (world.root / "file").read_text() == "new"
    assert world.is_untouched()


@pytest.mark.parametrize("target", ["/outside", "../../../../../outside", "{outside}", "/proc/self/root{outside}"])
def test_write__through_a_link_that_would_lead_out__stays_inside(world: World, target: str) -> None:
    (world.root / "folder").symlink_to(target.format(outside=world.outside))
    for path, name in (("/", "folder/planted"), ("/folder", "planted"), ("/", "folder/deeper/planted")):
        with pytest.raises((errors.Conflict, errors.NotFound, errors.InvalidArgument)):
            world.write(path, entry(name))
    assert world.is_untouched()


def test_write__through_a_link_of_the_containers_own__is_where_it_leads_in_there(world: World) -> None:
    (world.root / "usr" / "lib").mkdir(parents=True)
    (world.root / "lib").symlink_to("/usr/lib")
    world.write("/", entry("lib/x.so"))
    assert (world.root / "usr" / "lib" / "x.so").read_text() == "new"


@pytest.mark.parametrize(
    "name", ["../planted", "/../../outside/planted", "a/../../../outside/planted", "{outside}/planted"]
)
def test_write__names_that_would_lead_out__stay_inside(world: World, name: str) -> None:
    world.write("/", entry(name.format(outside=world.outside)))
    assert world.is_untouched()
    assert [path.name for path in world.root.rglob("planted")] == ["planted"]


def test_write__links_of_the_archive_itself__do_not_lead_out(world: World) -> None:
    way_out = entry("out", tarfile.SYMTYPE, str(world.outside))
    with pytest.raises((errors.Conflict, errors.NotFound)):
        world.write("/", way_out, entry("out/planted"))
    up = entry("up", tarfile.SYMTYPE, "../../../../.." + str(world.outside))
    with pytest.raises((errors.Conflict, errors.NotFound)):
        world.write("/", up, entry("up/secret"))
    assert world.is_untouched()


@pytest.mark.parametrize("target", ["../outside/secret", "{outside}/secret", "out/secret"])
def test_write__a_hard_link_to_what_is_outside__is_refused(world: World, target: str) -> None:
    (world.root / "out").symlink_to(world.outside)
    with pytest.raises(errors.Conflict):
        world.write("/", entry("hard", tarfile.LNKTYPE, target.format(outside=world.outside)))
    assert (world.outside / "secret").stat().st_nlink == 1


def test_write__a_file_in_place_of_a_directory_or_the_reverse__is_a_conflict(world: World) -> None:
    (world.root / "folder").mkdir()
    (world.root / "file").write_text("old")
    (world.root / "link").symlink_to("folder")
    for made in (entry("folder"), entry("file", tarfile.DIRTYPE), entry("link", tarfile.DIRTYPE)):
        with pytest.raises(errors.Conflict):
            world.write("/", made)
    assert (world.root / "file").read_text() == "old"


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_write__devices__are_refused(world: World, kind: bytes) -> None:
    with pytest.raises(errors.InvalidArgument):
        world.write("/", entry("device", kind, devmajor=1, devminor=3))
    assert list(world.root.iterdir()) == []


@pytest.mark.parametrize(("path", "error"), [("/missing", errors.NotFound), ("/file", errors.InvalidArgument)])
def test_write__where_no_directory_is__is_refused(world: World, path: str, error: type[errors.Failure]) -> None:
    (world.root / "file").write_text("")
    with pytest.raises(error):
        world.write(path, entry("x"))


@pytest.mark.parametrize("data", [b"", b"no archive", b"\x1f\x8b" + b"x" * 600, b"\0" * 100])
def test_write__what_is_no_archive__is_refused(world: World, data: bytes) -> None:
    with pytest.raises(tarfile.TarError):
        tree_writer.read_archive(world.tree, "/", io.BytesIO(data))
    assert list(world.root.iterdir()) == []


def test_write__an_archive_that_ends_within_a_file__is_refused(world: World) -> None:
    whole = archive_of(entry("file"), content=b"x" * 4096).getvalue()
    with pytest.raises(tarfile.TarError):
        tree_writer.read_archive(world.tree, "/", io.BytesIO(whole[:2048]))


@pytest.mark.parametrize("broken", [b"\xff" * 512, b"\xff" * 100])
def test_write__a_header_behind_the_first_is_broken__is_refused(world: World, broken: bytes) -> None:
    first = archive_of(entry("first")).getvalue()[:1024]
    with pytest.raises(tarfile.TarError):
        tree_writer.read_archive(world.tree, "/", io.BytesIO(first + broken))
    assert [path.name for path in world.root.iterdir()] == ["first"]
    tree_writer.read_archive(world.tree, "/", io.BytesIO(first))  # nothing behind it is no end that many writers know


def test_write__deeper_than_calls_go__makes_what_is_missing(world: World) -> None:
    try:
        world.write("/", entry("d/" * 1500 + "file"))
        assert world.content("d/" * 1500 + "file") == b"new"
    finally:
        trees.remove(world.root)  # pytest's own way of removing it is no match for it


def test_write__times_beyond_those_of_system_calls__are_the_farthest(world: World) -> None:
    for number, time in enumerate((2**63 - 1, -(2**63), float("inf"), float("-inf"))):
        made = entry(f"file{number}")
        made.pax_headers = {"mtime": str(time)}
        world.write("/", made, entry(f"folder{number}", tarfile.DIRTYPE))
        assert (world.root / f"file{number}").read_text() == "new"


def test_write__a_hard_link_to_itself__leaves_the_file_as_it_is(world: World) -> None:
    (world.root / "file").write_text("old")
    world.write("/", entry("file", tarfile.LNKTYPE, "./file"))
    assert (world.root / "file").read_text() == "old"
    with pytest.raises(errors.Conflict):
        world.write("/", entry("none", tarfile.LNKTYPE, "none"))


def test_write__left_out_by_the_adaptation__is_not_placed(world: World) -> None:
    archive = archive_of(entry("first"), entry("second"))
    tree_writer.read_archive(world.tree, "/", archive, lambda made: made.name != "first")
    assert [path.name for path in world.root.iterdir()] == ["second"]


@pytest.mark.root
def test_write__in_place_of_a_device__is_a_conflict(world: World) -> None:
    os.mknod(world.root / "null", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    with pytest.raises(errors.Conflict, match="a device is there"):
        world.write("/", entry("null"))
    assert stat.S_ISCHR((world.root / "null").stat().st_mode)


def test_write__into_what_the_kernel_makes_up__is_refused(tmp_path: pathlib.Path) -> None:
    device = tmp_path.stat().st_dev
    world = World(tmp_path, frozenset({device}))
    with pytest.raises(errors.NotFound):
        world.write("/", entry("x"))
    assert list(world.root.iterdir()) == []


def test_copied_out_and_in__is_the_same(world: World) -> None:
    top = world.root / "data"
    (top / "sub").mkdir(parents=True)
    (top / "sub" / "file").write_bytes(bytes(range(256)) * 1000)
    (top / "soft").symlink_to("sub/file")
    (world.root / "copy").mkdir()
    tree_writer.read_archive(world.tree, "/copy", world.archive("/data"))
    copied = world.root / "copy" / "data"
    assert (copied / "sub" / "file").read_bytes() == bytes(range(256)) * 1000
    assert str((copied / "soft").readlink()) == "sub/file"

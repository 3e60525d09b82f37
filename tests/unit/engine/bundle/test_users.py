"""Who a container runs as: the image's own tables, read as Docker reads them and without leaving the image."""

import os
import pathlib

import pytest

from agent import errors
from agent.engine.bundle import users
from agent.engine.kernel import api, linux

PASSWD = """\
# a comment:x:5:5:::
root:x:0:0:root:/root:/bin/sh
web:x:101:102:,,,:/srv/web:/bin/false
1000:x:55:56::/named-by-a-number:
bare:x:7:8
homeless:x:9:10:::
short:x:1
"""
GROUPS = """\
root:x:0:
www:x:33:web,other
staff:x:50:root
audio:x:29:other
media:x:44:other,web
broken:x
"""


@pytest.fixture
def rootfs(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return an image's root file system with both tables."""
    root = tmp_path / "rootfs"
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_text(PASSWD)
    (root / "etc/group").write_text(GROUPS)
    return root


def resolve(rootfs: pathlib.Path, user_text: str) -> users.User:
    """Resolve on the real kernel."""
    return users.resolve(linux.LinuxKernel(), rootfs, user_text)


@pytest.mark.parametrize(
    ("user_text", "user"),
    [
        ("", users.User(0, 0, (0, 50), "/root")),
        ("root", users.User(0, 0, (0, 50), "/root")),
        ("0", users.User(0, 0, (0, 50), "/root")),
        ("web", users.User(101, 102, (102, 33, 44), "/srv/web")),
        ("101", users.User(101, 102, (102, 33, 44), "/srv/web")),
        ("web:www", users.User(101, 33, (33,), "/srv/web")),
        ("web:33", users.User(101, 33, (33,), "/srv/web")),
        ("web:4711", users.User(101, 4711, (4711,), "/srv/web")),
        (":www", users.User(0, 33, (33,), "/root")),
        ("1000", users.User(1000, 0, (0,), "/")),
        ("55", users.User(55, 56, (56,), "/named-by-a-number")),
        ("4711", users.User(4711, 0, (0,), "/")),
        ("4711:4712", users.User(4711, 4712, (4712,), "/")),
        ("bare", users.User(7, 8, (8,), "/")),
        ("homeless", users.User(9, 10, (10,), "/")),
        ("2147483647:2147483647", users.User(2147483647, 2147483647, (2147483647,), "/")),
    ],
)
def test_user__by_name_or_number__is_found_as_docker_finds_it(
    rootfs: pathlib.Path, user_text: str, user: users.User
) -> None:
    assert resolve(rootfs, user_text) == user


@pytest.mark.parametrize(
    ("user_text", "message", "hint"),
    [
        ("nobody", "no user 'nobody' in the image", "use a number, or a user of the image's /etc/passwd"),
        ("short", "no user 'short' in the image", "use a number, or a user of the image's /etc/passwd"),
        ("web:nogroup", "no group 'nogroup' in the image", "use a number, or a group of the image's /etc/group"),
        ("2147483648", "'2147483648' is no user or group id", "ids are from 0 to 2147483647"),
        ("0:4294967295", "'4294967295' is no user or group id", "ids are from 0 to 2147483647"),
        ("9" * 5000, "'99999999999999999999' is no user or group id", "ids are from 0 to 2147483647"),
        ("-1", "'-1' is no user or group id", "ids are from 0 to 2147483647"),
        ("٣", "no user '٣' in the image", "use a number, or a user of the image's /etc/passwd"),
        ("web:٣", "no group '٣' in the image", "use a number, or a group of the image's /etc/group"),
    ],
)
def test_user__unknown_or_no_number__is_refused(rootfs: pathlib.Path, user_text: str, message: str, hint: str) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        resolve(rootfs, user_text)
    assert message in caught.value.message
    assert (caught.value.hint, caught.value.reason) == (hint, "StartFailed")


@pytest.mark.parametrize("number", ["-1", "4294967295", "9" * 5000])
def test_passwd__id_out_of_range__is_refused(rootfs: pathlib.Path, number: str) -> None:
    (rootfs / "etc/passwd").write_text(f"web:x:{number}:0::/:\n")
    with pytest.raises(errors.InvalidArgument, match="is no user or group id"):
        resolve(rootfs, "web")


@pytest.mark.parametrize("number", ["2147483648", "4294967296", "99999999999999999999"])
def test_user__digits_out_of_range__are_no_name(rootfs: pathlib.Path, number: str) -> None:
    """CVE-2026-46680: they were looked up in the image's table, which says that this is root."""
    (rootfs / "etc/passwd").write_text(f"{number}:x:0:0::/:\n")
    with pytest.raises(errors.InvalidArgument, match=f"'{number}' is no user or group id"):
        resolve(rootfs, number)


@pytest.mark.parametrize("number", ["0x10", "", "٣", " 5", "1e3"])
def test_passwd__no_number_for_an_id__is_no_line(rootfs: pathlib.Path, number: str) -> None:
    (rootfs / "etc/passwd").write_text(f"web:x:{number}:0::/:\n")
    with pytest.raises(errors.InvalidArgument, match="no user 'web' in the image"):
        resolve(rootfs, "web")


@pytest.mark.parametrize("separator", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\r"])
def test_passwd__only_a_line_feed_ends_a_line(rootfs: pathlib.Path, separator: str) -> None:
    hidden = f"web:x:101:102:comment{separator}evil:x:0:0::/:/bin/sh:/srv:/bin/sh\n"
    (rootfs / "etc/passwd").write_text(hidden, newline="")
    assert resolve(rootfs, "web:102").uid == 101
    with pytest.raises(errors.InvalidArgument, match="no user 'evil'"):
        resolve(rootfs, "evil")


@pytest.mark.parametrize("line", ["sloppy:x:45", "broken:x:zz:web", "broken::", ":::::", "big:x:2147483648:web", "x"])
def test_group__sloppy_lines__keep_nobody_from_starting(rootfs: pathlib.Path, line: str) -> None:
    (rootfs / "etc/group").write_text(f"{line}\r\n  media:x:44:web\n")
    assert resolve(rootfs, "web").groups == (102, 44)


def test_group__without_its_last_colon__is_a_group(rootfs: pathlib.Path) -> None:
    (rootfs / "etc/group").write_text("sloppy:x:45\n")
    assert resolve(rootfs, "web:sloppy").gid == 45


MOBYS_PASSWD = """
root:x:0:0:root user:/root:/bin/bash
adm:x:42:43:adm:/var/adm:/bin/false
111:x:222:333::/var/garbage
odd:x:111:112::/home/odd:::::
2147483647:x:0:0:maxint32:/root:/bin/bash
2147483648:x:0:0:toolarge:/root:/bin/bash
9223372036854775807:x:0:0:maxint64:/root:/bin/bash
9223372036854775808:x:0:0:maxint64plusone:/root:/bin/bash
-42:x:12:13:broken:/very/broken
user7456:x:7456:100:Vasya:/home/user7456
this is just some garbage data
"""
MOBYS_GROUPS = f"""
root:x:0:root
adm:x:43:
grp:x:1234:root,adm,user7456
444:x:555:111
odd:x:444:
2147483647:x:1235:
2147483648:x:1236:
9223372036854775807:x:1237:
9223372036854775808:x:1238:
toolarge:x:2147483648:
this is just some garbage data
largegroup:x:1000:{",".join(f"user{number}" for number in range(7500))}
"""


@pytest.fixture
def mobys(rootfs: pathlib.Path) -> pathlib.Path:
    """Return an image with the tables that Docker's own tests have (``moby/sys/user``)."""
    (rootfs / "etc/passwd").write_text(MOBYS_PASSWD)
    (rootfs / "etc/group").write_text(MOBYS_GROUPS)
    return rootfs


@pytest.mark.parametrize(
    ("user_text", "user"),
    [
        ("root", users.User(0, 0, (0, 1234), "/root")),
        ("adm", users.User(42, 43, (43, 1234), "/var/adm")),
        ("root:adm", users.User(0, 43, (43,), "/root")),
        ("adm:1234", users.User(42, 1234, (1234,), "/var/adm")),
        ("42:1234", users.User(42, 1234, (1234,), "/var/adm")),
        ("1337:1234", users.User(1337, 1234, (1234,), "/")),
        ("1337", users.User(1337, 0, (0,), "/")),
        ("", users.User(0, 0, (0, 1234), "/root")),
        ("111", users.User(111, 112, (112,), "/home/odd")),
        ("111:444", users.User(111, 444, (444,), "/home/odd")),
        ("7456", users.User(7456, 100, (100, 1234, 1000), "/home/user7456")),
        ("7456:2147483647", users.User(7456, 2147483647, (2147483647,), "/home/user7456")),
        ("2147483647:43", users.User(2147483647, 43, (43,), "/")),
        ("2147483647", users.User(2147483647, 0, (0,), "/")),
    ],
)
def test_mobys_cases__are_read_as_docker_reads_them(mobys: pathlib.Path, user_text: str, user: users.User) -> None:
    assert resolve(mobys, user_text) == user


@pytest.mark.parametrize(
    "user_text",
    [
        *("notuser", "notuser:notgroup", "root:notgroup", "notuser:adm", "8888:notgroup", "notuser:8888"),
        *("-1:0", "0:-3", "-5:-2", "-42", "-43", "42:2147483648", "2147483648:43", "2147483648"),
        *("7456:9223372036854775807", "9223372036854775807:43", "9223372036854775807", "9223372036854775808"),
        *("0:9223372036854775808", "root:toolarge"),
    ],
)
def test_mobys_cases__that_docker_refuses__are_refused(mobys: pathlib.Path, user_text: str) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        resolve(mobys, user_text)
    assert caught.value.reason == "StartFailed"


def test_group__cut_off_at_a_megabyte__has_no_half_line(rootfs: pathlib.Path) -> None:
    (rootfs / "etc/passwd").write_text("wo:x:5:5::/:\n")
    (rootfs / "etc/group").write_bytes(b"#" * (2**20 - 14) + b"\ncut:x:44:wo")
    assert resolve(rootfs, "wo").groups == (5, 44)
    (rootfs / "etc/group").write_bytes(b"#" * (2**20 - 12) + b"\ncut:x:44:word\n")
    assert resolve(rootfs, "wo").groups == (5,)


def test_tables__missing__numbers_still_do(tmp_path: pathlib.Path) -> None:
    assert resolve(tmp_path, "5:6") == users.User(5, 6, (6,), "/")
    assert resolve(tmp_path, "") == users.User(0, 0, (0,), "/")


@pytest.mark.parametrize("target", ["/secret", "../../secret", "../../../../../../secret"])
def test_passwd__links_out_of_the_image__stays_inside(rootfs: pathlib.Path, target: str) -> None:
    (rootfs.parent / "secret").write_text("web:x:666:666::/outside:\n")
    (rootfs / "secret").write_text("web:x:1:1::/inside:\n")
    (rootfs / "etc/passwd").unlink()
    (rootfs / "etc/passwd").symlink_to(target)
    assert resolve(rootfs, "web:7") == users.User(1, 7, (7,), "/inside")


def test_passwd__absolute_link_to_the_hosts__is_not_followed(rootfs: pathlib.Path) -> None:
    outside = rootfs.parent / "secret"
    outside.write_text("web:x:666:666::/outside:\n")
    (rootfs / "etc/passwd").unlink()
    (rootfs / "etc/passwd").symlink_to(outside)
    with pytest.raises(errors.InvalidArgument, match="no user 'web'"):
        resolve(rootfs, "web")


def test_etc__links_out_of_the_image__stays_inside(rootfs: pathlib.Path) -> None:
    (rootfs.parent / "etc").mkdir()
    (rootfs.parent / "etc/passwd").write_text("web:x:666:666::/outside:\n")
    (rootfs / "etc").rename(rootfs / "inner")
    (rootfs / "etc").symlink_to("../etc")
    with pytest.raises(errors.InvalidArgument, match="no user 'web'"):
        resolve(rootfs, "web")


def test_passwd__endless_link__is_as_good_as_none(rootfs: pathlib.Path) -> None:
    (rootfs / "etc/passwd").unlink()
    (rootfs / "etc/passwd").symlink_to("passwd")
    assert resolve(rootfs, "5") == users.User(5, 0, (0,), "/")


def test_passwd__fifo__does_not_wait_for_a_writer(rootfs: pathlib.Path) -> None:
    (rootfs / "etc/passwd").unlink()
    os.mkfifo(rootfs / "etc/passwd")
    assert resolve(rootfs, "5") == users.User(5, 0, (0,), "/")


def test_passwd__directory__is_as_good_as_none(rootfs: pathlib.Path) -> None:
    before = sum(1 for _ in pathlib.Path("/proc/self/fd").iterdir())
    (rootfs / "etc/passwd").unlink()
    (rootfs / "etc/passwd").mkdir()
    assert resolve(rootfs, "5") == users.User(5, 0, (0,), "/")
    assert sum(1 for _ in pathlib.Path("/proc/self/fd").iterdir()) == before


def test_passwd__huge__is_read_up_to_a_megabyte(rootfs: pathlib.Path) -> None:
    with (rootfs / "etc/passwd").open("w") as file:
        file.write("early:x:1:1::/:\n")
        file.truncate(1 << 40)
        file.seek(2 << 20)
        file.write("\nlate:x:2:2::/:\n")
    assert resolve(rootfs, "early:0").uid == 1
    with pytest.raises(errors.InvalidArgument):
        resolve(rootfs, "late")


def test_passwd__no_text_at_all__names_nobody(rootfs: pathlib.Path) -> None:
    (rootfs / "etc/passwd").write_bytes(bytes(range(256)) * 10)
    assert resolve(rootfs, "5") == users.User(5, 0, (0,), "/")


@pytest.mark.root
def test_resolve__tables_that_are_mounted_over__are_not_read(rootfs: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """What is mounted in a running container may be procfs, or a file system whose server hangs."""
    hostile = tmp_path / "hostile"
    hostile.write_text("web:x:0:0::/:\n")
    kernel = linux.LinuxKernel()
    kernel.mount(str(hostile), str(rootfs / "etc/passwd"), "none", api.MS_BIND, "")
    try:
        with pytest.raises(errors.InvalidArgument, match="there is no user 'web' in the image"):
            users.resolve(kernel, rootfs, "web")
    finally:
        kernel.umount(str(rootfs / "etc/passwd"), api.MNT_DETACH)
    assert users.resolve(kernel, rootfs, "web").uid == 101

"""Who a container runs as: the image's own tables, read as Docker reads them and without leaving the image."""

import os
import pathlib

import pytest

from agent.engine import errors
from agent.engine.bundle import users
from agent.engine.kernel import linux

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
    """Give an image's root file system with both tables."""
    root = tmp_path / "rootfs"
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_text(PASSWD)
    (root / "etc/group").write_text(GROUPS)
    return root


def resolve(rootfs: pathlib.Path, wanted: str) -> users.User:
    """Resolve on the real kernel."""
    return users.resolve(linux.LinuxKernel(), rootfs, wanted)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("", users.User(0, 0, (50,), "/root")),
        ("root", users.User(0, 0, (50,), "/root")),
        ("0", users.User(0, 0, (50,), "/root")),
        ("web", users.User(101, 102, (33, 44), "/srv/web")),
        ("101", users.User(101, 102, (33, 44), "/srv/web")),
        ("web:www", users.User(101, 33, (), "/srv/web")),
        ("web:33", users.User(101, 33, (), "/srv/web")),
        ("web:4711", users.User(101, 4711, (), "/srv/web")),
        (":www", users.User(0, 33, (), "/root")),
        ("1000", users.User(55, 56, (), "/named-by-a-number")),
        ("4711", users.User(4711, 0, (), "/")),
        ("4711:4712", users.User(4711, 4712, (), "/")),
        ("bare", users.User(7, 8, (), "/")),
        ("homeless", users.User(9, 10, (), "/")),
        ("2147483647:2147483647", users.User(2147483647, 2147483647, (), "/")),
    ],
)
def test_user__by_name_or_number__is_found_as_docker_finds_it(
    rootfs: pathlib.Path, wanted: str, found: users.User
) -> None:
    assert resolve(rootfs, wanted) == found


@pytest.mark.parametrize(
    ("wanted", "said", "hint"),
    [
        ("nobody", "no user 'nobody' in the image", "use a number, or a user of the image's /etc/passwd"),
        ("short", "no user 'short' in the image", "use a number, or a user of the image's /etc/passwd"),
        ("web:nogroup", "no group 'nogroup' in the image", "use a number, or a group of the image's /etc/group"),
        ("2147483648", "'2147483648' is no user or group id", "0 to 2147483647"),
        ("0:4294967295", "'4294967295' is no user or group id", "0 to 2147483647"),
        ("9" * 5000, "'99999999999999999999' is no user or group id", "0 to 2147483647"),
        ("-1", "no user '-1' in the image", "use a number, or a user of the image's /etc/passwd"),
    ],
)
def test_user__unknown_or_no_number__is_refused(rootfs: pathlib.Path, wanted: str, said: str, hint: str) -> None:
    with pytest.raises(errors.Refused) as caught:
        resolve(rootfs, wanted)
    assert said in caught.value.message
    assert (caught.value.hint, caught.value.reason) == (hint, "StartFailed")


@pytest.mark.parametrize("number", ["-1", "0x10", "4294967295", "9" * 5000, ""])
def test_passwd__hostile_number__is_refused(rootfs: pathlib.Path, number: str) -> None:
    (rootfs / "etc/passwd").write_text(f"web:x:{number}:0::/:\n")
    with pytest.raises(errors.Refused, match="is no user or group id"):
        resolve(rootfs, "web")


def test_tables__missing__numbers_still_do(tmp_path: pathlib.Path) -> None:
    assert resolve(tmp_path, "5:6") == users.User(5, 6, (), "/")
    assert resolve(tmp_path, "") == users.User(0, 0, (), "/")


@pytest.mark.parametrize("target", ["/secret", "../../secret", "../../../../../../secret"])
def test_passwd__links_out_of_the_image__stays_inside(rootfs: pathlib.Path, target: str) -> None:
    (rootfs.parent / "secret").write_text("web:x:666:666::/outside:\n")
    (rootfs / "secret").write_text("web:x:1:1::/inside:\n")
    (rootfs / "etc/passwd").unlink()
    (rootfs / "etc/passwd").symlink_to(target)
    assert resolve(rootfs, "web:7") == users.User(1, 7, (), "/inside")


def test_passwd__absolute_link_to_the_hosts__is_not_followed(rootfs: pathlib.Path) -> None:
    outside = rootfs.parent / "secret"
    outside.write_text("web:x:666:666::/outside:\n")
    (rootfs / "etc/passwd").unlink()
    (rootfs / "etc/passwd").symlink_to(outside)
    with pytest.raises(errors.Refused, match="no user 'web'"):
        resolve(rootfs, "web")


def test_etc__links_out_of_the_image__stays_inside(rootfs: pathlib.Path) -> None:
    (rootfs.parent / "etc").mkdir()
    (rootfs.parent / "etc/passwd").write_text("web:x:666:666::/outside:\n")
    (rootfs / "etc").rename(rootfs / "inner")
    (rootfs / "etc").symlink_to("../etc")
    with pytest.raises(errors.Refused, match="no user 'web'"):
        resolve(rootfs, "web")


def test_passwd__endless_link__is_as_good_as_none(rootfs: pathlib.Path) -> None:
    (rootfs / "etc/passwd").unlink()
    (rootfs / "etc/passwd").symlink_to("passwd")
    assert resolve(rootfs, "5") == users.User(5, 0, (), "/")


def test_passwd__fifo__does_not_wait_for_a_writer(rootfs: pathlib.Path) -> None:
    (rootfs / "etc/passwd").unlink()
    os.mkfifo(rootfs / "etc/passwd")
    assert resolve(rootfs, "5") == users.User(5, 0, (), "/")


def test_passwd__directory__is_as_good_as_none(rootfs: pathlib.Path) -> None:
    before = sum(1 for _ in pathlib.Path("/proc/self/fd").iterdir())
    (rootfs / "etc/passwd").unlink()
    (rootfs / "etc/passwd").mkdir()
    assert resolve(rootfs, "5") == users.User(5, 0, (), "/")
    assert sum(1 for _ in pathlib.Path("/proc/self/fd").iterdir()) == before


def test_passwd__huge__is_read_up_to_a_megabyte(rootfs: pathlib.Path) -> None:
    with (rootfs / "etc/passwd").open("w") as file:
        file.write("early:x:1:1::/:\n")
        file.truncate(1 << 40)
        file.seek(2 << 20)
        file.write("\nlate:x:2:2::/:\n")
    assert resolve(rootfs, "early:0").uid == 1
    with pytest.raises(errors.Refused):
        resolve(rootfs, "late")


def test_passwd__no_text_at_all__names_nobody(rootfs: pathlib.Path) -> None:
    (rootfs / "etc/passwd").write_bytes(bytes(range(256)) * 10)
    assert resolve(rootfs, "5") == users.User(5, 0, (), "/")

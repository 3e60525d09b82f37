"""The three files that tell a container who it is and whom to ask."""

import pathlib
import stat

import pytest

from agent.engine.containers import files

LOOPBACK = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"


@pytest.fixture
def host(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Give a folder with the files of a host: ``resolved`` (systemd's), ``resolv.conf`` and ``hosts``."""
    folder = tmp_path / "host"
    folder.mkdir()
    monkeypatch.setattr(files, "_HOST_RESOLVERS", (folder / "resolved", folder / "resolv.conf"))
    monkeypatch.setattr(files, "_RESOLV_CONF", folder / "resolv.conf")
    monkeypatch.setattr(files, "_HOSTS", folder / "hosts")
    return folder


def written(bundle: pathlib.Path, identity: files.Identity) -> dict[str, str]:
    """Write an identity's files and give their contents by where they belong."""
    return {path: pathlib.Path(source).read_text() for path, source in files.write(bundle, identity).items()}


def test_write__in_networks__has_its_addresses_and_their_servers(host, tmp_path) -> None:
    (host / "resolv.conf").write_text("nameserver 192.0.2.1\n")
    identity = files.Identity("web", ("10.0.0.2", "10.0.1.2"), ("10.0.0.1", "10.0.1.1"))
    assert written(tmp_path, identity) == {
        "/etc/hostname": "web\n",
        "/etc/hosts": f"{LOOPBACK}10.0.0.2\tweb\n10.0.1.2\tweb\n",
        "/etc/resolv.conf": "nameserver 10.0.0.1\nnameserver 10.0.1.1\noptions ndots:0\n",
    }


def test_write__networks_without_dns__asks_the_hosts_servers(host, tmp_path) -> None:
    (host / "resolv.conf").write_text("search example.org\nnameserver 127.0.0.53\nnameserver 192.0.2.1\n")
    found = written(tmp_path, files.Identity("web", (), ()))
    assert found["/etc/resolv.conf"] == "nameserver 192.0.2.1\noptions ndots:0\n"


def test_write__in_the_hosts_network__has_what_the_host_has(host, tmp_path) -> None:
    (host / "resolv.conf").write_text("search example.org\nnameserver 127.0.0.53")
    (host / "resolved").write_text("nameserver 192.0.2.1\n")
    (host / "hosts").write_text("127.0.0.1 localhost\n192.0.2.9 db\n")
    assert written(tmp_path, files.Identity("web", (), (), of_host=True)) == {
        "/etc/hostname": "web\n",
        "/etc/hosts": "127.0.0.1 localhost\n192.0.2.9 db\n127.0.1.1\tweb\n",
        "/etc/resolv.conf": "search example.org\nnameserver 127.0.0.53\n",
    }


def test_write__in_the_network_of_a_host_that_says_nothing__is_empty(host, tmp_path) -> None:
    assert not (host / "hosts").exists()
    found = written(tmp_path, files.Identity("web", (), (), of_host=True))
    assert (found["/etc/hosts"], found["/etc/resolv.conf"]) == ("127.0.1.1\tweb\n", "")


def test_write__files__can_be_read_by_every_user_of_the_container(tmp_path) -> None:
    for source in files.write(tmp_path, files.Identity("web", (), ())).values():
        assert stat.S_IMODE(pathlib.Path(source).stat().st_mode) == 0o644


def test_host_nameservers__systemds_own_list_comes_first(host) -> None:
    (host / "resolved").write_text("nameserver 192.0.2.1\nnameserver 192.0.2.2\n")
    (host / "resolv.conf").write_text("nameserver 192.0.2.3\n")
    assert files.host_nameservers() == ("192.0.2.1", "192.0.2.2")


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("nameserver 192.0.2.1", ("192.0.2.1",)),
        ("nameserver\t2001:db8::1 \n", ("2001:db8::1",)),
        ("nameserver fe80::1%eth0\n", ("fe80::1%eth0",)),
        ("nameserver 127.0.0.1\nnameserver ::1\nnameserver 127.0.0.53\n", ()),
        ("# nameserver 192.0.2.1\n;nameserver 192.0.2.1\nnameserver\nnameservers 192.0.2.1\n", ()),
        ("nameserver dns.example.org\n", ()),
        ("nameserver \xff\n", ()),
        ("", ()),
    ],
)
def test_host_nameservers__those_that_a_container_can_reach(host, text: str, servers: tuple[str, ...]) -> None:
    (host / "resolv.conf").write_bytes(text.encode("latin-1"))
    assert files.host_nameservers() == servers


def test_host_nameservers__host_without_a_file__has_none(host) -> None:
    assert not (host / "resolv.conf").exists()
    assert files.host_nameservers() == ()

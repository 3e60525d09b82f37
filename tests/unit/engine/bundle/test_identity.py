"""The three files that tell a container who it is and whom to ask."""

import pathlib
import stat

import pytest

from agent.engine.bundle import identity

LOOPBACK = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"


@pytest.fixture
def host(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Return a folder with the files of a host: ``resolved`` (systemd's), ``resolv.conf`` and ``hosts``."""
    folder = tmp_path / "host"
    folder.mkdir()
    monkeypatch.setattr(identity, "_HOST_RESOLVERS", (folder / "resolved", folder / "resolv.conf"))
    monkeypatch.setattr(identity, "_RESOLV_CONF", folder / "resolv.conf")
    monkeypatch.setattr(identity, "_HOSTS", folder / "hosts")
    return folder


def written_files(bundle: pathlib.Path, own: identity.Identity) -> dict[str, str]:
    """Write an identity's files and give their contents by where they belong."""
    return {path: pathlib.Path(source).read_text() for path, source in identity.write(bundle, own).items()}


def test_write__in_networks__has_its_addresses_and_their_servers(host, tmp_path) -> None:
    (host / "resolv.conf").write_text("nameserver 192.0.2.1\n")
    own = identity.Identity("web", ("10.0.0.2", "10.0.1.2"), ("10.0.0.1", "10.0.1.1"))
    assert written_files(tmp_path, own) == {
        "/etc/hostname": "web\n",
        "/etc/hosts": f"{LOOPBACK}10.0.0.2\tweb\n10.0.1.2\tweb\n",
        "/etc/resolv.conf": "nameserver 10.0.0.1\nnameserver 10.0.1.1\noptions ndots:0\n",
    }


def test_write__networks_without_dns__asks_the_hosts_servers(host, tmp_path) -> None:
    (host / "resolv.conf").write_text("search example.org\nnameserver 127.0.0.53\nnameserver 192.0.2.1\n")
    contents = written_files(tmp_path, identity.Identity("web", (), ()))
    assert contents["/etc/resolv.conf"] == "nameserver 192.0.2.1\nsearch example.org\noptions ndots:0\n"


@pytest.mark.parametrize(
    ("host", "lines"),
    [
        (
            "search a.example b.example\noptions edns0 trust-ad\n",
            ["search a.example b.example", "options edns0 trust-ad ndots:0"],
        ),
        ("domain a.example\nsearch b.example\n", ["search b.example", "options ndots:0"]),
        ("search b.example\ndomain a.example\n", ["search a.example", "options ndots:0"]),
        ("options timeout:1\noptions ndots:2 timeout:1\n", ["options timeout:1 ndots:2"]),
        ("search .\n", ["options ndots:0"]),
        ("search\noptions\n#search c.example\n;options rotate\n", ["options ndots:0"]),
        ("", ["options ndots:0"]),
    ],
)
def test_resolv_conf__the_hosts_search_domains_and_options_are_the_containers(host: str, lines: list[str]) -> None:
    assert identity.resolv_conf(("10.0.0.1",), host).splitlines() == ["nameserver 10.0.0.1", *lines]


def test_follow__of_a_running_container__has_the_new_servers_in_the_very_file(tmp_path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 10.0.0.1\nnameserver 10.1.0.1\nsearch a.example\noptions ndots:0\n")
    inode = path.stat().st_ino
    identity.follow(path, ("10.0.0.1", "10.1.0.1"), ("10.1.0.1",))
    assert path.read_text() == "nameserver 10.1.0.1\nsearch a.example\noptions ndots:0\n"
    assert path.stat().st_ino == inode


@pytest.mark.parametrize(
    "text", ["nameserver 192.0.2.9\n", "", "x" * (1 << 17), "nameserver 10.0.0.1\nnameserver 9.9.9.9\n"]
)
def test_follow__a_file_that_the_container_has_made_its_own__is_left_alone(tmp_path, text: str) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text(text)
    identity.follow(path, ("10.0.0.1",), ("10.1.0.1",))
    identity.follow(tmp_path / "absent", ("10.0.0.1",), ("10.1.0.1",))
    assert path.read_text() == text


def test_write__in_the_hosts_network__has_what_the_host_has(host, tmp_path) -> None:
    (host / "resolv.conf").write_text("search example.org\nnameserver 127.0.0.53")
    (host / "resolved").write_text("nameserver 192.0.2.1\n")
    (host / "hosts").write_text("127.0.0.1 localhost\n192.0.2.9 db\n")
    assert written_files(tmp_path, identity.Identity("web", (), (), of_host=True)) == {
        "/etc/hostname": "web\n",
        "/etc/hosts": "127.0.0.1 localhost\n192.0.2.9 db\n127.0.1.1\tweb\n",
        "/etc/resolv.conf": "search example.org\nnameserver 127.0.0.53\n",
    }


def test_write__in_the_network_of_a_host_that_says_nothing__is_empty(host, tmp_path) -> None:
    assert not (host / "hosts").exists()
    contents = written_files(tmp_path, identity.Identity("web", (), (), of_host=True))
    assert (contents["/etc/hosts"], contents["/etc/resolv.conf"]) == ("127.0.1.1\tweb\n", "")


def test_write__files__can_be_read_by_every_user_of_the_container(tmp_path) -> None:
    for source in identity.write(tmp_path, identity.Identity("web", (), ())).values():
        assert stat.S_IMODE(pathlib.Path(source).stat().st_mode) == 0o644


@pytest.mark.parametrize(
    ("hostname", "line"), [("a.b.example", "a.b.example a"), ("a", "a"), (".b", ".b"), ("a.", "a. a")]
)
def test_hosts__a_name_with_a_domain__has_its_short_form_beside_it(host, hostname: str, line: str) -> None:
    assert identity.hosts(identity.Identity(hostname, ("10.0.0.2",), ())).endswith(f"10.0.0.2\t{line}\n")
    assert identity.hosts(identity.Identity(hostname, (), (), of_host=True)) == f"127.0.1.1\t{line}\n"
    assert list(host.iterdir()) == []


def test_write__again__replaces_what_a_container_has_made_of_the_files(tmp_path) -> None:
    folder = tmp_path / "etc"
    sources = identity.write(folder, identity.Identity("web", (), ()))
    pathlib.Path(sources["/etc/hosts"]).write_text("x" * 10_000)
    pathlib.Path(sources["/etc/hostname"]).chmod(0o000)
    with pathlib.Path(sources["/etc/hosts"]).open() as former:
        identity.write(folder, identity.Identity("web", (), ()))
        assert len(former.read()) == 10_000
    assert pathlib.Path(sources["/etc/hosts"]).read_text() == LOOPBACK
    assert stat.S_IMODE(pathlib.Path(sources["/etc/hostname"]).stat().st_mode) == 0o644


def test_host_nameservers__systemds_own_list_comes_first(host) -> None:
    (host / "resolved").write_text("nameserver 192.0.2.1\nnameserver 192.0.2.2\n")
    (host / "resolv.conf").write_text("nameserver 192.0.2.3\n")
    assert identity.host_nameservers() == ("192.0.2.1", "192.0.2.2")


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
    assert identity.host_nameservers() == servers


def test_host_nameservers__host_without_a_file__has_none(host) -> None:
    assert not (host / "resolv.conf").exists()
    assert identity.host_nameservers() == ()

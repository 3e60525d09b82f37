"""A registry over HTTPS: by an authority of its own, and open only to those who have a certificate themselves."""

import pathlib

import pytest

from agent import errors
from agent.distribution.registry import hosts, transport
from tests import certificates, registry

pytestmark = pytest.mark.root


@pytest.fixture
def authority(tmp_path: pathlib.Path) -> certificates.Authority:
    return certificates.authority(tmp_path / "certificates")


@pytest.fixture
def folder(tmp_path: pathlib.Path, busybox_archive: pathlib.Path) -> pathlib.Path:
    """A registry's folder with one image."""
    with registry.running(tmp_path / "registry") as address:
        registry.push(busybox_archive, f"{address}/app:1")
    return tmp_path / "registry"


def _tls(server: certificates.Pair, *clients: certificates.Authority) -> dict[str, object]:
    trusted = [str(client.pair.certificate) for client in clients]
    return {"certificate": str(server.certificate), "key": str(server.key)} | (
        {"clientcas": trusted} if trusted else {}
    )


def _places(address: str, tls: transport.Tls) -> hosts.Hosts:
    return hosts.Hosts((hosts.Host(address, tls=tls),))


async def test_pull__authority_that_is_told__is_trusted(tmp_path, folder, authority) -> None:
    server = authority.vouches("server", "127.0.0.1")
    with registry.running(folder, tls=_tls(server)) as address:
        async with registry.opened(
            tmp_path / "store", _places(address, transport.Tls(authority.pair.certificate))
        ) as store:
            assert (await store.pull(f"{address}/app:1")).size > 0


async def test_pull__authority_that_nobody_told__is_refused(tmp_path, folder, authority) -> None:
    server = authority.vouches("server", "127.0.0.1")
    stranger = certificates.authority(tmp_path / "strangers", "stranger")
    with registry.running(folder, tls=_tls(server)) as address:
        places = _places(address, transport.Tls(stranger.pair.certificate))
        async with registry.opened(tmp_path / "store", places) as store:
            failed = await store.fails(f"{address}/app:1")
    assert (failed.reason, registry.kind(failed)) == ("ImagePullFailed", errors.Unavailable)
    assert "certificate verify failed" in str(failed)


async def test_pull__certificate_of_another_host__is_refused(tmp_path, folder, authority) -> None:
    server = authority.vouches("server", "127.0.0.2")
    with registry.running(folder, tls=_tls(server)) as address:
        async with registry.opened(
            tmp_path / "store", _places(address, transport.Tls(authority.pair.certificate))
        ) as store:
            failed = await store.fails(f"{address}/app:1")
    assert "IP address mismatch" in str(failed)


async def test_pull__client_certificate__is_shown(tmp_path, folder, authority) -> None:
    server, client = authority.vouches("server", "127.0.0.1"), authority.vouches("client")
    with registry.running(folder, tls=_tls(server, authority)) as address:
        tls = transport.Tls(authority.pair.certificate, client.certificate, client.key)
        async with registry.opened(tmp_path / "store", _places(address, tls)) as store:
            assert (await store.pull(f"{address}/app:1")).size > 0


async def test_pull__no_client_certificate_where_one_is_wanted__is_told_so(tmp_path, folder, authority) -> None:
    server = authority.vouches("server", "127.0.0.1")
    with registry.running(folder, tls=_tls(server, authority)) as address:
        async with registry.opened(
            tmp_path / "store", _places(address, transport.Tls(authority.pair.certificate))
        ) as store:
            failed = await store.fails(f"{address}/app:1")
    assert "wants a client certificate" in str(failed)
    assert failed.reason == "ImagePullFailed"


async def test_pull__files_that_are_none__are_told(tmp_path, folder, authority) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    with registry.running(folder, tls=_tls(authority.vouches("server", "127.0.0.1"))) as address:
        async with registry.opened(tmp_path / "store", _places(address, transport.Tls(broken))) as store:
            assert await store.failure(f"{address}/app:1") == ("InvalidArgument", "BadTls")


async def test_pull__the_client_certificate_is_renewed__the_new_one_is_shown(tmp_path, folder, authority) -> None:
    server, stranger = authority.vouches("server", "127.0.0.1"), certificates.authority(tmp_path / "others", "other")
    expired, renewed = stranger.vouches("client"), authority.vouches("client")
    certificate, key = tmp_path / "client.pem", tmp_path / "client.key"
    with registry.running(folder, tls=_tls(server, authority)) as address:
        tls = transport.Tls(authority.pair.certificate, certificate, key)
        certificate.write_bytes(expired.certificate.read_bytes())
        key.write_bytes(expired.key.read_bytes())
        async with registry.opened(tmp_path / "store", _places(address, tls)) as store:
            assert (await store.fails(f"{address}/app:1")).reason == "ImagePullFailed"
            certificate.write_bytes(renewed.certificate.read_bytes())
            key.write_bytes(renewed.key.read_bytes())
            assert (await store.pull(f"{address}/app:1")).size > 0

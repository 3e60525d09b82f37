"""Debian's registry with tokens of the tests' own server: pulled as nobody, with a password, with an identity token."""

import json
import pathlib
from collections.abc import AsyncIterator

import pytest

from agent import errors
from tests import faulty_registry as faulty
from tests import registry, token_server

pytestmark = [pytest.mark.root, pytest.mark.engine]


@pytest.fixture
async def tokens(tmp_path: pathlib.Path) -> AsyncIterator[token_server.TokenServer]:
    """A token server."""
    async with token_server.served(tmp_path) as token_host:
        yield token_host


@pytest.fixture
async def address(tmp_path: pathlib.Path, busybox_archive: pathlib.Path, tokens) -> AsyncIterator[str]:
    """A registry that wants tokens, and has an image for everybody and one for some."""
    with registry.running(tmp_path / "registry") as open_to_all:
        for name in ("public/app", "private/app"):
            registry.push(busybox_archive, f"{open_to_all}/{name}:1")
    with registry.running(tmp_path / "registry", token=tokens.settings()) as served_address:
        yield served_address


def _log_in(folder: pathlib.Path, address: str, **entry: str) -> None:
    (folder / "config.json").write_text(json.dumps({"auths": {address: entry}}))


async def test_pull__as_nobody__is_let_at_what_is_for_everybody(address, tokens, store) -> None:
    pulled = await store.pull(f"{address}/public/app:1")
    assert (pulled.lower_dirs[0] / "bin/busybox").exists()
    fields = {"service": token_server.SERVICE, "scope": "repository:public/app:pull"}
    assert tokens.asked == [token_server.Asked("GET", "", fields)]


async def test_pull__as_nobody__is_not_let_at_the_rest(address, tokens, store) -> None:
    failed = await store.fails(f"{address}/private/app:1")
    assert [request.shown for request in tokens.asked] == [""]
    assert (type(failed), failed.reason) == (errors.InvalidArgument, "ImagePullDenied")
    assert failed.message == f"{address} does not let us at {address}/private/app:1"
    assert failed.hint == f"declare a Secret with its login, or let docker login {address} write it"


async def test_pull__with_a_password__is_let_in(address, tokens, store, docker_config) -> None:
    _log_in(docker_config, address, username=registry.USER, password=registry.PASSWORD)
    assert (await store.pull(f"{address}/private/app:1")).reference == f"{address}/private/app:1"
    assert [(request.method, request.shown) for request in tokens.asked] == [("GET", faulty.LOGIN)]


async def test_pull__with_an_identity_token__is_let_in_by_oauth2(address, tokens, store, docker_config) -> None:
    _log_in(docker_config, address, identitytoken=token_server.IDENTITY, username="00000000-0000")
    assert (await store.pull(f"{address}/private/app:1")).reference == f"{address}/private/app:1"
    fields = {
        "grant_type": "refresh_token",
        "client_id": "trimtab",
        "refresh_token": token_server.IDENTITY,
        "service": token_server.SERVICE,
        "scope": "repository:private/app:pull",
    }
    assert tokens.asked == [token_server.Asked("POST", "", fields)]


@pytest.mark.parametrize(
    "entry", [{"username": registry.USER, "password": "wr0ng"}, {"identitytoken": "wr0ng"}], ids=["password", "token"]
)
async def test_pull__with_what_is_not_taken_any_more__is_denied_even_for_what_is_for_everybody(
    address, tokens, store, docker_config, entry: dict[str, str]
) -> None:
    _log_in(docker_config, address, **entry)
    failed = await store.fails(f"{address}/public/app:1")
    assert (type(failed), failed.reason) == (errors.InvalidArgument, "ImagePullDenied")
    assert "wr0ng" not in str(failed)
    assert len(tokens.asked) == 1

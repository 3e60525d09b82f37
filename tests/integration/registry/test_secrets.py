"""Passwords, tokens and signatures: whatever goes wrong, none of them is in an error, its causes, a log or a text."""

import asyncio
import gc
import json
import logging
import traceback

import pytest
from aiohttp import web

from agent.distribution.registry import credentials, tokens, transport
from tests import faulty_registry as faulty
from tests import registry

pytestmark = pytest.mark.root

SECRETS = (registry.PASSWORD, faulty.LOGIN.removeprefix("Basic "), "t0ken", "1dentity", "s1gnature")
SIGNED = "/layer?signature=s1gnature"


async def _wrong(request: web.BaseRequest) -> web.StreamResponse:
    """Send what is no HTTP."""
    assert isinstance(request.transport, asyncio.Transport)
    request.transport.write(b"220 mail.example.org ESMTP\r\n")
    return await faulty.cuts(request)


FAULTS = [
    faulty.cuts,
    faulty.streams(10, b"x"),
    faulty.says(b"", 401),
    faulty.says(b"", 403),
    faulty.says(b"", 404),
    faulty.says(b"", 429, Retry_After="99999"),
    faulty.says(b"", 500),
    faulty.says(b"s1gnature t0ken"),
    faulty.says(b'{"token": "s1gnature t0ken"}'),
    faulty.redirects(SIGNED),
    faulty.redirects("http://[s1gnature"),
    faulty.redirects("http://s1gnature.example/?s1gnature"),
    faulty.redirects("https://127.0.0.1:1/?s1gnature"),
    _wrong,
]


async def _pull_and_gather(store: registry.Store, image: str, caplog: pytest.LogCaptureFixture) -> str:
    """Fail to pull, and give all that anybody could be shown of it; what the tests' own servers log is theirs."""
    failed = await store.fails(image)
    shown = "".join(traceback.format_exception(failed))
    objects = [held for held in gc.get_objects() if isinstance(held, (transport.Request, credentials.Credentials))]
    logged = [
        record.getMessage() for record in caplog.records if record.name not in {"aiohttp.access", "aiohttp.server"}
    ]
    return f"{shown} {failed!r} {failed.hint} {logged} {objects!r}"


@pytest.fixture
def _everything_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


def _secrets_in(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("where", ["layer", "token", "refresh"])
@pytest.mark.usefixtures("_everything_logged")
async def test_pull__fails_somehow__tells_no_secret(  # noqa: PLR0913, PLR0917 - who takes part, and what goes wrong
    server, other, store, docker_config, caplog, fault: faulty.Answer, where: str
) -> None:
    server.log_in(docker_config)
    if where == "refresh":
        config = {"auths": {server.address: {"identitytoken": "1dentity"}}}
        (docker_config / "config.json").write_text(json.dumps(config))
    server.guard("Bearer t0ken", faulty.bearer(f"http://{other.address}/token"))
    other.answers["/token"] = faulty.says(b'{"token": "t0ken"}')
    if where == "layer":
        server.answers[faulty.LAYER_PATH] = faulty.redirects(f"http://{other.address}{SIGNED}")
        other.answers["/layer"] = fault
    else:
        other.answers["/token"] = fault
    assert _secrets_in(await _pull_and_gather(store, server.image, caplog)) == []


async def test_grants__know_much__and_show_nothing(server, store, docker_config) -> None:
    server.log_in(docker_config)
    server.guard("Bearer t0ken", faulty.bearer(f"http://{server.address}/token"))
    server.answers["/token"] = faulty.says(b'{"token": "t0ken"}')
    await store.pull(server.image)
    held = store.client._tokens
    assert isinstance(held, tokens.Tokens)
    assert "t0ken" in str(held._held)
    assert _secrets_in(f"{held!r} {store.client!r} {store.client._connection!r}") == []


async def test_identity_token__is_sent_to_nobody_who_is_redirected_to(server, other, store, docker_config) -> None:
    (docker_config / "config.json").write_text(
        json.dumps({"auths": {server.address: {"identitytoken": "1dentity", "username": "x"}}})
    )
    server.guard("Bearer t0ken", faulty.bearer(f"http://{server.address}/token"))
    for status in (301, 302, 303, 307, 308):
        server.answers["/token"] = faulty.redirects(f"http://{other.address}/token", status)
        assert await store.failure(server.image) == ("Unavailable", "ImagePullFailed")
    assert other.asked == []


async def test_identity_token__is_no_answer_to_basic(server, store, docker_config) -> None:
    (docker_config / "config.json").write_text(json.dumps({"auths": {server.address: {"identitytoken": "1dentity"}}}))
    server.guard(faulty.LOGIN, 'Basic realm="x"')
    assert await store.failure(server.image) == ("InvalidArgument", "ImagePullDenied")
    assert {shown for _, shown in server.asked} == {""}


async def test_keychain__fails__is_what_the_pull_fails_with(server, store, docker_config, monkeypatch) -> None:
    program = docker_config / "docker-credential-broken"
    program.write_text("#!/bin/sh\necho s1gnature\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{docker_config}:/usr/bin:/bin")
    (docker_config / "config.json").write_text(json.dumps({"credHelpers": {server.address: "broken"}}))
    server.guard(faulty.LOGIN, 'Basic realm="x"')
    failed = await store.fails(server.image)
    assert failed.reason == "CredentialHelperFailed"
    assert failed.message.startswith("docker-credential-broken, which keeps the login for 127.0.0.1")
    assert "s1gnature" not in "".join(traceback.format_exception(failed))

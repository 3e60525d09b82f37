"""Mirrors: asked in order, each with its own login; whatever is the matter with them, the registry itself is there."""

import json
import pathlib
import random

import pytest

from agent import errors
from agent.distribution.registry import client, hosts, retries
from agent.oci import descriptor, digest, mediatypes, reference
from tests import faulty_registry as faulty

DATA = random.Random(9).randbytes(600_000)  # noqa: S311 - the same each time
BLOB = descriptor.Descriptor(mediatypes.LAYER, digest.of(DATA), len(DATA))
PATH = f"/v2/app/blobs/{BLOB.digest}"
CONFIG = descriptor.Descriptor(mediatypes.CONFIG, digest.of(faulty.CONFIG), len(faulty.CONFIG))
USELESS = [
    faulty.says(b"", 404),
    faulty.says(b"", 500),
    faulty.says(b"", 401),
    faulty.says(b"", 403),
    faulty.says(b"", 400),
    faulty.says(b"", 401, WWW_Authenticate='Bearer realm="http://elsewhere.example/token"'),
    faulty.redirects("http://elsewhere.example/"),
    faulty.streams(100, b""),
    faulty.cuts,
]


def _asking(server: faulty.Server, *mirrors: str, pauses: tuple[float, ...] = (0.01, 0.01)) -> client.RegistryClient:
    places = hosts.Hosts((hosts.Host(server.address, tuple(f"http://{mirror}" for mirror in mirrors)),))
    return client.RegistryClient(places, attempts=retries.Retries(pauses=pauses))


async def test_mirror__has_it__is_all_that_is_asked(server, other) -> None:
    async with _asking(server, other.address) as asking:
        assert (await asking.manifest(reference.parse(server.image))).data == faulty.MANIFEST
        assert await asking.document(reference.parse(server.image), CONFIG) == faulty.CONFIG
    assert [path for path, _ in other.asked] == [faulty.MANIFEST_PATH, faulty.CONFIG_PATH]
    assert server.asked == []


async def test_mirrors__are_asked_in_their_order__with_their_prefix(server, other) -> None:
    answers = other.answers
    answers[faulty.MANIFEST_PATH.replace("/v2/", "/v2/second/")] = answers.pop(faulty.MANIFEST_PATH)
    async with _asking(server, f"{other.address}/first", f"{other.address}/second", other.address) as asking:
        assert (await asking.manifest(reference.parse(server.image))).data == faulty.MANIFEST
    assert [path for path, _ in other.asked] == ["/v2/first/app/manifests/1", "/v2/second/app/manifests/1"]


@pytest.mark.parametrize("fault", USELESS)
async def test_mirror__is_of_no_use__gives_way_to_the_registry_itself(server, other, fault: faulty.Answer) -> None:
    for path in (faulty.MANIFEST_PATH, faulty.CONFIG_PATH, PATH):
        other.answers[path] = fault
    server.answers[PATH] = faulty.says(DATA)
    source = reference.parse(server.image)
    async with _asking(server, other.address, pauses=()) as asking:
        assert (await asking.manifest(source)).data == faulty.MANIFEST
        assert await asking.document(source, CONFIG) == faulty.CONFIG
        assert b"".join([chunk async for chunk in asking.blob(source, BLOB)]) == DATA


async def test_mirror__gives_other_content_than_is_asked_for__gives_way(server, other) -> None:
    pinned = digest.of(faulty.MANIFEST)
    server.answers[f"/v2/app/manifests/{pinned}"] = faulty.says(faulty.MANIFEST)
    other.answers[f"/v2/app/manifests/{pinned}"] = faulty.says(b'{"tampered": "with"}')
    other.answers[faulty.CONFIG_PATH] = faulty.says(faulty.CONFIG[:-1])
    source = reference.parse(f"{server.address}/app@{pinned}")
    async with _asking(server, other.address) as asking:
        assert (await asking.manifest(source)).data == faulty.MANIFEST
        assert await asking.document(source, CONFIG) == faulty.CONFIG


async def test_mirror__breaks_off_in_a_blob__is_gone_on_with_at_the_registry(server, other) -> None:
    other.answers[PATH], server.answers[PATH] = faulty.breaks_off(DATA, 400_000), faulty.ranges(DATA)
    async with _asking(server, other.address) as asking:
        data = b"".join([chunk async for chunk in asking.blob(reference.parse(server.image), BLOB)])
    assert data == DATA
    assert (other.ranges(PATH), server.ranges(PATH)) == ([None], ["bytes=400000-"])


async def test_registry__does_not_have_it_either__is_what_is_told(server, other) -> None:
    other.answers[faulty.MANIFEST_PATH] = faulty.says(b"", 500)
    del server.answers[faulty.MANIFEST_PATH]
    async with _asking(server, other.address) as asking:
        with pytest.raises(errors.NotFound, match=f"{server.image} is not in the registry"):
            await asking.manifest(reference.parse(server.image))
    assert len(other.asked) == 1


async def test_mirror__wants_a_login__is_shown_its_own_and_never_the_registry_s(
    server, other, docker_config: pathlib.Path
) -> None:
    auths = {server.address: "cmVnaXN0cnk6c2VjcmV0", other.address: "bWlycm9yOm93bg=="}
    for server_of, path in ((server, faulty.CONFIG_PATH), (other, faulty.MANIFEST_PATH)):
        authorization = f"Basic {auths[server_of.address]}"
        data = faulty.CONFIG if path == faulty.CONFIG_PATH else faulty.MANIFEST
        server_of.answers[path] = faulty.guards(data, authorization, 'Basic realm="x"')
    del other.answers[faulty.CONFIG_PATH]
    config = {"auths": {address: {"auth": auth} for address, auth in auths.items()}}
    (docker_config / "config.json").write_text(json.dumps(config))
    async with _asking(server, other.address) as asking:
        assert (await asking.manifest(reference.parse(server.image))).data == faulty.MANIFEST
        assert await asking.document(reference.parse(server.image), CONFIG) == faulty.CONFIG
    assert {shown for _, shown in other.asked} == {"", "Basic bWlycm9yOm93bg=="}
    assert {shown for _, shown in server.asked} == {"", "Basic cmVnaXN0cnk6c2VjcmV0"}


async def test_digest_and_tags__are_a_mirror_s_where_it_has_them(server, other) -> None:
    other.answers[faulty.MANIFEST_PATH] = faulty.says(b"", Docker_Content_Digest=CONFIG.digest)
    other.answers["/v2/app/tags/list"] = faulty.says(b'{"tags": ["1", "2"]}')
    async with _asking(server, other.address) as asking:
        assert await asking.digest(reference.parse(server.image)) == CONFIG.digest
        assert await asking.tags(reference.parse(server.image)) == ("1", "2")
    assert server.asked == []

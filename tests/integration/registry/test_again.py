"""What fails is asked for again where that may help, and never before a registry wants to be asked."""

import datetime as dt
import email.utils
import json
import time

import pytest
from aiohttp import web

from agent import errors
from agent.distribution.registry import client, hosts, retries, transport
from agent.oci import descriptor, digest, mediatypes, reference
from tests import faulty_registry as faulty

CONFIG = descriptor.Descriptor(mediatypes.CONFIG, digest.of(faulty.CONFIG), len(faulty.CONFIG))
PASSING = [
    faulty.says(b"", 500),
    faulty.says(b"", 502),
    faulty.says(b"", 503),
    faulty.says(b"", 408),
    faulty.says(b"", 429),
    faulty.cuts,
    faulty.streams(100, b"{"),
]


def _source(server: faulty.Server) -> reference.Reference:
    return reference.parse(server.image)


async def _all(chunks) -> bytes:
    return b"".join([chunk async for chunk in chunks])


@pytest.mark.parametrize("fault", PASSING)
async def test_manifest__fails_twice__is_there_the_third_time(server, asking, fault: faulty.Answer) -> None:
    server.answers[faulty.MANIFEST_PATH] = faulty.in_turn(fault, fault, faulty.says(faulty.MANIFEST))
    assert (await asking.manifest(_source(server))).data == faulty.MANIFEST
    assert server.count(faulty.MANIFEST_PATH) >= 3


@pytest.mark.parametrize("fault", PASSING)
async def test_document_and_tags_and_digest__fail_twice__are_there_the_third_time(server, asking, fault) -> None:
    right = faulty.says(faulty.CONFIG)
    server.answers[faulty.CONFIG_PATH] = faulty.in_turn(fault, fault, right)
    assert await asking.document(_source(server), CONFIG) == faulty.CONFIG
    server.answers["/v2/app/tags/list"] = faulty.in_turn(fault, fault, faulty.says(b'{"tags": ["1"]}'))
    assert await asking.tags(_source(server)) == ("1",)
    answer = faulty.says(b"", Docker_Content_Digest=CONFIG.digest)
    server.answers[faulty.MANIFEST_PATH] = faulty.in_turn(faulty.says(b"", 503), answer)
    assert await asking.digest(_source(server)) == CONFIG.digest


@pytest.mark.parametrize("fault", [faulty.says(b"", 500), faulty.says(b"", 429), faulty.says(b"{", 503)])
async def test_manifest__fails_for_ever__is_asked_for_as_often_as_is_said_and_no_more(server, asking, fault) -> None:
    server.answers[faulty.MANIFEST_PATH] = fault
    with pytest.raises(transport.TransientError):
        await asking.manifest(_source(server))
    assert server.count(faulty.MANIFEST_PATH) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 300, 304])
async def test_manifest__is_answered_for_good__is_asked_for_once(server, asking, status: int) -> None:
    server.answers[faulty.MANIFEST_PATH] = faulty.says(b"", status)
    with pytest.raises(errors.Failure):
        await asking.manifest(_source(server))
    assert server.count(faulty.MANIFEST_PATH) == 1


class Timed:
    """An answer that notes when it was asked for."""

    def __init__(self, answer: faulty.Answer) -> None:
        self._answer = answer
        self.moments: list[float] = []

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Note it, and answer."""
        self.moments.append(time.time())
        return await self._answer(request)


@pytest.mark.parametrize("status", [429, 503])
async def test_registry__wants_to_be_left_alone_for_seconds__is_asked_for_nothing_before(
    server, asking, status: int
) -> None:
    """The clocks of loop and wall differ by little; what is asked for is never cut short by more than that."""
    refuses = faulty.says(b"", status, Retry_After="1")
    timed = Timed(faulty.in_turn(refuses, faulty.says(faulty.MANIFEST)))
    server.answers[faulty.MANIFEST_PATH] = timed
    assert (await asking.manifest(_source(server))).data == faulty.MANIFEST
    first, second = timed.moments
    assert second - first >= 0.98


async def test_registry__wants_to_be_left_alone_until_a_date__is_asked_for_nothing_before(server, asking) -> None:
    moment = dt.datetime.fromtimestamp(int(time.time()) + 2, dt.UTC)
    refuses = faulty.says(b"", 429, Retry_After=email.utils.format_datetime(moment, usegmt=True))
    timed = Timed(faulty.in_turn(refuses, faulty.says(faulty.LAYER)))
    server.answers[faulty.LAYER_PATH] = timed
    blob = descriptor.Descriptor(mediatypes.LAYER_GZIP, digest.of(faulty.LAYER), len(faulty.LAYER))
    assert await _all(asking.blob(_source(server), blob)) == faulty.LAYER
    assert len(timed.moments) == 2
    assert timed.moments[1] >= moment.timestamp() - 0.02


@pytest.mark.parametrize("wish", ["86400", "9" * 30, "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_registry__wants_to_be_left_alone_for_ever__is_not_asked_again_and_nobody_waits(
    server, asking, wish: str
) -> None:
    server.answers[faulty.MANIFEST_PATH] = faulty.says(b"", 429, Retry_After=wish)
    with pytest.raises(transport.TransientError, match=r"asks to be left alone for 86\d\d\d s"):
        await asking.manifest(_source(server))
    with pytest.raises(transport.TransientError, match="asks to be left alone"):
        await asking.document(_source(server), CONFIG)
    assert [path for path, _ in server.asked] == [faulty.MANIFEST_PATH]


@pytest.mark.parametrize("wish", ["soon", "-5", "Sun, 01 Mar 2026 12:00:30 +99999999999999999999", ""])
async def test_registry__wishes_for_what_nobody_understands__is_asked_again_by_and_by(server, asking, wish) -> None:
    refuses = faulty.says(b"", 429, Retry_After=wish)
    server.answers[faulty.MANIFEST_PATH] = faulty.in_turn(refuses, faulty.says(faulty.MANIFEST))
    assert (await asking.manifest(_source(server))).data == faulty.MANIFEST


async def test_token_server__wants_to_be_left_alone__is(server, other, asking) -> None:
    server.guard("Bearer t0ken", faulty.bearer(f"http://{other.address}/token"))
    refuses = faulty.says(b"", 429, Retry_After="1")
    timed = Timed(faulty.in_turn(refuses, faulty.says(b'{"token": "t0ken"}')))
    other.answers["/token"] = timed
    assert (await asking.manifest(_source(server))).data == faulty.MANIFEST
    first, second = timed.moments
    assert second - first >= 0.98


async def test_mirror__wants_to_be_left_alone__is_passed_over_and_not_waited_for(server, other) -> None:
    other.answers[faulty.MANIFEST_PATH] = faulty.says(b"", 429, Retry_After="100")
    places = hosts.Hosts((hosts.Host(server.address, (f"http://{other.address}",)),))
    async with client.RegistryClient(places, attempts=retries.Retries(pauses=())) as asking:
        for _ in range(2):
            assert (await asking.manifest(_source(server))).data == faulty.MANIFEST
        assert await asking.document(_source(server), CONFIG) == faulty.CONFIG
    assert [path for path, _ in other.asked] == [faulty.MANIFEST_PATH]


async def test_digest__told_by_a_header__is_taken_without_a_copy(server, asking) -> None:
    server.answers[faulty.MANIFEST_PATH] = faulty.says(faulty.MANIFEST, Docker_Content_Digest=CONFIG.digest)
    assert await asking.digest(_source(server)) == CONFIG.digest
    assert server.methods == ["HEAD"]


@pytest.mark.parametrize("headers", [{}, {"Docker_Content_Digest": "md5:1"}, {"Docker_Content_Digest": "sha256:beef"}])
async def test_digest__not_told_by_a_header__is_that_of_the_manifest(server, asking, headers: dict[str, str]) -> None:
    server.answers[faulty.MANIFEST_PATH] = faulty.says(faulty.MANIFEST, **headers)
    assert await asking.digest(_source(server)) == digest.of(faulty.MANIFEST)
    assert server.methods == ["HEAD", "GET"]


async def test_tags__on_several_pages__are_all_there_in_order(server, other, asking) -> None:
    """A page's address may be whole or not; what is asked is the registry itself, whatever host the address names."""

    async def page(request: web.BaseRequest) -> web.StreamResponse:
        links = {
            "": "</v2/app/tags/list?last=b%26&n=2>; rel=next",
            "b&": f'<http://{other.address}/elsewhere?last=d>; rel="next"',
        }
        last = request.query.get("last", "")
        body = {"": ["a", "b&"], "b&": ["c", "d"], "d": ["e"]}[last]
        headers = {"Link": links[last]} if last in links else {}
        return web.Response(body=json.dumps({"name": "app", "tags": body}).encode(), headers=headers)

    server.answers["/v2/app/tags/list"] = page
    assert await asking.tags(_source(server)) == ("a", "b&", "c", "d", "e")
    assert [path for path, _ in server.asked][1:] == ["/v2/app/tags/list?last=b%26&n=2", "/v2/app/tags/list?last=d"]
    assert other.asked == []


@pytest.mark.parametrize(
    "link", ["", "<>; rel=next", "<http://[>; rel=next", "</v2/app/tags/list>; rel=next", "x" * 50]
)
async def test_tags__a_link_that_leads_nowhere__is_the_end(server, asking, link: str) -> None:
    server.answers["/v2/app/tags/list"] = faulty.says(b'{"tags": ["a"]}', Link=link)
    assert await asking.tags(_source(server)) == ("a",)


@pytest.mark.parametrize(
    ("body", "tags"), [(b'{"tags": null}', ()), (b'{"tags": []}', ()), (b'{"tags": ["a", 1, null, "b"]}', ("a", "b"))]
)
async def test_tags__a_list_with_nothing_or_strange_things_in_it__is_what_can_be_read(
    server, asking, body: bytes, tags: tuple[str, ...]
) -> None:
    server.answers["/v2/app/tags/list"] = faulty.says(body)
    assert await asking.tags(_source(server)) == tags


@pytest.mark.parametrize("body", [b"", b'{"tags": ["a"', b"[]", b"null", b"{}", b"[" * 100_000, b"\xff"])
async def test_tags__no_list__is_refused(server, asking, body: bytes) -> None:
    server.answers["/v2/app/tags/list"] = faulty.says(body)
    with pytest.raises(errors.InvalidArgument) as caught:
        await asking.tags(_source(server))
    assert caught.value.reason == "ImageRefused"


async def test_tags__without_end__are_cut_off(server, asking, monkeypatch) -> None:
    monkeypatch.setattr(client, "_MOST_PAGES", 20)
    server.answers["/v2/app/tags/list"] = faulty.says(b'{"tags": ["a"]}', Link="</v2/app/tags/list?last=a>; rel=next")
    with pytest.raises(errors.InvalidArgument, match="without end"):
        await asking.tags(_source(server))
    monkeypatch.setattr(client, "_LARGEST_LIST", 100)
    server.asked.clear()
    with pytest.raises(errors.InvalidArgument, match="more than"):
        await asking.tags(_source(server))
    assert server.count("/v2/app/tags/list") == 7

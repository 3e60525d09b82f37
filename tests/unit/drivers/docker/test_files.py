"""Files of an engine's containers, by made-up answers."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from agent import errors
from agent.drivers.docker import files
from tests.unit.drivers.docker import twin
from tests.unit.drivers.docker.test_containers import opened

INSPECTED = {"Id": twin.ID, "Name": "/web", "State": {"Status": "running", "Running": True}}
ARCHIVE = f"containers/{twin.ID}/archive"
DIRECTORY = 1 << 31 | 0o755


def status(**fields: object) -> web.Response:
    """Return what an engine says of a path."""
    encoded = base64.b64encode(json.dumps({"name": "x", "mode": 0o644, "linkTarget": "", **fields}).encode())
    return web.Response(headers={"X-Docker-Container-Path-Stat": encoded.decode()})


async def linked(request: web.Request) -> web.Response:
    """Answer for a link to a link to a directory."""
    targets = {"/latest": "/current", "/current": "/releases/5"}
    path = request.query["path"]
    if path not in {*targets, "/releases/5"}:
        return web.Response(status=404)
    return status(mode=DIRECTORY, linkTarget=targets.get(path, ""))


async def archived(request: web.Request) -> web.Response:
    """Answer with the path that was asked for."""
    return web.Response(body=request.query["path"].encode())


def answers(**others: Any) -> dict[str, Any]:
    """Return the answers of an engine with these links."""
    usual = {f"HEAD {ARCHIVE}": linked, f"GET {ARCHIVE}": archived, f"PUT {ARCHIVE}": web.Response()}
    return {"GET containers/web/json": INSPECTED, **usual, **others}


async def nothing() -> AsyncIterator[bytes]:
    """Return an archive."""
    yield b"archive"


@pytest.mark.parametrize("path", ["/latest", "/current", "/releases/5"])
async def test_copy_out__links_of_the_path__are_followed_as_the_engine_resolves_them(tmp_path, path: str) -> None:
    async with opened(tmp_path, **answers()) as (_, runtime), runtime.containers.copy_out("web", path) as pieces:
        assert b"".join([piece async for piece in pieces]) == b"/releases/5"


@pytest.mark.parametrize("path", ["/latest", "/releases/5"])
async def test_copy_in__goes_where_links_lead__and_replaces_no_directory(tmp_path, path: str) -> None:
    async with opened(tmp_path, **answers()) as (served, runtime):
        await runtime.containers.copy_in("web", path, nothing())
    query = dict(served.asked)[f"PUT {ARCHIVE}"]
    assert "path=/releases/5&noOverwriteDirNonDir=true" in query
    assert served.bodies[f"PUT {ARCHIVE}"] == "archive"


async def test_missing__path_not_found(tmp_path) -> None:
    async with opened(tmp_path, **answers()) as (_, runtime):
        with pytest.raises(errors.NotFound) as caught:
            await runtime.containers.copy_in("web", "/missing", nothing())
        assert (caught.value.reason, caught.value.message) == ("PathNotFound", "there is no /missing in container web")


async def test_copy_in__no_directory__is_said_before_anything_is_sent(tmp_path) -> None:
    async with opened(tmp_path, **answers(**{f"HEAD {ARCHIVE}": status()})) as (served, runtime):
        with pytest.raises(errors.InvalidArgument) as caught:
            await runtime.containers.copy_in("web", "/file", nothing())
        assert caught.value.reason == "NotADirectory"
    assert f"PUT {ARCHIVE}" not in served.calls()


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        (403, "container rootfs is marked read-only", errors.Conflict),
        (500, "open /x: read-only file system", errors.Conflict),
        (500, 'cannot overwrite directory "/x" with non-directory "/"', errors.Conflict),
        (500, "mkdir /file/x: not a directory", errors.Conflict),
        (500, "unlinkat /etc/hosts: device or resource busy", errors.Conflict),
        (500, "Error processing tar file(exit status 1): unexpected EOF", errors.InvalidArgument),
        (500, "archive/tar: invalid tar header", errors.InvalidArgument),
        (500, "write /x: no space left on device", errors.Unavailable),
        (500, "something else", errors.Unavailable),
    ],
)
async def test_copy_in__refused__by_what_the_engine_says(tmp_path, code: int, message: str, expected: Any) -> None:
    refused = web.json_response({"message": message}, status=code)
    async with opened(tmp_path, **answers(**{f"PUT {ARCHIVE}": refused})) as (_, runtime):
        with pytest.raises(expected, match=message[:10].replace("(", "\\(")):
            await runtime.containers.copy_in("web", "/releases/5", nothing())


@pytest.mark.parametrize(
    ("path", "read_only"),
    [("/", True), ("/etc/x", True), ("/data", False), ("/data/x/", False), ("/data/ro/x", True), ("/tmp/x", False)],
)
def test_is_read_only__the_innermost_mount_counts(path: str, read_only: bool) -> None:
    mounts = [{"Destination": "/data", "RW": True}, {"Destination": "/data/ro", "RW": False}]
    inspected = {"HostConfig": {"ReadonlyRootfs": True, "Tmpfs": {"/tmp": "rw"}}, "Mounts": mounts}
    assert files.is_read_only(inspected, path) is read_only
    assert not files.is_read_only({}, path)


async def test_copy_in__read_only__is_a_conflict_whatever_the_engine_would_do(tmp_path) -> None:
    inspected = {**INSPECTED, "HostConfig": {"ReadonlyRootfs": True}}
    async with opened(tmp_path, **answers(**{"GET containers/web/json": inspected})) as (served, runtime):
        with pytest.raises(errors.Conflict, match="read-only"):
            await runtime.containers.copy_in("web", "/releases/5", nothing())
    assert f"PUT {ARCHIVE}" not in served.calls()


@pytest.mark.parametrize(("empty_ones", "is_whole"), [(0, True), (2, True), (100, False)])
async def test_copy_out__an_empty_archive__is_asked_for_again_and_never_taken_for_one(
    tmp_path, monkeypatch: pytest.MonkeyPatch, empty_ones: int, *, is_whole: bool
) -> None:
    monkeypatch.setattr(files, "_PAUSE", 0.0)
    bodies = iter([b""] * empty_ones + [b"archive"])

    async def sent(_: web.Request) -> web.Response:
        return web.Response(body=next(bodies))

    async with opened(tmp_path, **answers(**{f"GET {ARCHIVE}": sent})) as (_, runtime):
        if is_whole:
            async with runtime.containers.copy_out("web", "/releases/5") as pieces:
                assert b"".join([piece async for piece in pieces]) == b"archive"
        else:
            with pytest.raises(
                errors.Unavailable, match="/releases/5 in container web: the engine sends an empty archive"
            ):
                async with runtime.containers.copy_out("web", "/releases/5"):
                    pytest.fail("there is nothing to read")

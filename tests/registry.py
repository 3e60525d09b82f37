"""Debian's registry as a real other side, and an engine's image store without the rest of an engine, to pull into."""

import contextlib
import dataclasses
import http.client
import json
import pathlib
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import pytest

from agent import errors
from agent.distribution.content import store
from agent.distribution.registry import client, hosts, retries
from agent.engine import engine, layout, records
from agent.engine.images import images, signatures
from agent.oci import digest

USER, PASSWORD = "pilot", "secret"
"""Who may pull from a registry that wants a login."""
_HTPASSWD = f"{USER}:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"
_PATIENCE = 10.0
"""Seconds that the program may take to listen, and to end."""


@contextlib.contextmanager
def running(
    folder: pathlib.Path,
    port: int = 0,
    *,
    login: bool = False,
    token: Mapping[str, str] | None = None,
    tls: Mapping[str, object] | None = None,
) -> Iterator[str]:
    """Run a registry that keeps everything in ``folder``, and give its address; port 0 takes a free one.

    With ``login`` it is open to ``USER`` alone, with ``token`` (its own settings of that) to whoever shows one, with
    ``tls`` (its own settings of that) over HTTPS. Run again over the same folder it has what it had.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "info"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    if login:
        (folder / "htpasswd").write_text(_HTPASSWD)
        settings["auth"] = {"htpasswd": {"realm": "registry", "path": str(folder / "htpasswd")}}
    if token is not None:
        settings["auth"] = {"token": dict(token)}
    if tls is not None:
        settings["http"]["tls"] = dict(tls)
    (folder / "config.json").write_text(json.dumps(settings))
    log = folder / "log"
    with log.open("wb") as output:
        program = subprocess.Popen(["docker-registry", "serve", folder / "config.json"], stdout=output, stderr=output)
    try:
        yield _address(program, log)
    finally:
        program.terminate()
        try:
            program.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait(_PATIENCE)


def push(archive: pathlib.Path, reference: str, *options: str) -> None:
    """Push an OCI archive by skopeo. Options are those of ``skopeo copy``: ``--format v2s2``, ``--dest-creds``."""
    subprocess.run(
        [
            *("skopeo", "--insecure-policy", "--tmpdir", archive.parent, "copy", "--quiet", "--dest-tls-verify=false"),
            *(*options, f"oci-archive:{archive}", f"docker://{reference}"),
        ],
        check=True,
        capture_output=True,
    )


def push_blob(repository: str, data: bytes) -> str:
    """Push a blob to ``address/repository``, and give its digest."""
    address, _, name = repository.partition("/")
    connection = http.client.HTTPConnection(address, timeout=_PATIENCE)
    try:
        connection.request("POST", f"/v2/{name}/blobs/uploads/")
        begun = connection.getresponse()
        begun.read()
        where = f"{begun.headers['Location']}&digest={digest.of(data)}"
        connection.request("PUT", where, data, {"Content-Type": "application/octet-stream"})
        status = connection.getresponse().status
    finally:
        connection.close()
    assert status == http.HTTPStatus.CREATED, status
    return digest.of(data)


def push_manifest(reference: str, manifest: Mapping[str, Any]) -> str:
    """Push a manifest or an index, whose parts the registry has already, and give its digest."""
    data = json.dumps(manifest).encode()
    status, answer = _asked(reference, "PUT", data, {"Content-Type": manifest["mediaType"]})
    assert status == http.HTTPStatus.CREATED, answer
    return digest.of(data)


def push_index(reference: str, media_type: str, children: list[dict[str, Any]]) -> str:
    """Push an index of manifests that the registry has already, and give its digest."""
    return push_manifest(reference, {"schemaVersion": 2, "mediaType": media_type, "manifests": children})


def manifest(reference: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a manifest that the registry has: itself, and a descriptor of it."""
    accepted = ("oci.image.manifest.v1+json", "docker.distribution.manifest.v2+json")
    status, data = _asked(reference, "GET", None, {"Accept": ", ".join(f"application/vnd.{kind}" for kind in accepted)})
    assert status == http.HTTPStatus.OK, data
    manifest = json.loads(data)
    return manifest, {"mediaType": manifest["mediaType"], "digest": digest.of(data), "size": len(data)}


@dataclasses.dataclass(frozen=True, slots=True)
class Store:
    """An image store."""

    home: pathlib.Path
    images: images.Images
    content: store.ContentStore
    client: client.RegistryClient
    stages: list[images.TransferProgress] = dataclasses.field(default_factory=list)
    """What pulls have reported."""

    def partial(self) -> bytes:
        """Return the part of a blob that was downloaded; nothing where there is none."""
        return b"".join(path.read_bytes() for path in self.content.partials())

    def snapshots(self) -> list[str]:
        """Name all that lies where unpacked layers do, be it kept or not."""
        return sorted(path.name for path in (self.home / "root/snapshots").iterdir())

    async def pull(self, reference: str, platform: str = "") -> images.StoredImage:
        """Pull an image."""
        return await self.images.pull(reference, platform, (), self.stages.append)

    async def fails(self, reference: str, platform: str = "") -> errors.Failure:
        """Pull an image that is not to be had, and give the failure. Nothing is left where blobs are written."""
        with pytest.raises(errors.Failure) as caught:
            await self.pull(reference, platform)
        assert self.content.unfinished() == []
        return caught.value

    async def failure(self, reference: str, platform: str = "") -> tuple[str, str]:
        """Pull an image that is not to be had, and give kind and reason of the failure."""
        failed = await self.fails(reference, platform)
        return kind(failed).__name__, failed.reason


def kind(failed: errors.Failure) -> type[errors.Failure]:
    """Return which of the engine's kinds of failure this is one of."""
    kinds = (errors.NotFound, errors.Conflict, errors.InUse, errors.Unavailable, errors.InvalidArgument)
    return next(kind for kind in kinds if isinstance(failed, kind))


@contextlib.asynccontextmanager
async def opened(
    home: pathlib.Path, places: hosts.Hosts | None = None, rules: tuple[signatures.Rule, ...] = ()
) -> AsyncIterator[Store]:
    """Open an image store in a folder. At the end nothing may lie there half written, and no answer be left open.

    At the end nothing may lie there half written, and no answer be left open. What fails is asked for three times at
    most, and nobody waits long in between.
    """
    where = layout.of(home / "root", home / "run")
    where.prepare()
    database = records.Database(where.records, engine.SCHEMAS)
    try:
        async with client.RegistryClient(places, attempts=retries.Retries(pauses=(0.01, 0.01))) as registry:
            rooms = engine.join_images(where, engine.Options(verify=signatures.Policy(rules)), registry, database)
            yield Store(home, images.Images(rooms), rooms.content, registry)
            assert rooms.content.unfinished() == []
            session = registry._connection._session
            assert session is None or session.connector is None or session.connector._acquired == set()
    finally:
        database.close()


def _address(program: "subprocess.Popen[bytes]", log: pathlib.Path) -> str:
    """Wait until the registry says where it listens."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and program.poll() is None:
        _, marker, tail = log.read_text().partition("listening on ")
        if marker and '"' in tail:
            return tail.partition('"')[0].partition(",")[0]  # what follows is how it is spoken to
        time.sleep(0.01)
    raise AssertionError(f"the registry does not listen: {log.read_text()}")


def _asked(reference: str, method: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
    """Ask about the manifest of a reference: ``address/repository:tag``."""
    address, _, name = reference.partition("/")
    repository, _, tag = name.partition(":")
    connection = http.client.HTTPConnection(address, timeout=_PATIENCE)
    try:
        connection.request(method, f"/v2/{repository}/manifests/{tag}", body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()

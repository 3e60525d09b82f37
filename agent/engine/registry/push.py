"""Pushing (distribution specification, "Push"): blobs that the registry lacks, several at once, then what names them.

A blob that another repository of the same registry is known to have is mounted from there and not sent. One that breaks
off is gone on with from where the registry says that it has got to.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from agent.engine import errors
from agent.engine.content import store
from agent.engine.registry import client, transport, uploads
from agent.kit import tasks
from agent.oci import descriptor, digest, document, manifest, mediatypes, reference

_PARALLEL = 3
"""Blobs at a time, as Docker."""
_MOUNTS = 3
"""Repositories that are asked for a blob, at most."""
_REASONS = {"ImagePullDenied": "ImagePushDenied", "ImagePullFailed": "ImagePushFailed"}
_AGAIN = "push it again: what the registry has by then is not sent twice"


class Sources(Protocol):
    """What is known of where blobs are."""

    def of(self, wanted: str, registry: str) -> tuple[str, ...]:
        """Give repositories of a registry that have, or had, a blob."""

    def note(self, blobs: Iterable[str], source: reference.Reference) -> None:
        """Remember where blobs are."""


@dataclasses.dataclass(frozen=True, slots=True)
class Sending:
    """How far a push has got, in bytes; what the registry has already counts as sent."""

    done: int
    total: int


@dataclasses.dataclass(frozen=True, slots=True)
class _Document:
    """A manifest or an index, as it is stored."""

    digest: str
    data: bytes
    parsed: manifest.Manifest | manifest.Index


class Push:
    """One push to one place."""

    def __init__(
        self,
        registry: client.RegistryClient,
        content: store.ContentStore,
        sources: Sources,
        target: reference.Reference,
        report: Callable[[Sending], None],
    ) -> None:
        """Nothing is asked or sent yet."""
        self._uploads = uploads.Uploads(registry, target)
        self._registry = registry
        self._content = content
        self._sources = sources
        self._target = target
        self._report = report
        self._places = asyncio.Semaphore(_PARALLEL)
        self._sent: dict[str, int] = {}
        self._total = 0

    async def image(self, top: bytes) -> str:
        """Push an image, or an index with those of its images that the store has; gives the digest of it.

        Bytes go out as they are stored, so that a digest stays what it is. Raises ``errors.Refused``
        (``ImagePushDenied``, ``ImagePushRefused``), ``errors.Unavailable`` (``ImagePushFailed``), ``errors.NotFound``.
        """
        wanted = self._target.digest
        if wanted and not digest.matches(wanted, top):
            raise errors.Refused(
                f"{self._target} names another image than the one that is to be pushed: {digest.of(top)}",
                hint="push it by a tag",
                reason="DigestMismatch",
            )
        with _told(self._target):
            documents = _documents(top, self._content)
            blobs = {blob.digest: blob for one in documents for blob in _blobs(one.parsed)}
            self._total = sum(blob.size for blob in blobs.values())
            await tasks.together("push", *map(self._blob, blobs.values()))
            for one in documents:
                await self._document(one, self._name(one, top))
        return documents[-1].digest

    def _name(self, one: _Document, top: bytes) -> str:
        """Give what a document is put under: the tag, or the digest that was asked for; what is below it, its own."""
        if one.data is not top:
            return one.digest
        return self._target.tag or self._target.digest or "latest"

    async def _blob(self, blob: descriptor.Descriptor) -> None:
        async with self._places:
            await self._uploads.bring(self._file(blob), self._sources.of(blob.digest, self._target.registry)[:_MOUNTS])
            self._sources.note([blob.digest], self._target)

    def _file(self, blob: descriptor.Descriptor) -> uploads.Blob:
        def moved(done: int) -> None:
            self._sent[blob.digest] = done
            self._report(Sending(sum(self._sent.values()), self._total))

        return uploads.Blob(blob, self._content.path(blob.digest), moved)

    async def _document(self, one: _Document, name: str) -> None:
        """Put a manifest where others find it. Raises ``errors.Refused`` where the registry takes it for another."""
        headers = {"Content-Type": _media_type(one)}

        async def put() -> str:
            url = self._uploads.where.url(self._target.repository, f"manifests/{name}")
            request = transport.Request("PUT", url, self._uploads.where.tls, headers, lambda: one.data)
            async with self._uploads.asked(request) as answer:
                await self._uploads.check(answer)
                return answer.headers.get("Docker-Content-Digest", "")

        told = await self._uploads.again(put)
        if told and told.startswith("sha256:") and told != one.digest:
            raise errors.Refused(
                f"{self._target.registry} has taken {one.digest} for {told[:100]}",
                hint="the registry, or something before it, changes what is pushed",
                reason="DigestMismatch",
            )


def _documents(top: bytes, content: store.ContentStore) -> list[_Document]:
    """Give a document and all that it names and the store has, what is named before what names it."""
    found: dict[str, _Document] = {}

    def walk(data: bytes) -> None:
        told = digest.of(data)
        if told in found:
            return
        parsed = manifest.parse(data)
        for child in parsed.manifests if isinstance(parsed, manifest.Index) else ():
            if content.has(child.digest):
                walk(content.read(child.digest))
        found[told] = _Document(told, data, parsed)

    walk(top)
    return list(found.values())


def _blobs(parsed: manifest.Manifest | manifest.Index) -> tuple[descriptor.Descriptor, ...]:
    return (parsed.config, *parsed.layers) if isinstance(parsed, manifest.Manifest) else ()


def _media_type(one: _Document) -> str:
    """Give the type that a document says it is; only OCI's may say nothing."""
    said = document.parse(one.data, "manifest").text("mediaType", default="")
    return said or (mediatypes.INDEX if isinstance(one.parsed, manifest.Index) else mediatypes.MANIFEST)


@contextlib.contextmanager
def _told(target: reference.Reference) -> Iterator[None]:
    """Say of failures that it was a push that has failed."""
    try:
        yield
    except document.Malformed as error:
        raise errors.Refused(f"{target}: {error}", reason="ImageRefused") from error
    except (errors.Unavailable, errors.Refused) as error:
        kind = errors.Refused if isinstance(error, errors.Refused) else errors.Unavailable
        passing = isinstance(error, transport.Passing)
        hint = _AGAIN if passing else error.hint
        raise kind(error.message, hint=hint, reason=_REASONS.get(error.reason, error.reason)) from error

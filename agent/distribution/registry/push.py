"""Push (distribution specification, "Push"): missing blobs, several at once, then the documents that name them.

A blob that another repository of the same registry is known to have is mounted from there and not sent. One that breaks
off is resumed where the registry says.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from agent import errors
from agent.distribution.content import store
from agent.distribution.registry import client, transport, uploads
from agent.kit import frozen, tasks
from agent.oci import descriptor, digest, document, manifest, mediatypes, reference
from agent.reasons import Reason

_PARALLEL = 3
"""Blobs uploaded at a time, as Docker."""
_MOUNTS = 3
"""Repositories that a blob is mounted from at most."""
_REASONS = {Reason.IMAGE_PULL_DENIED: Reason.IMAGE_PUSH_DENIED, Reason.IMAGE_PULL_FAILED: Reason.IMAGE_PUSH_FAILED}
_RETRY_HINT = "push it again: what the registry has by then is not sent twice"


class Sources(Protocol):
    """The repositories that are known to have blobs."""

    def of(self, blob: str, registry: str) -> tuple[str, ...]:
        """Return repositories of a registry that have, or had, a blob."""

    def note(self, blobs: Iterable[str], source: reference.Reference) -> None:
        """Remember where blobs are."""


@frozen.value
class PushProgress:
    """How far a push has got, in bytes; what the registry has already counts as sent."""

    done: int
    total: int


@frozen.value
class _Document:
    """A manifest or an index, as it is stored."""

    digest: str
    data: bytes
    parsed: manifest.Manifest | manifest.Index


class Push:
    """A push to one repository."""

    def __init__(
        self,
        registry: client.RegistryClient,
        content: store.ContentStore,
        sources: Sources,
        target: reference.Reference,
        report: Callable[[PushProgress], None],
    ) -> None:
        """Store the arguments; nothing is sent yet."""
        self._uploads = uploads.Uploads(registry, target)
        self._registry = registry
        self._content = content
        self._sources = sources
        self._target = target
        self._report = report
        self._slots = asyncio.Semaphore(_PARALLEL)
        self._sent: dict[str, int] = {}
        self._total = 0

    async def image(self, top: bytes) -> str:
        """Push an image, or an index with those of its images that the store has; return the digest of it.

        Bytes go out as they are stored, so that a digest stays what it is. Raises ``errors.InvalidArgument``
        (``ImagePushDenied``, ``ImagePushRefused``), ``errors.Unavailable`` (``ImagePushFailed``), ``errors.NotFound``.
        """
        expected = self._target.digest
        if expected and not digest.matches(expected, top):
            raise errors.InvalidArgument(
                f"{self._target} names another image than the one that is to be pushed: {digest.of(top)}",
                hint="push it by a tag",
                reason=Reason.DIGEST_MISMATCH,
            )
        with _translated(self._target):
            documents = _documents(top, self._content)
            blobs = {blob.digest: blob for document in documents for blob in _blobs(document.parsed)}
            self._total = sum(blob.size for blob in blobs.values())
            await tasks.together("push", *map(self._blob, blobs.values()))
            for entry in documents:
                await self._document(entry, self._name(entry, top))
        return documents[-1].digest

    def _name(self, entry: _Document, top: bytes) -> str:
        """Return the name a document is put under: the tag or requested digest for the top, else its own digest."""
        if entry.data is not top:
            return entry.digest
        return self._target.tag or self._target.digest or "latest"

    async def _blob(self, blob: descriptor.Descriptor) -> None:
        async with self._slots:
            await self._uploads.bring(self._file(blob), self._sources.of(blob.digest, self._target.registry)[:_MOUNTS])
            self._sources.note([blob.digest], self._target)

    def _file(self, blob: descriptor.Descriptor) -> uploads.Blob:
        def moved(done: int) -> None:
            self._sent[blob.digest] = done
            self._report(PushProgress(sum(self._sent.values()), self._total))

        return uploads.Blob(blob, self._content.path(blob.digest), moved)

    async def _document(self, entry: _Document, name: str) -> None:
        """Push a manifest. Raises ``errors.InvalidArgument`` where the registry takes it for another."""
        headers = {"Content-Type": _media_type(entry)}

        async def put() -> str:
            url = self._uploads.where.url(self._target.repository, f"manifests/{name}")
            request = transport.Request("PUT", url, self._uploads.where.tls, headers, lambda: entry.data)
            async with self._uploads.asked(request) as answer:
                await self._uploads.check(answer)
                return answer.headers.get("Docker-Content-Digest", "")

        stored = await self._uploads.with_retries(put)
        if stored and stored.startswith("sha256:") and stored != entry.digest:
            raise errors.InvalidArgument(
                f"{self._target.registry} has taken {entry.digest} for {stored[:100]}",
                hint="the registry, or something before it, changes what is pushed",
                reason=Reason.DIGEST_MISMATCH,
            )


def _documents(top: bytes, content: store.ContentStore) -> list[_Document]:
    """Return a document and all documents that it names and the store has, the named ones first."""
    documents: dict[str, _Document] = {}

    def walk(data: bytes) -> None:
        name = digest.of(data)
        if name in documents:
            return
        parsed = manifest.parse(data)
        for child in parsed.manifests if isinstance(parsed, manifest.Index) else ():
            if content.has(child.digest):
                walk(content.read(child.digest))
        documents[name] = _Document(name, data, parsed)

    walk(top)
    return list(documents.values())


def _blobs(parsed: manifest.Manifest | manifest.Index) -> tuple[descriptor.Descriptor, ...]:
    return (parsed.config, *parsed.layers) if isinstance(parsed, manifest.Manifest) else ()


def _media_type(entry: _Document) -> str:
    """Return a document's media type; only OCI documents may lack the field."""
    declared = document.parse(entry.data, "manifest").text("mediaType", default="")
    return declared or (mediatypes.INDEX if isinstance(entry.parsed, manifest.Index) else mediatypes.MANIFEST)


@contextlib.contextmanager
def _translated(target: reference.Reference) -> Iterator[None]:
    """Translate a failed pull's reasons and hints to those of a push."""
    try:
        yield
    except document.Malformed as error:
        raise errors.InvalidArgument(f"{target}: {error}", reason=Reason.IMAGE_REFUSED) from error
    except (errors.Unavailable, errors.InvalidArgument) as error:
        kind = errors.InvalidArgument if isinstance(error, errors.InvalidArgument) else errors.Unavailable
        passing = isinstance(error, transport.TransientError)
        hint = _RETRY_HINT if passing else error.hint
        raise kind(error.message, hint=hint, reason=_REASONS.get(error.reason, error.reason)) from error

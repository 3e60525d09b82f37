"""Caches of builds in registries: the steps of a build, each with its layer, as an artifact that any registry takes.

The artifact's configuration maps keys of steps to layers, and the layers are its blobs. It is read at the first step
that this host has not done, and of its layers only those are fetched that a build needs. Steps of a remote cache are
known to this host's cache by the cache's name as well: whoever may push there has no say in builds that do not name it.
"""

import json
from collections.abc import Mapping, Sequence

from agent import errors
from agent.distribution.content import store
from agent.distribution.registry import client, push
from agent.engine.build import cache, spec
from agent.engine.images import fetch, leases, signatures
from agent.kit import frozen
from agent.oci import descriptor, digest, document, manifest, mediatypes, reference
from agent.reasons import Reason

TYPE = "application/vnd.trimtab.build-cache.v1+json"
_VERSION = 1
_LATEST = 2**40
"""Seconds since the epoch that no step was made at."""
_MOST_LAYERS = manifest.MOST_LAYERS
_NONE: Mapping[str, cache.Step] = {}


@frozen.value(kw_only=True)
class Deps:
    """Collaborators of remote caches."""

    content: store.ContentStore
    registry: client.RegistryClient
    fetcher: fetch.Fetcher
    verifier: signatures.Verifier
    sources: push.Sources


class RemoteCaches:
    """Reads and writes caches in registries."""

    def __init__(self, deps: Deps) -> None:
        """Nothing is read yet."""
        self._deps = deps

    async def read(self, text: str) -> Mapping[str, cache.Step]:
        """Return the steps of a cache by their keys; none where there is no cache of that name yet.

        Raises ``errors.InvalidArgument``: it is no cache, or what comes from there has to be signed;
        ``errors.Unavailable``.
        """
        source = parse(text)
        if self._deps.verifier.demands(source):
            raise errors.InvalidArgument(
                f"the cache {text} is in a repository whose content must be signed, and caches are not",
                hint="take it from another repository, or change verify.rules",
                reason=Reason.IMAGE_UNVERIFIED,
            )
        try:
            top = await self._deps.registry.manifest(source)
        except errors.NotFound:
            return _NONE
        try:
            parsed = manifest.parse(top.data, top.media_type)
        except document.Malformed as error:
            raise errors.InvalidArgument(f"the cache {text} is damaged: {error}") from error
        if not isinstance(parsed, manifest.Manifest) or parsed.config.media_type != TYPE:
            raise errors.InvalidArgument(
                f"{text} is no cache of builds", hint="name one that --cache-to, or cacheTo, has written"
            )
        return _steps(await self._deps.registry.document(source, parsed.config), text)

    async def fetch(self, text: str, layers: Sequence[spec.Layer], ids: Sequence[str]) -> None:
        """Fetch and unpack what is missing of some layers, the lowest first. Raises what a pull raises."""
        missing = tuple(
            fetch.Layer(layer.blob, chain_id, layer.diff_id) for layer, chain_id in zip(layers, ids, strict=True)
        )
        await self._deps.fetcher.layers(missing, parse(text), lambda _: None)

    async def write(self, text: str, steps: Mapping[str, cache.Step], lease: leases.Lease) -> str:
        """Push steps, which are on lease, in place of what a cache has; return its digest. Raises as a push does."""
        kept = _bounded(steps)
        config = json.dumps(
            {"version": _VERSION, "steps": {key: _document(step) for key, step in sorted(kept.items())}},
            separators=(",", ":"),
        ).encode()
        await lease.add([digest.of(config)])
        self._deps.content.put(TYPE, config)
        blobs = {step.layer.blob.digest: step.layer.blob for step in kept.values()}
        own = descriptor.Descriptor(TYPE, digest.of(config), len(config))
        top = {
            "schemaVersion": 2,
            "mediaType": mediatypes.MANIFEST,
            "config": own.document(),
            "layers": [blob.document() for _, blob in sorted(blobs.items())],
        }
        sending = push.Push(
            self._deps.registry,
            self._deps.content,
            self._deps.sources,
            parse(text),
            lambda _: None,
        )
        return await sending.image(json.dumps(top, separators=(",", ":")).encode())


def parse(text: str) -> reference.Reference:
    """Return a cache's reference. Raises ``errors.InvalidArgument``."""
    try:
        return reference.parse(text)
    except reference.InvalidReference as error:
        raise errors.InvalidArgument(str(error), hint="see cacheFrom and cacheTo") from error


def local_key(text: str, key: str) -> str:
    """Return what a step of a remote cache is known by here."""
    return digest.of(f"{parse(text)} {key}".encode())


def _bounded(steps: Mapping[str, cache.Step]) -> dict[str, cache.Step]:
    """Return the steps whose layers one manifest may name."""
    kept: dict[str, cache.Step] = {}
    blobs: set[str] = set()
    for key, step in steps.items():
        if len(blobs | {step.layer.blob.digest}) <= _MOST_LAYERS:
            kept[key] = step
            blobs.add(step.layer.blob.digest)
    return kept


def _document(step: cache.Step) -> dict[str, object]:
    return {"created": step.created, "diffId": step.layer.diff_id, "layer": step.layer.blob.document()}


def _steps(data: bytes, text: str) -> Mapping[str, cache.Step]:
    """Read the steps of a cache's configuration. Raises ``errors.InvalidArgument``."""
    try:
        top = document.parse(data, "cache")
        if top.members.get("version") != _VERSION:
            raise errors.InvalidArgument(
                f"the cache {text} was written by a newer trimtab", hint="upgrade trimtab, or name another cache"
            )
        steps = top.child("steps")
        return {key: _step(steps.child(key)) for key in steps.members}
    except document.Malformed as error:
        raise errors.InvalidArgument(f"the cache {text} is damaged: {error}") from error


def _step(node: document.Node) -> cache.Step:
    diff_id, created = node.text("diffId"), node.members.get("created")
    try:
        digest.parse(diff_id)
    except digest.InvalidDigest as error:
        raise document.Malformed(f"{node.path}.diffId: {error}") from error
    if not isinstance(created, int | float) or not 0 <= created < _LATEST:
        raise document.Malformed(f"{node.path}.created is no time")
    return cache.Step(spec.Layer(diff_id, descriptor.read(node.child("layer"))), float(created))

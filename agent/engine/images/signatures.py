"""Whose images may run: rules by repository, and signatures as cosign makes them.

What a rule matches is used only where one of the rule's keys has signed it: before it is fetched, and whenever it is
used. Everything that a registry says of signatures is a stranger's word, and no more than a reason to refuse. What
cannot be asked is not known: it stays ``errors.Unavailable``, and is tried again.
"""

import asyncio
import contextlib
import dataclasses
import fnmatch
import pathlib
from collections.abc import Iterable, Iterator, Sequence

from agent.engine import errors, records
from agent.engine.images import keys, verified
from agent.engine.registry import client
from agent.oci import descriptor, document, reference, simple_signing

SCHEMA = verified.SCHEMA
_MOST_SIGNATURES = 32
"""Of one image, the latest: cosign adds to the end."""
_MOST_REASONS = 3
_OF_THE_BYTES = frozenset({"DigestMismatch", "ImageRefused"})
"""Refusals of what a registry answers with, and not of us."""


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """Images of some repositories must be signed."""

    match: str
    """A pattern of ``registry/repository``, where ``*`` is any text: ``registry.example/team/*``."""
    keys: tuple[pathlib.Path, ...]
    """Public keys (PEM); a signature by any of them will do."""


@dataclasses.dataclass(frozen=True, slots=True)
class Image:
    """What is to be used."""

    manifest: str
    config: str


class Verifier:
    """Knows the rules, and what has been verified by them."""

    def __init__(self, rules: Sequence[Rule], registry: client.RegistryClient, database: records.Database) -> None:
        """Nothing is read yet; keys are read whenever they are needed, so that a new one counts at once."""
        self._rules = tuple(rules)
        self._registry = registry
        self._verified = verified.Verified(database)

    async def verify(self, source: reference.Reference, digests: Iterable[str], image: Image) -> None:
        """Let an image pass that need not be signed, or is; ``digests``: one of them must be signed, or have been.

        They are those of the image's manifest and of the index that led to it. Raises ``errors.Refused``
        (``ImageUnsigned``, ``SignatureRefused``, ``SignatureKeyInvalid``), ``errors.Unavailable``.
        """
        rule = self._rule(source)
        if rule is None:
            return
        known = _keys(rule)
        if self._stands(source, image.manifest, known):
            return
        demand = _Demand(source, rule, known, tuple(dict.fromkeys(digests)))
        key = await self._signer(demand)
        self._verified.note(_repository(source), image.manifest, image.config, key.fingerprint)

    def allow(self, name: str, image: str) -> None:
        """Let an image be used under a name, by the digest of its manifest or its config.

        Raises ``errors.Refused`` (``ImageUnverified``, ``SignatureKeyInvalid``).
        """
        rule, source = self._named(name)
        if rule is None or (source is not None and self._stands(source, image, _keys(rule))):
            return
        raise errors.Refused(
            f"{name} must be signed ({rule.match}), and of this image that is not verified",
            hint="it is verified when it is pulled from its registry: declare it, or apply again",
            reason="ImageUnverified",
        )

    def allows(self, name: str, image: str) -> bool:
        """Tell whether an image may be used under a name."""
        try:
            self.allow(name, image)
        except errors.Refused:
            return False
        return True

    def _rule(self, source: reference.Reference) -> Rule | None:
        """Give the first rule for a repository."""
        name = _repository(source)
        return next((one for one in self._rules if fnmatch.fnmatchcase(name, one.match)), None)

    def _named(self, name: str) -> tuple[Rule | None, reference.Reference | None]:
        """Give the rule for a name; what is no reference is in no repository, and matches all rules."""
        if not self._rules:
            return None, None
        try:
            source = reference.parse(name)
        except reference.InvalidReference:
            return self._rules[0], None
        return self._rule(source), source

    def _stands(self, source: reference.Reference, image: str, known: Iterable[keys.Key]) -> bool:
        signers = self._verified.by(_repository(source), image)
        return any(key.fingerprint in signers for key in known)

    async def _signer(self, demand: "_Demand") -> keys.Key:
        """Give the key that has signed an image. What mirrors have may be old: the registry's own word counts."""
        found = _Search(self._registry, demand, mirrors=True)
        key = await found.key()
        if key is None and len(self._registry.hosts.endpoints(demand.source.registry)) > 1:
            found = _Search(self._registry, demand, mirrors=False)
            key = await found.key()
        if key is None:
            raise found.failure or demand.refusal(found.problems)
        return key


@dataclasses.dataclass(frozen=True, slots=True)
class _Demand:
    """What a rule wants of an image."""

    source: reference.Reference
    rule: Rule
    known: tuple[keys.Key, ...]
    digests: tuple[str, ...]

    def signer(self, image: str, told: descriptor.Descriptor, payload: bytes) -> keys.Key:
        """Give whose signature of an image this is. Raises ``document.Malformed`` where it is none that counts."""
        signature = simple_signing.signature(told)
        key = next((one for one in self.known if one.has_signed(signature, payload)), None)
        if key is None:
            raise document.Malformed("a signature is by none of the keys")
        said = simple_signing.read(payload)
        if said.digest != image:
            raise document.Malformed(f"a signature is of another image, {said.digest}")
        if said.name is not None and _repository(said.name) != _repository(self.source):
            raise document.Malformed(f"a signature is for {_repository(said.name)}, and not for this repository")
        return key

    def refusal(self, problems: Sequence[str]) -> errors.Refused:
        """Say why an image is not used."""
        must = f"images of {self.rule.match} must be signed by {' or '.join(map(str, self.rule.keys)) or 'nobody'}"
        hint = (
            f"cosign sign --key cosign.key {_repository(self.source)}@{self.digests[0]}"
            " (cosign 3: with --new-bundle-format=false --use-signing-config=false)"
        )
        if not problems:
            return errors.Refused(f"{self.source} is not signed, and {must}", hint=hint, reason="ImageUnsigned")
        why = "; ".join(list(dict.fromkeys(problems))[:_MOST_REASONS])
        message = f"{self.source} has no signature that counts ({why}), and {must}"
        return errors.Refused(message, hint=hint, reason="SignatureRefused")


class _Search:
    """Looks for a signature that counts, and gathers why others do not."""

    def __init__(self, registry: client.RegistryClient, demand: _Demand, *, mirrors: bool) -> None:
        """Nothing is asked yet."""
        self._registry = registry
        self._demand = demand
        self._mirrors = mirrors
        self._payloads: dict[str, bytes] = {}
        self.problems: list[str] = []
        """Of signatures that are there, and do not count."""
        self.failure: errors.Unavailable | None = None
        """What could not be asked."""

    async def key(self) -> keys.Key | None:
        """Give the key of the first signature that counts, the latest first."""
        for image in self._demand.digests:
            with self._noting(""):
                for told in reversed(await self._signatures(image)):
                    with self._noting("a signature's payload is missing"):
                        payload = await self._payload(told)
                        return await asyncio.to_thread(self._demand.signer, image, told, payload)
        return None

    async def _signatures(self, image: str) -> tuple[descriptor.Descriptor, ...]:
        where = dataclasses.replace(self._demand.source, tag=simple_signing.tag(image), digest=None)
        fetched = await self._registry.manifest(where, mirrors=self._mirrors)
        return simple_signing.signatures(fetched.data, fetched.media_type)[-_MOST_SIGNATURES:]

    async def _payload(self, told: descriptor.Descriptor) -> bytes:
        """Fetch what is signed; many signatures are over the same."""
        if told.size > simple_signing.LARGEST_PAYLOAD:
            raise document.Malformed(f"a signature's payload of {told.size} bytes is too large")
        if told.digest not in self._payloads:
            source = self._demand.source
            self._payloads[told.digest] = await self._registry.document(source, told, mirrors=self._mirrors)
        return self._payloads[told.digest]

    @contextlib.contextmanager
    def _noting(self, missing: str) -> Iterator[None]:
        """Go on after what makes one signature none, and what could not be asked."""
        try:
            yield
        except errors.NotFound:
            self.problems += [missing] if missing else []
        except document.Malformed as error:
            self.problems.append(str(error))
        except errors.Refused as error:
            if error.reason not in _OF_THE_BYTES:
                raise
            self.problems.append(error.message)
        except errors.Unavailable as error:
            self.failure = self.failure or error


def _keys(rule: Rule) -> tuple[keys.Key, ...]:
    return tuple(key for path in rule.keys for key in keys.read(path))


def _repository(source: reference.Reference) -> str:
    return f"{source.registry}/{source.repository}"

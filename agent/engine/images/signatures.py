"""Verification of images: rules by repository, and signatures as cosign makes them.

An image that a rule matches has to be signed by one of the rule's keys: checked before it is fetched, and whenever it
is used. A registry's answers about signatures are untrusted. Where they cannot be fetched nothing is decided: that is
``errors.Unavailable``, and tried again.
"""

import asyncio
import contextlib
import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Sequence

from agent import errors
from agent.distribution.registry import client
from agent.engine import records
from agent.engine.images import keys, verified
from agent.kit import frozen
from agent.oci import descriptor, document, reference, simple_signing
from agent.reasons import Reason

SCHEMA = verified.SCHEMA
_MOST_SIGNATURES = 32
"""Signatures of one image that are checked, the latest ones: cosign appends."""
_MOST_REASONS = 3
_CONTENT_REASONS = frozenset({Reason.DIGEST_MISMATCH, Reason.IMAGE_REFUSED})
"""Reasons of refusals of a registry's content, not of our access."""


@frozen.value
class Rule:
    """Images of some repositories must be signed."""

    match: str
    """A pattern of ``registry/repository``, where ``*`` is any text: ``registry.example/team/*``."""
    keys: tuple[pathlib.Path, ...]
    """Public keys (PEM); a signature by any of them will do."""


@frozen.value
class Policy:
    """All rules, the first that matches holds, and what becomes of images that none is for."""

    rules: tuple[Rule, ...] = ()
    refuse_others: bool = False
    """Refuse images that no rule matches: another name or address of a registry is no way around a rule."""


@frozen.value
class ImageDigests:
    """An image to verify: the digests of its manifest and its config."""

    manifest: str
    config: str


class Verifier:
    """Applies the policy to images, and remembers which are verified."""

    def __init__(self, policy: Policy, registry: client.RegistryClient, database: records.Database) -> None:
        """Store the policy; keys are read whenever they are needed, so that a new one counts at once."""
        self._rules = policy.rules
        self._patterns = tuple(reference.canonical_pattern(rule.match) for rule in policy.rules)
        self._refuse_others = policy.refuse_others
        self._registry = registry
        self._verified = verified.Verified(database)

    async def fetch_signature(self, source: reference.Reference, digests: Iterable[str], image: ImageDigests) -> None:
        """Fetch and check an image's signature where a rule requires one; ``digests``: one of them must be signed.

        They are those of the image's manifest and of the index that led to it. Raises ``errors.InvalidArgument``
        (``ImageUnsigned``, ``SignatureRefused``, ``SignatureKeyInvalid``), ``errors.Unavailable``.
        """
        rule = self._rule(source)
        if rule is None:
            self._check_default(str(source))
            return
        trusted = _keys(rule)
        if self._is_recorded(source, image.manifest, trusted):
            return
        demand = _Demand(source, rule, trusted, tuple(dict.fromkeys(digests)))
        key = await self._signer(demand)
        self._verified.note(_repository(source), image.manifest, image.config, key.fingerprint)

    def require_verified(self, name: str, image: str) -> None:
        """Raise unless an image may be used under a name, by the digest of its manifest or its config.

        Raises ``errors.InvalidArgument`` (``ImageUnverified``, ``SignatureKeyInvalid``).
        """
        rule, source = self._named(name)
        if rule is None:
            self._check_default(name)
            return
        if source is not None and self._is_recorded(source, image, _keys(rule)):
            return
        raise errors.InvalidArgument(
            f"{name} must be signed ({rule.match}), and of this image that is not verified",
            hint="it is verified when it is pulled from its registry: declare it, or apply again",
            reason=Reason.IMAGE_UNVERIFIED,
        )

    def is_verified(self, name: str, image: str) -> bool:
        """Return whether an image may be used under a name."""
        try:
            self.require_verified(name, image)
        except errors.InvalidArgument:
            return False
        return True

    def _check_default(self, name: str) -> None:
        """Raise for an image without a rule where such images are refused (``ImageUnverified``)."""
        if self._refuse_others:
            raise errors.InvalidArgument(
                f"{name} is in no repository that a rule for signatures is for, and all others are refused",
                hint="add a rule to verify.rules, or set verify.default: accept",
                reason=Reason.IMAGE_UNVERIFIED,
            )

    def demands(self, source: reference.Reference) -> bool:
        """Return whether what comes from a repository has to be signed, or is refused."""
        return self._refuse_others or self._rule(source) is not None

    def _rule(self, source: reference.Reference) -> Rule | None:
        """Return the first rule for a repository; HTTP's port does not make it another one."""
        names = {_repository(source), f"{source.registry.removesuffix(':80')}/{source.repository}"}
        for rule, pattern in zip(self._rules, self._patterns, strict=True):
            if any(reference.matches(name, pattern) for name in names):
                return rule
        return None

    def _named(self, name: str) -> tuple[Rule | None, reference.Reference | None]:
        """Return the rule for a name; what is no reference is in no repository, and matches all rules."""
        if not self._rules:
            return None, None
        try:
            source = reference.parse(name)
        except reference.InvalidReference:
            return self._rules[0], None
        return self._rule(source), source

    def _is_recorded(self, source: reference.Reference, image: str, trusted: Iterable[keys.Key]) -> bool:
        signers = self._verified.by(_repository(source), image)
        return any(key.fingerprint in signers for key in trusted)

    async def _signer(self, demand: "_Demand") -> keys.Key:
        """Return the key that has signed an image. Mirrors may be stale, so the registry itself is asked in the end."""
        search = _Search(self._registry, demand, mirrors=True)
        key = await search.key()
        if key is None and len(self._registry.hosts.endpoints(demand.source.registry)) > 1:
            search = _Search(self._registry, demand, mirrors=False)
            key = await search.key()
        if key is None:
            raise search.failure or demand.refusal(search.problems)
        return key


@frozen.value
class _Demand:
    """A signature that a rule requires of an image."""

    source: reference.Reference
    rule: Rule
    trusted: tuple[keys.Key, ...]
    digests: tuple[str, ...]

    def signer(self, image: str, layer: descriptor.Descriptor, payload: bytes) -> keys.Key:
        """Return the key that a signature is by. Raises ``document.Malformed`` where it is not valid for the image."""
        signature = simple_signing.signature(layer)
        key = next((candidate for candidate in self.trusted if candidate.has_signed(signature, payload)), None)
        if key is None:
            raise document.Malformed("a signature is by none of the keys")
        claim = simple_signing.read(payload)
        if claim.digest != image:
            raise document.Malformed(f"a signature is of another image, {claim.digest}")
        if claim.name is not None and _repository(claim.name) != _repository(self.source):
            raise document.Malformed(f"a signature is for {_repository(claim.name)}, and not for this repository")
        return key

    def refusal(self, problems: Sequence[str]) -> errors.InvalidArgument:
        """Return the error for an image without a valid signature."""
        must = f"images of {self.rule.match} must be signed by {' or '.join(map(str, self.rule.keys)) or 'nobody'}"
        hint = (
            f"cosign sign --key cosign.key {_repository(self.source)}@{self.digests[0]}"
            " (cosign 3: with --new-bundle-format=false --use-signing-config=false)"
        )
        if not problems:
            return errors.InvalidArgument(
                f"{self.source} is not signed, and {must}", hint=hint, reason=Reason.IMAGE_UNSIGNED
            )
        why = "; ".join(list(dict.fromkeys(problems))[:_MOST_REASONS])
        message = f"{self.source} has no signature that counts ({why}), and {must}"
        return errors.InvalidArgument(message, hint=hint, reason=Reason.SIGNATURE_REFUSED)


class _Search:
    """A search for a valid signature, which gathers why others are not."""

    def __init__(self, registry: client.RegistryClient, demand: _Demand, *, mirrors: bool) -> None:
        """Store the arguments; nothing is sent yet."""
        self._registry = registry
        self._demand = demand
        self._mirrors = mirrors
        self._payloads: dict[str, bytes] = {}
        self.problems: list[str] = []
        """Why signatures are not valid."""
        self.failure: errors.Unavailable | None = None
        """The last failure to fetch a signature."""

    async def key(self) -> keys.Key | None:
        """Return the key of the first valid signature, the latest first."""
        for image in self._demand.digests:
            with self._collecting_problems(""):
                for layer in reversed(await self._signatures(image)):
                    with self._collecting_problems("a signature's payload is missing"):
                        payload = await self._payload(layer)
                        return await asyncio.to_thread(self._demand.signer, image, layer, payload)
        return None

    async def _signatures(self, image: str) -> tuple[descriptor.Descriptor, ...]:
        where = dataclasses.replace(self._demand.source, tag=simple_signing.tag(image), digest=None)
        fetched = await self._registry.manifest(where, mirrors=self._mirrors)
        return simple_signing.signatures(fetched.data, fetched.media_type)[-_MOST_SIGNATURES:]

    async def _payload(self, layer: descriptor.Descriptor) -> bytes:
        """Fetch what is signed; many signatures are over the same."""
        if layer.size > simple_signing.LARGEST_PAYLOAD:
            raise document.Malformed(f"a signature's payload of {layer.size} bytes is too large")
        if layer.digest not in self._payloads:
            source = self._demand.source
            self._payloads[layer.digest] = await self._registry.document(source, layer, mirrors=self._mirrors)
        return self._payloads[layer.digest]

    @contextlib.contextmanager
    def _collecting_problems(self, missing: str) -> Iterator[None]:
        """Note and swallow what makes one signature invalid, and what could not be asked."""
        try:
            yield
        except errors.NotFound:
            self.problems += [missing] if missing else []
        except document.Malformed as error:
            self.problems.append(str(error))
        except errors.InvalidArgument as error:
            if error.reason not in _CONTENT_REASONS:
                raise
            self.problems.append(error.message)
        except errors.Unavailable as error:
            self.failure = self.failure or error


def _keys(rule: Rule) -> tuple[keys.Key, ...]:
    return tuple(key for path in rule.keys for key in keys.read(path))


def _repository(source: reference.Reference) -> str:
    return f"{source.registry}/{source.repository}"

"""Asks a registry for signatures, and remembers for which manifests there was a right one."""

from collections.abc import Iterable

from agent.engine import errors, records
from agent.engine.images import signatures
from agent.engine.registry import client
from agent.oci import document, manifest, reference

SCHEMA = """
CREATE TABLE IF NOT EXISTS verified (
    repository TEXT NOT NULL,
    manifest TEXT NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (repository, manifest, key)
) WITHOUT ROWID;
"""
_MOST_SIGNATURES = 32
_LARGEST_PAYLOAD = 64 * 1024


class Verifier:
    """Holds images against the rules."""

    def __init__(
        self, rules: tuple[signatures.Rule, ...], registry: client.RegistryClient, database: records.Database
    ) -> None:
        """Nothing is read or asked yet."""
        self._rules = rules
        self._registry = registry
        self._database = database
        self._keys: dict[signatures.Rule, tuple[signatures.Key, ...]] = {}

    async def verify(self, source: reference.Reference, manifests: Iterable[str], chosen: str) -> None:
        """Find a signature for what a reference stands for, unless no rule asks for one.

        ``manifests`` are the digests of which one has to be signed: of the image for this platform (``chosen``), or of
        the index that names it. Raises ``errors.Refused`` (``ImageUnsigned``, ``SignatureRefused``, ``KeyUnusable``),
        and ``errors.Unavailable`` where the registry does not say.
        """
        rule = signatures.rule_for(self._rules, source)
        if rule is None or self._known(rule, source, chosen):
            return
        keys = self._keys_of(rule)
        told: list[str] = []
        for wanted in dict.fromkeys(manifests):
            found = await self._signer(source, wanted, keys, told)
            if found is not None:
                self._database.execute(
                    "INSERT OR IGNORE INTO verified (repository, manifest, key) VALUES (?, ?, ?)",
                    (signatures.repository(source), chosen, found.fingerprint),
                )
                return
        hint = f"sign it: cosign sign --key … {source}, or see the rule {rule.match!r} of verify in the settings"
        if not told:
            raise errors.Refused(f"{source} is not signed", hint=hint, reason="ImageUnsigned")
        why = "; ".join(dict.fromkeys(told))
        raise errors.Refused(f"{source} is signed {why}", hint=hint, reason="SignatureRefused")

    def check(self, name: str, wanted: str) -> None:
        """Let a manifest be kept or used under a name only if that is known to be signed where a rule asks for it.

        Asks nobody. Raises ``errors.Refused`` (``ImageUnsigned``).
        """
        source = reference.parse(name)
        rule = signatures.rule_for(self._rules, source)
        if rule is not None and not self._known(rule, source, wanted):
            raise errors.Refused(
                f"{name} must be signed (rule {rule.match!r} of verify), and no signature of this image is known",
                hint="pull it from its registry, where signatures are; or use a name that no rule is about",
                reason="ImageUnsigned",
            )

    def allows(self, name: str, wanted: str) -> bool:
        """Tell whether ``check`` has nothing against it."""
        try:
            self.check(name, wanted)
        except errors.Refused:
            return False
        return True

    def forget(self) -> None:
        """Forget what was found for images that are not kept any more; for who knows that none is being pulled."""
        self._database.execute("DELETE FROM verified WHERE manifest NOT IN (SELECT manifest FROM images)")

    def _known(self, rule: signatures.Rule, source: reference.Reference, wanted: str) -> bool:
        rows = self._database.query(
            "SELECT key FROM verified WHERE repository = ? AND manifest = ?", (signatures.repository(source), wanted)
        )
        if not rows:
            return False
        try:
            trusted = {one.fingerprint for one in self._keys_of(rule)}
        except errors.Refused:
            return False
        return any(row["key"] in trusted for row in rows)

    def _keys_of(self, rule: signatures.Rule) -> tuple[signatures.Key, ...]:
        if rule not in self._keys:
            found = []
            for path in rule.keys:
                try:
                    data = path.read_bytes()
                except OSError as error:
                    raise errors.Refused(
                        f"the key {path} cannot be read: {error.strerror}",
                        hint=f"the rule {rule.match!r} of verify names it",
                        reason="KeyUnusable",
                    ) from error
                found.append(signatures.key(data, str(path)))
            self._keys[rule] = tuple(found)
        return self._keys[rule]

    async def _signer(
        self, source: reference.Reference, wanted: str, keys: tuple[signatures.Key, ...], told: list[str]
    ) -> signatures.Key | None:
        """Look at the signatures of one manifest; why they will not do goes to ``told``."""
        place = reference.Reference(source.registry, source.repository, signatures.place(wanted), None)
        try:
            fetched = await self._registry.manifest(place)
        except errors.NotFound:
            return None
        try:
            parsed = manifest.parse(fetched.data, fetched.media_type)
        except document.Malformed:
            parsed = None
        if not isinstance(parsed, manifest.Manifest):
            told.append("in a way that nobody can read")
            return None
        for layer in parsed.layers[:_MOST_SIGNATURES]:
            made = signatures.signature(layer)
            if made is None or layer.size > _LARGEST_PAYLOAD:
                told.append("in a way that nobody can read")
                continue
            try:
                payload = await self._registry.document(source, layer)
            except (errors.NotFound, errors.Refused) as error:
                told.append(f"by something that does not come whole ({error.reason})")
                continue
            found = signatures.signer(signatures.Signed(payload, made), keys, source, wanted)
            if isinstance(found, signatures.Key):
                return found
            told.append(found)
        return None

"""Endpoints of registries: their mirrors, in order, and then the registry itself, each with its TLS settings."""

import yarl

from agent.distribution.registry import transport
from agent.kit import frozen
from agent.oci import reference

_HUB = "registry-1.docker.io"


@frozen.value
class Host:
    """Settings of a registry."""

    registry: str
    """Its name as references have it (``docker.io``, ``registry.example:5000``), or a pattern: ``*.example``."""
    mirrors: tuple[str, ...] = ()
    """``https://HOST[:PORT][/PREFIX]``: asked before it, in this order; a prefix stands before the repository."""
    plain_http: bool = False
    """Use HTTP without TLS: set for each registry, never guessed."""
    tls: transport.Tls = transport.TRUSTED


@frozen.value
class Endpoint:
    """A server to ask for a registry's content."""

    origin: yarl.URL
    prefix: str
    """Path before the repository; empty, or ends with a slash."""
    login: str
    """The registry's name in ``docker login``'s file."""
    tls: transport.Tls
    mirror: bool = False
    """It is a mirror: its ``Retry-After`` is never waited for, since there is another endpoint."""

    def url(self, repository: str, path: str) -> yarl.URL:
        """Return the URL of a path in a repository: ``manifests/TAG``, ``blobs/DIGEST``, ``tags/list?n=100``."""
        return yarl.URL(f"{self.origin.origin()}/v2/{self.prefix}{repository}/{path}", encoded=True)


@frozen.value
class Hosts:
    """Settings of all registries; others are asked over HTTPS, and on loopback over plain HTTP."""

    declared: tuple[Host, ...] = ()

    def endpoints(self, registry: str) -> tuple[Endpoint, ...]:
        """Return the endpoints of a registry, mirrors first; the last one is the registry itself."""
        host = self._of(registry)
        mirrors = (self._mirror(yarl.URL(mirror)) for mirror in (host.mirrors if host else ()))
        return (*mirrors, self.itself(registry))

    def itself(self, registry: str) -> Endpoint:
        """Return the registry's own endpoint, the only one to push to."""
        host = self._of(registry) or Host(registry)
        name = _HUB if registry == reference.DEFAULT_REGISTRY else registry
        plain = host.plain_http or (host.tls == transport.TRUSTED and transport.is_loopback(yarl.URL(f"//{name}").host))
        return Endpoint(yarl.URL(f"{'http' if plain else 'https'}://{name}"), "", registry, host.tls)

    def _mirror(self, url: yarl.URL) -> Endpoint:
        prefix = url.raw_path.strip("/")
        bare = str(url.origin()).partition("//")[2]  # yarl's authority has the default port, too
        name = reference.canonical_registry(bare)
        host = self._of(name)
        tls = host.tls if host else transport.TRUSTED
        return Endpoint(url.origin(), f"{prefix}/" if prefix else "", name, tls, mirror=True)

    def _of(self, registry: str) -> Host | None:
        """Return a registry's settings: by its name, or else by the first pattern that it matches."""
        name = reference.canonical_registry(registry)
        patterns = [(reference.canonical_pattern(host.registry), host) for host in self.declared]
        exact = [host for pattern, host in patterns if pattern == name]
        matching = [host for pattern, host in patterns if reference.matches(name, pattern)]
        return next(iter([*exact, *matching]), None)


def mirror_problem(text: str) -> str:
    """Return what is wrong with a mirror's address; empty where nothing is."""
    try:
        transport.address(text)
    except ValueError:
        return "write https://HOST[:PORT][/PREFIX]"
    return ""

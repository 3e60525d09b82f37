"""Where a registry is to be asked: at its mirrors, in their order, and then itself; and how each is spoken to."""

import dataclasses
import fnmatch

import yarl

from agent.engine.registry import transport
from agent.oci import reference

_HUB = "registry-1.docker.io"


@dataclasses.dataclass(frozen=True, slots=True)
class Host:
    """What is said of a registry."""

    registry: str
    """Its name as references have it (``docker.io``, ``registry.example:5000``), or a pattern: ``*.example``."""
    mirrors: tuple[str, ...] = ()
    """``https://HOST[:PORT][/PREFIX]``: asked before it, in this order; a prefix stands before the repository."""
    plain_http: bool = False
    """Nothing that is sent to it or comes from it is protected: said of each registry, never guessed."""
    tls: transport.Tls = transport.TRUSTED


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """One place to ask."""

    origin: yarl.URL
    prefix: str
    """Stands before the repository; empty, or ends with a slash."""
    login: str
    """The name under which ``docker login`` keeps what this place wants to know."""
    tls: transport.Tls
    mirror: bool = False
    """There is another place to ask, so that this one is never waited for."""

    def url(self, repository: str, rest: str) -> yarl.URL:
        """Give the address of something of a repository: ``manifests/TAG``, ``blobs/DIGEST``, ``tags/list?n=100``."""
        return yarl.URL(f"{self.origin.origin()}/v2/{self.prefix}{repository}/{rest}", encoded=True)


@dataclasses.dataclass(frozen=True, slots=True)
class Hosts:
    """All that is said of registries; what nothing is said of is asked over HTTPS, and on loopback over plain HTTP."""

    told: tuple[Host, ...] = ()

    def endpoints(self, registry: str) -> tuple[Endpoint, ...]:
        """Give the places to ask for what is in a registry, in order; the last one is the registry itself."""
        host = self._of(registry)
        mirrors = (self._mirror(yarl.URL(one)) for one in (host.mirrors if host else ()))
        return (*mirrors, self.itself(registry))

    def itself(self, registry: str) -> Endpoint:
        """Give the registry's own place, the only one that takes a push."""
        host = self._of(registry) or Host(registry)
        name = _HUB if registry == reference.DEFAULT_REGISTRY else registry
        plain = host.plain_http or (host.tls == transport.TRUSTED and transport.is_loopback(yarl.URL(f"//{name}").host))
        return Endpoint(yarl.URL(f"{'http' if plain else 'https'}://{name}"), "", registry, host.tls)

    def _mirror(self, url: yarl.URL) -> Endpoint:
        prefix = url.raw_path.strip("/")
        name = str(url.origin()).partition("//")[2]  # yarl's authority has the port also where nobody wrote it
        host = self._of(name)
        tls = host.tls if host else transport.TRUSTED
        return Endpoint(url.origin(), f"{prefix}/" if prefix else "", name, tls, mirror=True)

    def _of(self, registry: str) -> Host | None:
        """Give what is said of a registry: by its name, or else by the first pattern that it matches."""
        exact = [one for one in self.told if one.registry == registry]
        matching = [one for one in self.told if fnmatch.fnmatchcase(registry, one.registry)]
        return next(iter([*exact, *matching]), None)


def mirror_problem(text: str) -> str:
    """Say what is wrong with a mirror's address; empty where nothing is."""
    try:
        transport.address(text)
    except ValueError:
        return "write https://HOST[:PORT][/PREFIX]"
    return ""

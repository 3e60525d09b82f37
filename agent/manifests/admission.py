"""What a source may ask of the host: levels with the meaning of Kubernetes' Pod Security Standards, and exceptions.

The levels are checked over what manifests lower to, so that every spelling and every default is judged alike, and so
that a state which was declared under other settings is judged as well. A path of the host is judged by how it is
written; that no symlink leads out of an allowed root is for the runtime to see when it makes the mount.
"""

import enum
from collections.abc import Iterable, Iterator

from agent.dockerfile import caches
from agent.kit import frozen
from agent.manifests import problem, registry
from agent.model import container, hostaccess, image, state
from agent.model.key import Kind, ObjectKey
from agent.oci import accounts, reference


class Level(enum.StrEnum):
    """How far a source is trusted, named as in https://kubernetes.io/docs/concepts/security/pod-security-standards/."""

    PRIVILEGED = "privileged"
    BASELINE = "baseline"
    RESTRICTED = "restricted"


BASELINE_CAPABILITIES = frozenset(
    {
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP"),
        *("SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    }
)
"""Capabilities that may be added at the level baseline."""
RESTRICTED_CAPABILITIES = frozenset({"NET_BIND_SERVICE"})
"""Capabilities that may be added at the level restricted, where all others have to be dropped."""


@frozen.value
class Policy:
    """A level, and what is allowed or refused beside it."""

    level: Level = Level.PRIVILEGED
    binds: tuple[str, ...] = ()
    """Absolute paths of the host: these, and what is below them, may be bound at every level."""
    capabilities: tuple[str, ...] = ()
    """Capabilities that may be added at every level, without ``CAP_``."""
    host_network: bool = False
    seccomp_unconfined: bool = False
    privilege_escalation: bool = False
    root_user: bool = False
    registries: tuple[str, ...] = ()
    """The only ones that images come from, or patterns of ``registry/repository``; empty: all. Holds at every level."""
    ports: tuple[tuple[int, int], ...] = ()
    """The only ports of the host that are published, as (first, last); empty: all. Holds at every level."""
    own: tuple[str, ...] = ()
    """Absolute paths of the source itself: what is below may be bound."""
    origin: str = "admission"
    """The settings that would have to allow more, as hints name them."""

    @property
    def admits_everything(self) -> bool:
        """Return whether there is nothing to check."""
        return self.level is Level.PRIVILEGED and not self.registries and not self.ports

    @property
    def roots(self) -> tuple[str, ...] | None:
        """Return the paths that binds have to lie below; ``None``: anywhere."""
        return None if self.level is Level.PRIVILEGED else (*self.binds, *self.own)

    def admits_path(self, path: str) -> bool:
        """Return whether an absolute path of the host may be used, as far as its spelling tells."""
        return self.roots is None or hostaccess.is_below(path, self.roots)

    @property
    def access(self) -> hostaccess.HostAccess:
        """Return the restrictions that the runtime enforces."""
        fetches = self.level is Level.PRIVILEGED or self.host_network
        return hostaccess.HostAccess(self.roots, self.refuses_root, self.registries, fetches)

    @property
    def refuses_root(self) -> bool:
        """Return whether no container's first process may have the user id 0."""
        return self.level is Level.RESTRICTED and not self.root_user


EVERYTHING = Policy()


@frozen.value
class Refusal:
    """Something that a policy does not admit."""

    key: ObjectKey
    path: tuple[str | int, ...]
    """The manifest's field."""
    message: str
    """What is not admitted, and why."""
    setting: str
    """The line of settings that would admit it."""

    def __str__(self) -> str:
        """Return the refusal as a sentence, without a position."""
        return f"{self.key}: {self.message} ({self.setting})"


def problems(
    manifests: Iterable[registry.Manifest], desired: state.DesiredState, policy: Policy
) -> Iterator[problem.Problem]:
    """Yield a problem, with its position, for everything that a source asks for and its policy does not admit."""
    by_key = {manifest.key: manifest for manifest in manifests}
    for refusal in refusals(desired, policy):
        if (manifest := by_key.get(refusal.key)) is not None:
            yield manifest.document.problem(refusal.message, refusal.setting, *refusal.path)


def refusals(desired: state.DesiredState, policy: Policy) -> Iterator[Refusal]:
    """Return everything in a desired state that a policy does not admit."""
    declared = {config.reference for config in desired.images if config.name != config.reference}
    for config in desired.containers:
        yield from _Container(policy, config).refusals(image_is_declared=config.image in declared)
    for image_config in desired.images:
        yield from _image(policy, image_config)


@frozen.value
class _Container:
    """The checks of one container against a policy."""

    policy: Policy
    config: container.ContainerConfig

    def refusals(self, *, image_is_declared: bool) -> Iterator[Refusal]:
        """Yield what is not admitted of the container; an image with a manifest of its own is refused there."""
        yield from self._ports()
        if not image_is_declared:
            yield from self._registry()
        if self.policy.level is Level.PRIVILEGED:
            return
        yield from self._network()
        yield from self._binds()
        yield from self._added_capabilities()
        yield from self._seccomp()
        if self.policy.level is Level.RESTRICTED:
            yield from self._dropped_capabilities()
            yield from self._escalation()
            yield from self._user()

    def _refusal(self, path: tuple[str | int, ...], message: str, setting: str) -> Refusal:
        key = ObjectKey(Kind.CONTAINER, self.config.name)
        return Refusal(key, ("spec", *path), message, _hint(self.policy, setting))

    def _refused(self, path: tuple[str | int, ...], what: str, setting: str) -> Refusal:
        return self._refusal(path, f"{what} is not admitted at the level {self.policy.level}", setting)

    def _ports(self) -> Iterator[Refusal]:
        for mapping in self.config.ports:
            port = mapping.host_port
            if self.policy.ports and not any(first <= port <= last for first, last in self.policy.ports):
                ranges = [f"{first}-{last}" if first != last else str(first) for first, last in self.policy.ports]
                message = f"host port {port} is not among those that may be published"
                yield self._refusal(("ports",), message, _list("ports", (*ranges, str(port))))

    def _registry(self) -> Iterator[Refusal]:
        if (refusal := _unlisted(self.policy, self.config.image)) is not None:
            yield self._refusal(("image",), *refusal)

    def _network(self) -> Iterator[Refusal]:
        if self.config.network_mode is container.NetworkMode.HOST and not self.policy.host_network:
            yield self._refused(("networks",), "the host's network", "hostNetwork: true")

    def _binds(self) -> Iterator[Refusal]:
        for number, mount in enumerate(self.config.mounts):
            if isinstance(mount, container.BindMount) and not self.policy.admits_path(mount.source):
                path = hostaccess.normal(mount.source)
                yield self._refused(
                    ("mounts", number, "bind"), f"a bind of {path}", _list("binds", (*self.policy.binds, path))
                )

    def _added_capabilities(self) -> Iterator[Refusal]:
        restricted = self.policy.level is Level.RESTRICTED
        usual = RESTRICTED_CAPABILITIES if restricted else BASELINE_CAPABILITIES
        for name in self.config.security.cap_add:
            if name not in usual and name not in self.policy.capabilities:
                setting = _list("capabilities", (*self.policy.capabilities, name))
                yield self._refused(("security", "capabilities", "add"), f"the capability {name}", setting)

    def _dropped_capabilities(self) -> Iterator[Refusal]:
        if "ALL" not in self.config.security.cap_drop and "ALL" not in self.policy.capabilities:
            message = "security.capabilities.drop must be [ALL] at the level restricted"
            setting = _list("capabilities", (*self.policy.capabilities, "ALL"))
            yield self._refusal(("security", "capabilities", "drop"), message, setting)

    def _seccomp(self) -> Iterator[Refusal]:
        unconfined = self.config.security.seccomp is container.SeccompProfile.UNCONFINED
        if unconfined and not self.policy.seccomp_unconfined:
            yield self._refused(("security", "seccomp"), "seccomp Unconfined", "seccompUnconfined: true")

    def _escalation(self) -> Iterator[Refusal]:
        if not self.config.security.no_new_privileges and not self.policy.privilege_escalation:
            path = ("security", "noNewPrivileges")
            yield self._refused(path, "noNewPrivileges: false", "privilegeEscalation: true")

    def _user(self) -> Iterator[Refusal]:
        user = self.config.security.user  # none at all is the image's, which the runtime looks at
        if self.policy.refuses_root and user and (objection := accounts.root_problem(user)):
            yield self._refusal(
                ("security", "user"), f"security.user {objection} at the level restricted", "rootUser: true"
            )


def _image(policy: Policy, config: image.ImageConfig) -> Iterator[Refusal]:
    key = ObjectKey(Kind.IMAGE, config.name)
    if isinstance(config.source, image.BuildSource):
        yield from _build(policy, key, config.source)
    elif isinstance(config.source, image.ArchiveSource):
        if not policy.admits_path(config.source.path):
            path = hostaccess.normal(config.source.path)
            message = f"an archive outside of the source, {path}, is not admitted at the level {policy.level}"
            setting = _hint(policy, _list("binds", (*policy.binds, path)))
            yield Refusal(key, ("spec", "archive", "path"), message, setting)
    elif (refusal := _unlisted(policy, config.reference)) is not None:
        message, setting = refusal
        yield Refusal(key, ("spec", "pull", "reference"), message, _hint(policy, setting))


def _build(policy: Policy, key: ObjectKey, source: image.BuildSource) -> Iterator[Refusal]:
    """Yield what is not admitted of a build. Its base images' registries are for the runtime to look at."""
    for field, texts in (("cacheFrom", source.cache_from), ("cacheTo", source.cache_to)):
        for index, text in enumerate(texts):
            if (refusal := _unlisted(policy, caches.target(text).reference)) is not None:
                message, setting = refusal
                yield Refusal(key, ("spec", "build", field, index), message, _hint(policy, setting))
    if policy.level is Level.PRIVILEGED:
        return
    for field, path in (("context", source.context), ("dockerfile", source.dockerfile)):
        if not policy.admits_path(path):
            shown = hostaccess.normal(path)
            message = f"a {field} outside of the source, {shown}, is not admitted at the level {policy.level}"
            setting = _hint(policy, _list("binds", (*policy.binds, shown)))
            yield Refusal(key, ("spec", "build", field), message, setting)
    if source.network is image.BuildNetwork.HOST and not policy.host_network:
        message = f"the host's network is not admitted at the level {policy.level}"
        yield Refusal(key, ("spec", "build", "network"), message, _hint(policy, "hostNetwork: true"))
    if policy.refuses_root:
        message = f"a build, whose commands run as root, is not admitted at the level {policy.level}"
        yield Refusal(key, ("spec", "build"), message, _hint(policy, "rootUser: true"))


def _unlisted(policy: Policy, text: str) -> tuple[str, str] | None:
    """Return (message, setting that would admit it) for an image of a registry that is not listed; ``None``: it is."""
    if not policy.registries:
        return None
    image = reference.parse(text)
    if reference.is_listed(image, policy.registries):
        return None
    message = f"images of {image.registry} are not among those that may be used"
    return message, _list("registries", (*policy.registries, image.registry))


def _list(name: str, entries: Iterable[str]) -> str:
    return f"{name}: [{', '.join(dict.fromkeys(entries))}]"


def _hint(policy: Policy, setting: str) -> str:
    return f"to admit it, set in the configuration: {policy.origin}: {{{setting}}}"

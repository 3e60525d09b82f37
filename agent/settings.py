"""Everything that can be set, as small frozen groups; each field with its unit and its reason.

Four places are read, each over the one before: what is written here, ``/etc/trimtab/config.yaml`` (``--config``),
``TRIMTAB_*`` variables, and flags. ``source.quiet`` in the file is ``TRIMTAB_SOURCE_QUIET`` in the environment.
A key or variable that nobody knows is refused with its place: a misspelt ``TRIMTAB_ROTO`` must not quietly put the
state of one instance into the root of another. So is what the chosen runtime would not heed.
"""

import pathlib
from collections.abc import Mapping
from typing import Annotated

from agent.kit import configuration, failpoint, frozen, parsers

CONFIG_PATH = pathlib.Path("/etc/trimtab/config.yaml")
CONFIG_VARIABLE = "TRIMTAB_CONFIG"
SOURCE_VARIABLE = "TRIMTAB_SOURCE"
"""What stands for SOURCE where a command is given none: a service's unit has a place for it then."""
VARIABLE_PREFIX = "TRIMTAB_"
_ROOT = "/var/lib/trimtab"
_RUN_DIR = "/run/trimtab"
_NOT_SETTINGS = frozenset({CONFIG_VARIABLE, SOURCE_VARIABLE, failpoint.VARIABLE})
_HELP = "see ops/docs/command-line.md"
REFUSE = "refuse"
_RENAMED = {"verify": "verify.rules"}
"""What a setting was called before it became a group: still taken."""
_OF_THE_NATIVE_ENGINE = ("registries.hosts", "registries.speed", "verify", "layers.", "garbage.")
_OF_REAL_CONTAINERS = "containers."

BadSettings = configuration.BadSettings


@frozen.value
class Listen:
    """Where HTTP is served."""

    host: str
    port: int

    def __str__(self) -> str:
        """Give the form that people type."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _listen(text: str) -> Listen | None:
    if text == "off":
        return None
    host, separator, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004 - the largest port
        raise ValueError("write HOST:PORT, as 127.0.0.1:9469, or off")
    return Listen(host, int(port))


def _registry(text: str) -> str:
    from agent.oci import reference  # noqa: PLC0415 - only who sets this pays for the import

    if not reference.is_registry(text):
        raise ValueError("write the name of a registry as images have it: registry.example:5000")
    return text


def _mirror(text: str) -> str:
    from agent.distribution.registry import hosts  # noqa: PLC0415 - only who sets this pays for the import

    if problem := hosts.mirror_problem(text):
        raise ValueError(problem)
    return text


@frozen.value
class LogSettings:
    """What is written to stderr."""

    format: Annotated[str, parsers.one_of("auto", "console", "json")] = "auto"
    """``auto``: for people on a terminal, JSON for collectors elsewhere."""
    level: Annotated[str, parsers.one_of("debug", "info", "warning", "error")] = "info"


@frozen.value
class SourceSettings:
    """How sources of manifests are read: when a directory is looked at again, and what a source may be at most."""

    quiet: Annotated[float, parsers.seconds] = 0.03
    """A burst of changes is over once nothing happened for so long: an editor truncates and writes within it."""
    settle: Annotated[float, parsers.seconds] = 0.25
    """It is taken as over after so long at the latest: a file that never rests must not hide the others."""
    rescan: Annotated[float, parsers.seconds] = 30.0
    """The safety net for what the kernel tells nobody: network file systems, targets of symlinks."""
    files: Annotated[int, parsers.count] = 50_000
    """Manifests of a source."""
    total: Annotated[int, parsers.size] = 64 * 1024**2
    """Bytes of all manifests together: they are held in memory."""
    depth: Annotated[int, parsers.count] = 40
    """Levels of directories; deeper trees are mistakes (a source of ``/``)."""
    entries: Annotated[int, parsers.count] = 200_000
    """Files and directories of a git commit, manifests or not."""
    checkout: Annotated[int, parsers.size] = 256 * 1024**2
    """Bytes of a git commit's files, which lie below ``root`` for relative paths: a small repository may hold them."""
    fetch: Annotated[int, parsers.size] = 1024**3
    """Bytes that one fetch of a git repository may bring."""
    allow_insecure_transports: Annotated[bool, parsers.flag] = False
    """``git://`` and ``http://``: whoever is on the way can change what is declared, and so become root here."""


@frozen.value
class ConvergeSettings:
    """How the loop works."""

    parallel: Annotated[int, parsers.count] = 8
    """Actions at a time: more make small hosts slow, fewer make large ones wait."""
    relist: Annotated[float, parsers.seconds] = 60.0
    """Seconds between two full looks at the runtime, the safety net under its events."""


@frozen.value
class RegistryHost:
    """How a registry is spoken to."""

    registry: Annotated[str, parsers.some]
    """Its name as images have it (``docker.io``, ``registry.example:5000``), or a pattern: ``*.example``."""
    mirrors: Annotated[tuple[str, ...], configuration.each(_mirror)] = ()
    """``https://HOST[:PORT][/PREFIX]``, asked before it in this order; nothing is pushed to them."""
    plain_http: Annotated[bool, parsers.flag] = False
    """Nothing that is sent to it or comes from it is protected. Loopback needs no saying."""
    ca: Annotated[pathlib.Path | None, parsers.file] = None
    """Certificates (PEM) trusted beside the host's."""
    certificate: Annotated[pathlib.Path | None, parsers.file] = None
    """Who we are (PEM), with ``key``."""
    key: Annotated[pathlib.Path | None, parsers.file] = None

    def __post_init__(self) -> None:
        """Refuse what goes by halves, or against itself."""
        if (self.certificate is None) != (self.key is None):
            raise ValueError("a client certificate needs its key, and a key its certificate")
        if self.plain_http and (self.ca or self.certificate):
            raise ValueError("plain HTTP knows no certificates")


@frozen.value
class RegistrySettings:
    """Where images come from."""

    default: Annotated[str, _registry] = "docker.io"
    """Of images whose references name none."""
    hosts: Annotated[tuple[RegistryHost, ...], configuration.listed(RegistryHost)] = ()
    """What is said of registries; an exact name wins over a pattern. All else is asked over HTTPS."""
    speed_limit: Annotated[int, parsers.size] = 256
    """Bytes a second that a download has to bring at least; one that brings less breaks off and is tried again."""
    speed_time: Annotated[float, parsers.seconds] = 60.0
    """Seconds over which that is measured: bad links stand still for some."""


@frozen.value
class VerifyRule:
    """Images that must be signed, as cosign does it."""

    match: Annotated[str, parsers.some]
    """A pattern of ``registry/repository``, where ``*`` is any text. The first rule that matches holds."""
    keys: Annotated[tuple[pathlib.Path, ...], configuration.each(parsers.file)]
    """Public keys (PEM); a signature by any of them will do."""

    def __post_init__(self) -> None:
        """Refuse a rule that nothing could satisfy."""
        if not self.keys:
            raise ValueError("a rule needs a key at least")


@frozen.value
class VerifySettings:
    """Whose images may run. A list in place of the group is its rules."""

    rules: Annotated[tuple[VerifyRule, ...], configuration.listed(VerifyRule)] = ()
    """What must be signed, and by whom."""
    default: Annotated[str, parsers.one_of("accept", REFUSE)] = "accept"
    """What becomes of images that no rule matches. A rule goes by the registry's name: whoever may write manifests
    reaches the same registry by its address or another name, so that only ``refuse`` is a wall."""


def _bind(text: str) -> str:
    if not text.startswith("/") or "\0" in text:
        raise ValueError("write an absolute path of this host")
    return text


def _capability(text: str) -> str:
    from agent.oci import capabilities  # noqa: PLC0415 - only who sets this pays for the import

    if not capabilities.exists(text):
        raise ValueError("write the name of a capability, as NET_ADMIN; see capabilities(7)")
    return capabilities.named(text)


def _image_pattern(text: str) -> str:
    from agent.oci import reference  # noqa: PLC0415 - only who sets this pays for the import

    return reference.canonical_pattern(parsers.some(text))


def _ports(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    numbers = (first, last if dash else first)
    if not all(number.isascii() and number.isdecimal() for number in numbers):
        raise ValueError("write a port, or a range like 8000-8999")
    low, high = map(int, numbers)
    if not 1 <= low <= high <= 65535:  # noqa: PLR2004 - the largest port
        raise ValueError("write ports from 1 to 65535, the lower one first")
    return low, high


@frozen.value
class AdmissionExceptions:
    """What a source may ask of the host: a level of the Pod Security Standards, and what holds beside it."""

    level: Annotated[str, parsers.one_of("privileged", "baseline", "restricted")] = "privileged"
    """``privileged``: everything, for a source that the host's owner writes. ``baseline``: no known way to take over
    the host. ``restricted``: hardened beyond that, and never as root."""
    binds: Annotated[tuple[str, ...], configuration.each(_bind)] = ()
    """Paths of the host that may be bound, with all below them; what is below the source itself always may."""
    capabilities: Annotated[tuple[str, ...], configuration.each(_capability)] = ()
    """Capabilities that may be added."""
    host_network: Annotated[bool, parsers.flag] = False
    """Containers may be in the host's network."""
    seccomp_unconfined: Annotated[bool, parsers.flag] = False
    """Containers may make every system call."""
    privilege_escalation: Annotated[bool, parsers.flag] = False
    """At the level restricted, ``noNewPrivileges: false`` may be set."""
    root_user: Annotated[bool, parsers.flag] = False
    """At the level restricted, containers may run as root."""
    registries: Annotated[tuple[str, ...], configuration.each(_image_pattern)] = ()
    """The only registries that images come from, or patterns of ``registry/repository``, at every level; none: all."""
    ports: Annotated[tuple[tuple[int, int], ...], configuration.each(_ports)] = ()
    """The only ports of the host that may be published, as ``443`` or ``8000-8999``, at every level; none: all."""


@frozen.value(kw_only=True)
class AdmissionRule(AdmissionExceptions):
    """The same for some sources, in place of the rest."""

    match: Annotated[str, parsers.some]
    """A pattern of SOURCE as it is given, or of a directory's absolute path; ``*`` is any text. The first that matches
    holds."""
    level: Annotated[str, parsers.one_of("privileged", "baseline", "restricted")]


@frozen.value
class AdmissionSettings(AdmissionExceptions):
    """What sources may ask of the host."""

    sources: Annotated[tuple[AdmissionRule, ...], configuration.listed(AdmissionRule)] = ()
    """Sources for which something else holds."""


@frozen.value
class ContainerSettings:
    """What holds for containers that say nothing else."""

    pids: Annotated[int | None, parsers.count_or_unlimited] = 4096
    """Processes and threads of each; ``unlimited``: as many as the host has room for, which one of them can use up."""


@frozen.value
class LayerSettings:
    """What a layer may be at most; what is more is refused before it fills the disk."""

    entries: Annotated[int, parsers.count] = 1_000_000
    unpacked: Annotated[int, parsers.size] = 64 * 1024**3
    """Bytes."""
    ratio: Annotated[int, parsers.count] = 2000
    """Unpacked bytes for each packed one, of layers that unpack to more than 8 GiB: smaller ones may be all zeros."""


@frozen.value
class GarbageSettings:
    """When images go that no manifest declares and no container uses; all others stay, however full the disk is."""

    high: Annotated[int, parsers.percent] = 85
    """Percents of the disk of ``root`` in use at which they go, the longest unused first."""
    low: Annotated[int, parsers.percent] = 80
    """And at which no more of them do."""
    minimum_age: Annotated[float, parsers.seconds] = 120.0
    """Seconds that an image stays in any case: who has brought it is about to use it."""

    def __post_init__(self) -> None:
        """Refuse thresholds that cannot be met."""
        if self.low >= self.high:
            raise ValueError("low must be below high")


@frozen.value
class Settings:
    """All settings of one instance."""

    root: Annotated[pathlib.Path, parsers.path] = pathlib.Path(_ROOT)
    """State that survives a reboot: images, volumes, records, the journal."""
    run_dir: Annotated[pathlib.Path | None, parsers.optional_path] = None
    """State of this boot. Unset: ``/run/trimtab``, and a directory of its own for an instance with another root, since
    two instances that share one would take each other's containers for left-overs."""
    runtime: Annotated[str, parsers.one_of("native", "docker", "podman", "memory")] = "native"
    """``native``: our own engine. ``docker``, ``podman``: an engine that is there, found as its own command line finds
    it (``DOCKER_HOST``, contexts, ``CONTAINER_HOST``). ``memory``: a simulation in RAM, for trying things out."""
    listen: Annotated[Listen | None, _listen] = Listen("127.0.0.1", 9469)
    """Where ``/metrics``, ``/healthz`` and ``/readyz`` are; loopback, as they tell what runs here. ``off``: nowhere."""
    log: LogSettings = LogSettings()
    source: SourceSettings = SourceSettings()
    converge: ConvergeSettings = ConvergeSettings()
    registries: RegistrySettings = RegistrySettings()
    verify: VerifySettings = VerifySettings()
    admission: AdmissionSettings = AdmissionSettings()
    """What manifests may ask of the host: by default everything, since the host's owner names the source."""
    containers: ContainerSettings = ContainerSettings()
    layers: LayerSettings = LayerSettings()
    garbage: GarbageSettings = GarbageSettings()

    @property
    def journal(self) -> pathlib.Path:
        """Give the agent's own memory."""
        return self.root / "agent.sqlite"

    @property
    def run(self) -> pathlib.Path:
        """Give the directory for this boot's state."""
        if self.run_dir is not None:
            return self.run_dir
        if str(self.root) == _ROOT:
            return pathlib.Path(_RUN_DIR)
        import hashlib  # noqa: PLC0415 - OpenSSL with it: only another root than the usual one pays for it

        return pathlib.Path(f"{_RUN_DIR}-{hashlib.sha256(str(self.root).encode()).hexdigest()[:5]}")


def load(flags: Mapping[str, str], environment: Mapping[str, str]) -> Settings:
    """Put the settings together. Raises ``BadSettings``.

    ``flags`` maps dotted names (``root``, ``run_dir``, ``log.level``) to their text; ``config`` names the file.
    """
    config = flags.get("config") or environment.get(CONFIG_VARIABLE) or ""
    known_names = (*names(), *_RENAMED)
    values = configuration.from_file(
        pathlib.Path(config or CONFIG_PATH), known_names, required=bool(config), help_text=_HELP
    )
    variables = {variable: text for variable, text in environment.items() if variable not in _NOT_SETTINGS}
    values |= configuration.from_environment(variables, VARIABLE_PREFIX, known_names)
    for name, text in flags.items():
        if name != "config":
            values[name] = configuration.SettingValue(text, "--" + name.replace(".", "-").replace("_", "-"))
    chosen = configuration.build(Settings, _with_present_names(values))
    if chosen.runtime != "native":
        _refuse_unheeded(chosen.runtime, values)
    return chosen


def _with_present_names(values: Mapping[str, configuration.SettingValue]) -> dict[str, configuration.SettingValue]:
    """Call what was given by an earlier name what it is called now. Raises ``BadSettings`` where both are there."""
    present = {name: value for name, value in values.items() if name not in _RENAMED}
    for former, name in _RENAMED.items():
        if former in values and name in present:
            raise BadSettings(f"{values[former].place}: {name} is set as well", hint=f"in {present[name].place}")
        if former in values:
            present[name] = values[former]
    return present


def spelled(name: str) -> str:
    """Return a setting's name as the configuration has it: ``hostNetwork``."""
    return configuration.camel(name)


def names() -> tuple[str, ...]:
    """Give the dotted names of all settings."""
    return configuration.names(Settings)


def _refuse_unheeded(runtime: str, values: Mapping[str, configuration.SettingValue]) -> None:
    """Refuse what only the native engine heeds: an engine that pulls by itself would check no signature."""
    for name, value in values.items():
        if name.startswith(_OF_THE_NATIVE_ENGINE) or (runtime == "memory" and name.startswith(_OF_REAL_CONTAINERS)):
            raise BadSettings(
                f"{value.place}: the runtime {runtime} would not heed it",
                hint="set it in that engine's own configuration, or use --runtime native",
            )

"""Everything that can be set, as small frozen groups; each field with its unit and its reason.

Four places are read, each over the one before: what is written here, ``/etc/trimtab/config.yaml`` (``--config``),
``TRIMTAB_*`` variables, and flags. ``source.quiet`` in the file is ``TRIMTAB_SOURCE_QUIET`` in the environment.
A key or variable that nobody knows is refused with its place: a misspelt ``TRIMTAB_ROTO`` must not quietly put the
state of one instance into the root of another. So is what the chosen runtime would not heed.
"""

import dataclasses
import hashlib
import pathlib
from collections.abc import Mapping
from typing import Annotated

from agent.kit import configuration, failpoint, parsers

CONFIG_PATH = pathlib.Path("/etc/trimtab/config.yaml")
CONFIG_VARIABLE = "TRIMTAB_CONFIG"
SOURCE_VARIABLE = "TRIMTAB_SOURCE"
"""What stands for SOURCE where a command is given none: a service's unit has a place for it then."""
VARIABLE_PREFIX = "TRIMTAB_"
_ROOT = "/var/lib/trimtab"
_RUN_DIR = "/run/trimtab"
_NOT_SETTINGS = frozenset({CONFIG_VARIABLE, SOURCE_VARIABLE, failpoint.VARIABLE})
_HELP = "see ops/docs/command-line.md"
_OF_THE_NATIVE_ENGINE = ("registries.hosts", "verify", "layers.", "garbage.")

BadSettings = configuration.BadSettings


@dataclasses.dataclass(frozen=True, slots=True)
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
    from agent.engine.registry import hosts  # noqa: PLC0415 - only who sets this pays for the import

    if problem := hosts.mirror_problem(text):
        raise ValueError(problem)
    return text


@dataclasses.dataclass(frozen=True, slots=True)
class LogSettings:
    """What is written to stderr."""

    format: Annotated[str, parsers.one_of("auto", "console", "json")] = "auto"
    """``auto``: for people on a terminal, JSON for collectors elsewhere."""
    level: Annotated[str, parsers.one_of("debug", "info", "warning", "error")] = "info"


@dataclasses.dataclass(frozen=True, slots=True)
class SourceSettings:
    """When a directory of manifests is looked at again, in seconds."""

    quiet: Annotated[float, parsers.seconds] = 0.03
    """A burst of changes is over once nothing happened for so long: an editor truncates and writes within it."""
    settle: Annotated[float, parsers.seconds] = 0.25
    """It is taken as over after so long at the latest: a file that never rests must not hide the others."""
    rescan: Annotated[float, parsers.seconds] = 30.0
    """The safety net for what the kernel tells nobody: network file systems, targets of symlinks."""


@dataclasses.dataclass(frozen=True, slots=True)
class ConvergeSettings:
    """How the loop works."""

    parallel: Annotated[int, parsers.count] = 8
    """Actions at a time: more make small hosts slow, fewer make large ones wait."""
    relist: Annotated[float, parsers.seconds] = 60.0
    """Seconds between two full looks at the runtime, the safety net under its events."""


@dataclasses.dataclass(frozen=True, slots=True)
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


@dataclasses.dataclass(frozen=True, slots=True)
class RegistrySettings:
    """Where images come from."""

    default: Annotated[str, _registry] = "docker.io"
    """Of images whose references name none."""
    hosts: Annotated[tuple[RegistryHost, ...], configuration.listed(RegistryHost)] = ()
    """What is said of registries; an exact name wins over a pattern. All else is asked over HTTPS."""


@dataclasses.dataclass(frozen=True, slots=True)
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


@dataclasses.dataclass(frozen=True, slots=True)
class LayerSettings:
    """What a layer may be at most; what is more is refused before it fills the disk."""

    entries: Annotated[int, parsers.count] = 1_000_000
    unpacked: Annotated[int, parsers.size] = 64 * 1024**3
    """Bytes."""
    ratio: Annotated[int, parsers.count] = 1000
    """Unpacked bytes for each packed one."""


@dataclasses.dataclass(frozen=True, slots=True)
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


@dataclasses.dataclass(frozen=True, slots=True)
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
    verify: Annotated[tuple[VerifyRule, ...], configuration.listed(VerifyRule)] = ()
    """Images that must be signed: all others are taken as they are."""
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
        return pathlib.Path(f"{_RUN_DIR}-{hashlib.sha256(str(self.root).encode()).hexdigest()[:5]}")


def load(flags: Mapping[str, str], environment: Mapping[str, str]) -> Settings:
    """Put the settings together. Raises ``BadSettings``.

    ``flags`` maps dotted names (``root``, ``run_dir``, ``log.level``) to their text; ``config`` names the file.
    """
    config = flags.get("config") or environment.get(CONFIG_VARIABLE) or ""
    known = names()
    given = configuration.from_file(pathlib.Path(config or CONFIG_PATH), known, required=bool(config), help_text=_HELP)
    told = {variable: text for variable, text in environment.items() if variable not in _NOT_SETTINGS}
    given |= configuration.from_environment(told, VARIABLE_PREFIX, known)
    for name, text in flags.items():
        if name != "config":
            given[name] = configuration.Given(text, "--" + name.replace(".", "-").replace("_", "-"))
    chosen = configuration.build(Settings, given)
    if chosen.runtime != "native":
        _refuse_unheeded(chosen.runtime, given)
    return chosen


def names() -> tuple[str, ...]:
    """Give the dotted names of all settings."""
    return configuration.names(Settings)


def _refuse_unheeded(runtime: str, given: Mapping[str, configuration.Given]) -> None:
    """Refuse what only the native engine heeds: an engine that pulls by itself would check no signature."""
    for name, value in given.items():
        if name.startswith(_OF_THE_NATIVE_ENGINE):
            raise BadSettings(
                f"{value.place}: the runtime {runtime} would not heed it",
                hint="set it in that engine's own configuration, or use --runtime native",
            )

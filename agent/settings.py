"""Everything that can be set, as small frozen groups; each field with its unit and its reason.

Four places are read, each over the one before: what is written here, ``/etc/trimtab/config.yaml`` (``--config``),
``TRIMTAB_*`` variables, and flags. ``source.quiet`` in the file is ``TRIMTAB_SOURCE_QUIET`` in the environment.
A key or variable that nobody knows is refused with its place: a misspelt ``TRIMTAB_ROTO`` must not quietly put the
state of one instance into the root of another.
"""

import dataclasses
import difflib
import hashlib
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, TypeVar, get_type_hints

from agent import errors
from agent.kit import failpoint

CONFIG_PATH = pathlib.Path("/etc/trimtab/config.yaml")
CONFIG_VARIABLE = "TRIMTAB_CONFIG"
SOURCE_VARIABLE = "TRIMTAB_SOURCE"
"""What stands for SOURCE where a command is given none: a service's unit has a place for it then."""
VARIABLE_PREFIX = "TRIMTAB_"
_ROOT = "/var/lib/trimtab"
_RUN_DIR = "/run/trimtab"
_MAXIMUM_CONFIG_SIZE = 1024 * 1024
_NOT_SETTINGS = frozenset({CONFIG_VARIABLE, SOURCE_VARIABLE, failpoint.VARIABLE})

T = TypeVar("T")


class BadSettings(errors.TrimtabError):
    """A setting that is unknown or cannot be what it is set to."""


@dataclasses.dataclass(frozen=True, slots=True)
class Listen:
    """Where HTTP is served."""

    host: str
    port: int

    def __str__(self) -> str:
        """Give the form that people type."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _path(text: str) -> pathlib.Path:
    if not text:
        raise ValueError("it is empty")
    return pathlib.Path(text).absolute()


def _optional_path(text: str) -> pathlib.Path | None:
    return _path(text) if text else None


def _listen(text: str) -> Listen | None:
    if text == "off":
        return None
    host, separator, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004 - the largest port
        raise ValueError("write HOST:PORT, as 127.0.0.1:9469, or off")
    return Listen(host, int(port))


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"choose {' or '.join(choices)}")
        return text

    return parse


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?", text)
    if not text or match is None:
        raise ValueError("write a duration: 500ms, 30s, 1m30s, 2h")
    hours, minutes, seconds, milliseconds = (float(part or 0) for part in match.groups())
    total = hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
    if total <= 0:
        raise ValueError("it must be longer than nothing")
    return total


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise ValueError("write a whole number from 1 on")
    return int(text)


@dataclasses.dataclass(frozen=True, slots=True)
class LogSettings:
    """What is written to stderr."""

    format: Annotated[str, _one_of("auto", "console", "json")] = "auto"
    """``auto``: for people on a terminal, JSON for collectors elsewhere."""
    level: Annotated[str, _one_of("debug", "info", "warning", "error")] = "info"


@dataclasses.dataclass(frozen=True, slots=True)
class SourceSettings:
    """When a directory of manifests is looked at again, in seconds."""

    quiet: Annotated[float, _seconds] = 0.03
    """A burst of changes is over once nothing happened for so long: an editor truncates and writes within it."""
    settle: Annotated[float, _seconds] = 0.25
    """It is taken as over after so long at the latest: a file that never rests must not hide the others."""
    rescan: Annotated[float, _seconds] = 30.0
    """The safety net for what the kernel tells nobody: network file systems, targets of symlinks."""


@dataclasses.dataclass(frozen=True, slots=True)
class ConvergeSettings:
    """How the loop works."""

    parallel: Annotated[int, _count] = 8
    """Actions at a time: more make small hosts slow, fewer make large ones wait."""
    relist: Annotated[float, _seconds] = 60.0
    """Seconds between two full looks at the runtime, the safety net under its events."""


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one instance."""

    root: Annotated[pathlib.Path, _path] = pathlib.Path(_ROOT)
    """State that survives a reboot: images, volumes, records, the journal."""
    run_dir: Annotated[pathlib.Path | None, _optional_path] = None
    """State of this boot. Unset: ``/run/trimtab``, and a directory of its own for an instance with another root, since
    two instances that share one would take each other's containers for left-overs."""
    runtime: Annotated[str, _one_of("native", "docker", "podman", "memory")] = "native"
    """``native``: our own engine. ``docker``, ``podman``: an engine that is there, found as its own command line finds
    it (``DOCKER_HOST``, contexts, ``CONTAINER_HOST``). ``memory``: a simulation in RAM, for trying things out."""
    listen: Annotated[Listen | None, _listen] = Listen("127.0.0.1", 9469)
    """Where ``/metrics``, ``/healthz`` and ``/readyz`` are; loopback, as they tell what runs here. ``off``: nowhere."""
    log: LogSettings = LogSettings()
    source: SourceSettings = SourceSettings()
    converge: ConvergeSettings = ConvergeSettings()

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


@dataclasses.dataclass(frozen=True, slots=True)
class _Given:
    """A value that somebody has set, and where."""

    text: str
    place: str


def load(flags: Mapping[str, str], environment: Mapping[str, str]) -> Settings:
    """Put the settings together. Raises ``BadSettings``.

    ``flags`` maps dotted names (``root``, ``run_dir``, ``log.level``) to their text; ``config`` names the file.
    """
    config = flags.get("config") or environment.get(CONFIG_VARIABLE) or ""
    given = _from_file(pathlib.Path(config or CONFIG_PATH), required=bool(config))
    given |= _from_environment(environment)
    for name, text in flags.items():
        if name != "config":
            given[name] = _Given(text, "--" + name.replace(".", "-").replace("_", "-"))
    return _build(Settings, "", given)


def names() -> tuple[str, ...]:
    """Give the dotted names of all settings."""
    return tuple(_leaves(Settings, ""))


def _leaves(group: type[object], prefix: str) -> Iterator[str]:
    for name, parse, inner in _fields(group):
        if parse is None:
            yield from _leaves(inner, f"{prefix}{name}.")
        else:
            yield prefix + name


def _fields(group: type[object]) -> Iterator[tuple[str, Callable[[str], object] | None, type[object]]]:
    """Give (name, parser, type) of a group's fields; a field without a parser is a group itself."""
    for name, hint in get_type_hints(group, include_extras=True).items():
        metadata = getattr(hint, "__metadata__", (None,))
        yield name, metadata[0], hint


def _build(group: type[T], prefix: str, given: Mapping[str, _Given]) -> T:
    values: dict[str, object] = {}
    for name, parse, inner in _fields(group):
        full = prefix + name
        if parse is None:
            values[name] = _build(inner, f"{full}.", given)
        elif full in given:
            try:
                values[name] = parse(given[full].text)
            except ValueError as error:
                raise BadSettings(f"{given[full].place}: {given[full].text!r} will not do: {error}") from error
    return group(**values)


def _from_environment(environment: Mapping[str, str]) -> dict[str, _Given]:
    known = {VARIABLE_PREFIX + name.replace(".", "_").upper(): name for name in names()}
    given: dict[str, _Given] = {}
    for variable, text in environment.items():
        if not variable.startswith(VARIABLE_PREFIX) or variable in _NOT_SETTINGS:
            continue
        if variable not in known:
            raise BadSettings(f"{variable} is not a variable that trimtab knows", hint=_did_you_mean(variable, known))
        given[known[variable]] = _Given(text, variable)
    return given


def _from_file(path: pathlib.Path, *, required: bool) -> dict[str, _Given]:
    try:
        with path.open("rb") as file:
            data = file.read(_MAXIMUM_CONFIG_SIZE + 1)
    except FileNotFoundError as error:
        if not required:
            return {}
        raise BadSettings(f"the configuration {path} does not exist") from error
    except OSError as error:
        raise BadSettings(f"the configuration {path} cannot be read: {error.strerror}") from error
    if len(data) > _MAXIMUM_CONFIG_SIZE:
        raise BadSettings(f"the configuration {path} is too large", hint="at most 1 MiB")
    known = {_camel(name): name for name in names()}
    given: dict[str, _Given] = {}
    for key, text, place in _scalars(path, data):
        if key not in known:
            raise BadSettings(f"{place}: there is no setting {key!r}", hint=_did_you_mean(key, known))
        if known[key] in given:
            raise BadSettings(f"{place}: {key!r} is set twice", hint=f"first in {given[known[key]].place}")
        given[known[key]] = _Given(text, f"{place}: {key}")
    return given


def _scalars(path: pathlib.Path, data: bytes) -> Iterator[tuple[str, str, str]]:
    """Give (dotted key, text, place) of every value of a YAML file."""
    import yaml  # noqa: PLC0415 - most calls have no configuration file, and every call pays for an import

    def walk(node: yaml.Node, prefix: str) -> Iterator[tuple[str, str, str]]:
        place = f"{path}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                yield from walk(value, f"{prefix}.{key.value}" if prefix else str(key.value))
        elif isinstance(node, yaml.ScalarNode) and prefix:
            yield prefix, str(node.value), place
        else:
            raise BadSettings(f"{place}: settings are 'name: value' pairs", hint="see ops/docs/command-line.md")

    try:
        top = yaml.compose(data, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise BadSettings(f"{place}: this is not YAML: {getattr(error, 'problem', None) or error}") from error
    if top is not None:
        yield from walk(top, "")


def _camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)


def _did_you_mean(word: str, known: Mapping[str, str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(known))}"

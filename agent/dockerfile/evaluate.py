"""What the instructions of a stage do: from a configuration to the next, and what is to be done to its files.

A pure walk: a build takes it with the configuration of a real base image, ``--check`` with none.
"""

import dataclasses
import posixpath
import re
from collections.abc import Mapping
from typing import assert_never

from agent.dockerfile import configuration, expand, instructions, lines, mounts
from agent.dockerfile.configuration import Configuration, HistoryEntry
from agent.dockerfile.instructions import Pair
from agent.dockerfile.mistake import Mistake
from agent.kit import frozen, unix_signals

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SHELL = ("/bin/sh", "-c")
_PORT = re.compile(r"(?:.*:)?([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(.*))?")
_PROTOCOLS = {"tcp", "udp", "sctp"}
_HIGHEST_PORT = 65535
_SCRIPTS = "/dev/pipes"
"""Where a here-document that begins with ``#!`` is, for the time that it runs."""


@frozen.value
class Script:
    """A file that a command runs, and that is nowhere in the image."""

    path: str
    content: str


@frozen.value
class RunStep:
    """A command to run."""

    origin: instructions.Origin
    words: tuple[str, ...]
    env: tuple[Pair, ...]
    directory: str
    user: str
    mounts: tuple[instructions.Mount, ...]
    network: str
    security: str
    script: Script | None = None


@frozen.value
class CopyStep:
    """Files to copy."""

    origin: instructions.Origin
    sources: instructions.Sources
    """Expanded; the target is absolute, and ends with a slash where it is to be a directory."""
    stage: str
    """Empty: the build's context."""
    is_add: bool
    keeps_parents: bool = False
    checksum: str = ""
    keeps_git_dir: bool = False
    unpacks: bool | None = None


@frozen.value
class DirectoryStep:
    """A directory to make, where there is none."""

    origin: instructions.Origin
    path: str
    user: str


Step = RunStep | CopyStep | DirectoryStep


@frozen.value
class Frame:
    """A stage so far."""

    configuration: Configuration
    variables: tuple[Pair, ...]
    """What ENV and ARG have set: what words and commands see."""
    arguments: tuple[str, ...] = ()
    """Names that ARG has declared, in their order."""
    has_cmd: bool = False
    history: tuple[HistoryEntry, ...] = ()

    def noted(self, created_by: str, *, has_layer: bool = False, **changes: object) -> "Frame":
        """Return the frame with an entry of history, and changes of its configuration."""
        entry = HistoryEntry(created_by, has_layer)
        changed = dataclasses.replace(self.configuration, **changes)  # type: ignore[arg-type] # fields by name
        return dataclasses.replace(self, configuration=changed, history=(*self.history, entry))


@frozen.value
class Options:
    """What a build is given, and what is known of it."""

    escape: str = "\\"
    build_args: Mapping[str, str] = dataclasses.field(default_factory=dict)
    global_args: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """What FROM knows: ARGs in front of the first stage, and those of the platforms."""
    is_base_complete: bool = True
    """Whether all that the base image sets is known; else a variable that must be set is taken to be."""


def begin(base: Configuration) -> Frame:
    """Return a stage's frame in front of its first instruction, upon the configuration of its base."""
    if not any(name == "PATH" for name, _ in base.env):
        base = dataclasses.replace(base, env=(*base.env, ("PATH", DEFAULT_PATH)))
    working_dir = posixpath.normpath(posixpath.join("/", base.working_dir)) if base.working_dir else ""
    return Frame(dataclasses.replace(base, working_dir=working_dir, on_build=()), base.env)


def inherit(below: Frame) -> Frame:
    """Return a stage's frame in front of its first instruction, upon an earlier stage: its ARGs are known as well."""
    return dataclasses.replace(begin(below.configuration), variables=below.variables)


def follow(frame: Frame, instruction: instructions.Instruction, options: Options) -> tuple[Frame, Step | None]:
    """Return the frame behind an instruction, and what is to be done. Raises ``Mistake``."""
    return _Walk(frame, instruction.origin, options).instruction(instruction)


class _Walk:
    """One instruction's part of the walk."""

    def __init__(self, frame: Frame, origin: instructions.Origin, options: Options) -> None:
        self._frame, self._origin, self._options = frame, origin, options
        self._now = frame.configuration
        self._variables = dict(frame.variables)

    def instruction(self, instruction: instructions.Instruction) -> tuple[Frame, Step | None]:
        match instruction:
            case instructions.Run():
                return self._run(instruction)
            case instructions.Copy() | instructions.Add():
                return self._copy(instruction)
            case instructions.Workdir(path=path):
                return self._workdir(self._expanded(path))
            case _:
                return self._configured(instruction), None

    def _configured(self, instruction: instructions.Instruction) -> Frame:
        """Return the frame behind an instruction that does nothing to files."""
        match instruction:
            case instructions.Env():
                return self._env(instruction)
            case instructions.Arg():
                return self._arg(instruction)
            case instructions.Label():
                return self._label(instruction)
            case instructions.Cmd() | instructions.Entrypoint():
                return self._command(instruction)
            case instructions.Expose():
                return self._expose(instruction)
            case instructions.Volume():
                return self._volume(instruction)
            case instructions.Healthcheck():
                return self._healthcheck(instruction)
            case _:
                return self._plain(instruction)

    def _plain(self, instruction: instructions.Instruction) -> Frame:
        """Return the frame behind an instruction that sets one value."""
        match instruction:
            case instructions.User(user=text):
                user = self._expanded(text)
                return self._frame.noted(f"USER {user}", user=user)
            case instructions.StopSignal(signal=text):
                signal = self._expanded(text)
                if not unix_signals.exists(signal) and (signal or self._options.is_base_complete):
                    raise self._wrong(f"{signal or text} is no signal", "write SIGTERM, or see kill -l")
                return self._frame.noted(f"STOPSIGNAL {signal}", stop_signal=signal)
            case instructions.Maintainer(name=name):
                return self._frame.noted(f"MAINTAINER {name}", author=name)
            case instructions.Shell(words=words):
                return self._frame.noted(f"SHELL [{' '.join(words)}]", shell=words)
            case instructions.Onbuild(expression=expression):
                on_build = (*self._now.on_build, expression)
                return dataclasses.replace(self._frame, configuration=dataclasses.replace(self._now, on_build=on_build))
            case _:
                raise AssertionError(instruction)

    def _run(self, run: instructions.Run) -> tuple[Frame, Step]:
        words, script = self._words(run.command)
        step = RunStep(
            self._origin,
            words,
            self._frame.variables,
            self._now.working_dir or "/",
            self._now.user,
            tuple(self._mount(text) for text in run.mounts),
            run.network,
            run.security,
            script,
        )
        declared = dict.fromkeys(self._frame.arguments)
        shown = [f"{name}={self._variables.get(name, '')}" for name in declared]
        count = [f"|{len(shown)}"] if shown else []
        return self._frame.noted(f"RUN {' '.join((*count, *shown, *words))} # buildkit", has_layer=True), step

    def _words(self, command: instructions.Command) -> tuple[tuple[str, ...], Script | None]:
        """Return the words that a command runs, and the file that it needs for that."""
        if not command.is_shell:
            return command.words, None
        text = command.words[0] if command.words else ""
        if not command.documents:
            return (*self._shell(), text), None
        first = command.documents[0]
        if lines.here_document(text) is None:
            whole = "".join((text, *(f"\n{document.content}{document.name}" for document in command.documents)))
            return (*self._shell(), whole), None
        content = _without_tabs(first.content) if first.strips_tabs else first.content
        if content.startswith("#!"):
            path = f"{_SCRIPTS}/{first.name}"
            return (*self._shell(), path), Script(path, content)
        return (*self._shell(), content), None

    def _shell(self) -> tuple[str, ...]:
        return self._now.shell or _SHELL

    def _mount(self, text: str) -> instructions.Mount:
        try:
            mount = mounts.parse(self._expanded(text))
        except mounts.BadMount as error:
            raise self._wrong(error.message, error.hint) from None
        target = posixpath.normpath(posixpath.join("/", self._now.working_dir, mount.target)) if mount.target else ""
        return dataclasses.replace(mount, target=target)

    def _copy(self, copy: instructions.Copy | instructions.Add) -> tuple[Frame, Step]:
        sources = copy.sources
        paths = tuple(self._expanded(path) for path in sources.paths)
        target, chown, chmod = map(self._expanded, (sources.target, sources.chown, sources.chmod))
        documents = tuple(self._document(document) for document in sources.documents)
        flags = [
            *(["--parents"] if isinstance(copy, instructions.Copy) and copy.keeps_parents else []),
            *([f"--chown={chown}"] if chown else []),
            *([f"--chmod={chmod}"] if chmod else []),
        ]
        headers = [f"<<{document.name}" for document in documents]
        excluded = tuple(map(self._expanded, sources.excluded))
        absolute = self._absolute(target)
        expanded = instructions.Sources(paths, documents, absolute, chown, chmod, sources.is_linked, excluded)
        keyword = type(copy).__name__.upper()
        created_by = " ".join((keyword, *flags, *paths, *headers, target, "# buildkit"))
        frame = self._frame.noted(created_by, has_layer=True)
        match copy:
            case instructions.Copy(stage=stage, keeps_parents=keeps_parents):
                return frame, CopyStep(self._origin, expanded, stage, is_add=False, keeps_parents=keeps_parents)
            case instructions.Add(keeps_git_dir=keeps_git_dir, unpacks=unpacks):
                checksum = self._expanded(copy.checksum)
                return frame, CopyStep(
                    self._origin,
                    expanded,
                    "",
                    is_add=True,
                    checksum=checksum,
                    keeps_git_dir=keeps_git_dir,
                    unpacks=unpacks,
                )
            case _:
                assert_never(copy)

    def _document(self, document: lines.HereDocument) -> lines.HereDocument:
        content = _without_tabs(document.content) if document.strips_tabs else document.content
        if document.expands:
            content = self._expanded(content, expand.Quoting(takes_quotes=False))
        return dataclasses.replace(document, content=content)

    def _absolute(self, path: str) -> str:
        """Return where a path of the image is; with a slash at its end where that must be a directory."""
        whole = posixpath.normpath(posixpath.join("/", self._now.working_dir, path))
        is_folder = path in {"", "."} or path.endswith(("/", "/."))
        return whole if whole == "/" or not is_folder else f"{whole}/"

    def _workdir(self, path: str) -> tuple[Frame, Step | None]:
        whole = f"/{posixpath.normpath(posixpath.join('/', self._now.working_dir, path)).lstrip('/')}"
        frame = self._frame.noted(f"WORKDIR {whole}", has_layer=whole != "/", working_dir=whole)
        return frame, None if whole == "/" else DirectoryStep(self._origin, whole, self._now.user)

    def _env(self, env: instructions.Env) -> Frame:
        pairs = self._pairs(env.pairs)
        own, variables = self._now.env, self._frame.variables
        for name, value in pairs:
            own = configuration.with_pair(own, name, value)
            variables = configuration.with_pair(variables, name, value)
        frame = self._frame.noted(f"ENV {_shown(pairs)}", env=own)
        return dataclasses.replace(frame, variables=variables)

    def _arg(self, arg: instructions.Arg) -> Frame:
        variables, shown = self._frame.variables, list[str]()
        for name, default in arg.pairs:
            value = self._argument(name, default, dict(variables))
            if value is not None:
                variables = configuration.with_pair(variables, name, value)
            shown.append(name if default is None else f"{name}={self._expanded(default)}")
        frame = self._frame.noted(f"ARG {' '.join(shown)}")
        names = (*self._frame.arguments, *(name for name, _ in arg.pairs))
        return dataclasses.replace(frame, variables=variables, arguments=names)

    def _argument(self, name: str, default: str | None, variables: dict[str, str]) -> str | None:
        """Return an ARG's value: what the build is given, its default, or what FROM knows; ``None``: it has none."""
        if name in self._options.build_args:
            return self._options.build_args[name]
        if default is None:
            return self._options.global_args.get(name)
        self._variables = variables  # those in front of it in the same instruction are set by now
        return self._expanded(default)

    def _label(self, label: instructions.Label) -> Frame:
        pairs = self._pairs(label.pairs)
        labels = self._now.labels
        for name, value in pairs:
            labels = configuration.with_pair(labels, name, value)
        return self._frame.noted(f"LABEL {_shown(pairs)}", labels=labels)

    def _command(self, instruction: instructions.Cmd | instructions.Entrypoint) -> Frame:
        command = instruction.command
        words = (*self._shell(), *command.words) if command.is_shell else command.words
        if command.is_shell and not command.words:
            words = (*self._shell(), "")
        match instruction:
            case instructions.Cmd():
                frame = self._frame.noted(f"CMD {configuration.quoted(words)}", cmd=words, args_escaped=True)
                return dataclasses.replace(frame, has_cmd=True)
            case instructions.Entrypoint():
                cmd = self._now.cmd if self._frame.has_cmd else None
                entrypoint = words or None
                return self._frame.noted(f"ENTRYPOINT {configuration.quoted(words)}", entrypoint=entrypoint, cmd=cmd)
            case _:
                assert_never(instruction)

    def _expose(self, expose: instructions.Expose) -> Frame:
        texts = [word for port in expose.ports for word in self._expansion(port).words]
        ports = [port for text in texts for port in self._ports(text)]
        own = tuple(sorted({*self._now.ports, *ports}))
        shown = " ".join(f"{port}:{{}}" for port in sorted(set(ports)))
        return self._frame.noted(f"EXPOSE map[{shown}]", ports=own)

    def _ports(self, text: str) -> list[str]:
        match = _PORT.fullmatch(text)
        if match is None:
            raise self._wrong(f"{text} is no port", "write 80, 80/udp or 8000-8010")
        first, last = int(match[1]), int(match[2] or match[1])
        protocol = (match[3] or "tcp").lower()
        if protocol not in _PROTOCOLS:
            raise self._wrong(f"{text} has no protocol that there is", "write tcp, udp or sctp behind the slash")
        if not first <= last <= _HIGHEST_PORT:
            raise self._wrong(f"{text} is no range of ports", "the highest port is 65535")
        return [f"{port}/{protocol}" for port in range(first, last + 1)]

    def _volume(self, volume: instructions.Volume) -> Frame:
        paths = tuple(self._expanded(path) for path in volume.paths)
        if self._options.is_base_complete and not all(paths):
            raise self._wrong("a volume's path is empty", "write a path, as /data")
        own = tuple(sorted({*self._now.volumes, *paths}))
        return self._frame.noted(f"VOLUME [{' '.join(paths)}]", volumes=own)

    def _healthcheck(self, check: instructions.Healthcheck) -> Frame:
        if check.command is None:
            health = configuration.Healthcheck(("NONE",))
        else:
            kind = "CMD-SHELL" if check.command.is_shell else "CMD"
            times = (check.interval, check.timeout, check.start_period, check.start_interval)
            health = configuration.Healthcheck((kind, *check.command.words), *times, check.retries)
        return self._frame.noted(f"HEALTHCHECK {health.printed()}", healthcheck=health)

    def _pairs(self, pairs: tuple[Pair, ...]) -> tuple[Pair, ...]:
        return tuple((self._expanded(name), self._expanded(value)) for name, value in pairs)

    def _expanded(self, text: str, quoting: expand.Quoting | None = None) -> str:
        return self._expansion(text, quoting).text

    def _expansion(self, text: str, quoting: expand.Quoting | None = None) -> expand.Expansion:
        try:
            return expand.expand(text, self._variables, quoting or expand.Quoting(escape=self._options.escape))
        except expand.ExpansionError as error:
            if error.is_missing and not self._options.is_base_complete:
                return expand.Expansion("", (), frozenset(), frozenset())
            raise self._wrong(str(error), "see the reference of Dockerfiles on environment replacement") from None

    def _wrong(self, message: str, hint: str) -> Mistake:
        return Mistake(self._origin.position, message, hint)


def _shown(pairs: tuple[Pair, ...]) -> str:
    return " ".join(f"{name}={value}" for name, value in pairs)


def _without_tabs(content: str) -> str:
    """Return a here-document of ``<<-`` without the tabs at the beginning of its lines."""
    return re.sub(r"(?m)^\t+", "", content)

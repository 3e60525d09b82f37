"""From a Dockerfile's lines to its stages: each instruction with its flags, all mistakes with their places."""

import dataclasses
import re
from collections.abc import Callable, Mapping

from agent.dockerfile import flags, instructions, lines, mistake, mounts, places, words
from agent.dockerfile.mistake import Mistake
from agent.kit import frozen, quantities

_STAGE = re.compile(r"[a-z][a-z0-9\-_.]*")
_SHORTEST = 0.001
"""Seconds: the shortest interval that Docker takes."""
_NETWORKS = ("default", "host", "none")
_SECURITY = ("insecure", "sandbox")
_NOT_TRIGGERS = {"FROM", "MAINTAINER", "ONBUILD"}
_FORM = 'write it as ["PROGRAM", "ARGUMENT"]'


@frozen.value
class Parsed:
    """A Dockerfile, and what is wrong in it: with any mistake it must not be built."""

    dockerfile: instructions.Dockerfile
    mistakes: tuple[Mistake, ...]
    lines: tuple[lines.Instruction, ...]
    """The instructions as they stand there."""


MOST_MISTAKES = 100
"""What stands behind them is not looked at: who has so many has given something else than a Dockerfile."""


def parse(data: bytes) -> Parsed:
    """Parse a Dockerfile. Whatever the bytes are, nothing is raised."""
    source = lines.read(data)
    collector = _Collector(list(source.mistakes))
    for line in source.instructions:
        if len(collector.mistakes) >= MOST_MISTAKES:
            break
        try:
            collector.add(line, _Reader(line, source.escape).instruction())
        except Mistake as wrong:
            collector.mistakes.append(wrong)
    dockerfile = instructions.Dockerfile(
        source.escape,
        source.directives.get("syntax", ""),
        source.directives.get("check", ""),
        tuple(collector.arguments),
        collector.finished(),
    )
    if not collector.mistakes and not dockerfile.stages:
        collector.mistakes.append(Mistake((1, 1), "there is no FROM", "begin with FROM"))
    return Parsed(dockerfile, tuple(sorted(collector.mistakes, key=lambda wrong: wrong.position)), source.instructions)


def readable(text: str) -> str:
    """Return a text of a Dockerfile with U+FFFD for what is no UTF-8 in it, as Docker's documents have it."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


class _Collector:
    """Puts instructions into their stages."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        self.mistakes = mistakes
        self.arguments: list[instructions.Arg] = []
        self._stages: list[instructions.Stage] = []
        self._open: list[instructions.Instruction] = []
        self._has_begun = False

    def add(self, line: lines.Instruction, instruction: instructions.Instruction | instructions.Stage) -> None:
        """Add what a line is."""
        if isinstance(instruction, instructions.Stage):
            self._close()
            self._stages.append(instruction)
        elif self._stages:
            self._open.append(instruction)
        elif isinstance(instruction, instructions.Arg):
            self.arguments.append(instruction)
        elif not self._has_begun:
            self._has_begun = True
            self.mistakes.append(line.keyword.mistake(f"{line.name} stands before FROM", "begin with FROM"))

    def finished(self) -> tuple[instructions.Stage, ...]:
        """Return the stages."""
        self._close()
        return tuple(self._stages)

    def _close(self) -> None:
        if self._stages:
            self._stages[-1] = dataclasses.replace(self._stages[-1], instructions=tuple(self._open))
        self._open.clear()


class _Reader:
    """Reads one instruction. Each method raises ``Mistake``."""

    def __init__(self, line: lines.Instruction, escape: str) -> None:
        self._line, self._escape = line, escape
        self._name = line.name
        self._text = line.arguments.text
        self._origin = instructions.Origin(line.keyword.position(), line.last, line.source)
        self._flags = flags.Flags({})

    def instruction(self) -> instructions.Instruction | instructions.Stage:
        reader = _READERS.get(self._name)
        if reader is None:
            keyword = self._line.keyword
            hint = mistake.suggestion(self._name, _READERS)
            raise keyword.mistake(f"{keyword.text[:40]} is no instruction", hint)
        if "\0" in self._line.source:
            raise self._line.keyword.mistake("there is a NUL byte in it", "is it a binary file?")
        self._flags = flags.read(self._line)
        return reader(self)

    def from_(self) -> instructions.Stage:
        arguments = self._spaced()
        match [argument.text for argument in arguments]:
            case [base]:
                name = ""
            case [base, word, name] if word.upper() == "AS":
                name = name.lower()
                if not _STAGE.fullmatch(name):
                    hint = "begin it with a letter; letters, digits, -, _ and . may follow"
                    raise arguments[2].mistake(f"{name[:40]!r} cannot be a stage's name", hint)
            case _:
                raise self._wrong("FROM takes an image, and AS with a name", "write FROM IMAGE AS NAME")
        return instructions.Stage(self._origin, base, name, self._flags.value("platform"), ())

    def run(self) -> instructions.Run:
        network = self._flag_of("network", _NETWORKS, "default")
        security = self._flag_of("security", _SECURITY, "sandbox")
        command = self._command()
        if not any(word.strip() for word in command.words):
            raise self._wrong("RUN needs a command", "write it behind RUN")
        for mount in self._flags.values.get("mount", ()):
            if "$" not in mount.text:
                self._check_mount(mount)
        return instructions.Run(self._origin, command, self._flags.all("mount"), network, security)

    def cmd(self) -> instructions.Cmd:
        return instructions.Cmd(self._origin, self._command())

    def entrypoint(self) -> instructions.Entrypoint:
        return instructions.Entrypoint(self._origin, self._command())

    def label(self) -> instructions.Label:
        return instructions.Label(self._origin, *self._pairs())

    def env(self) -> instructions.Env:
        return instructions.Env(self._origin, *self._pairs())

    def arg(self) -> instructions.Arg:
        pairs: list[tuple[str, str | None]] = []
        for word in words.quoted(self._line.arguments, self._escape):
            name, equals, value = word.text.partition("=")
            if not name:
                raise word.mistake("a variable needs a name", "write NAME=VALUE")
            pairs.append((name, value if equals else None))
        if not pairs:
            raise self._wrong("ARG needs a name", "write ARG NAME or ARG NAME=DEFAULT")
        return instructions.Arg(self._origin, tuple(pairs))

    def maintainer(self) -> instructions.Maintainer:
        return instructions.Maintainer(self._origin, self._whole("name"))

    def expose(self) -> instructions.Expose:
        return instructions.Expose(self._origin, tuple(sorted(port.text for port in self._some(self._spaced()))))

    def add(self) -> instructions.Add:
        return instructions.Add(
            self._origin,
            self._sources(),
            self._flags.value("checksum"),
            keeps_git_dir=bool(self._flags.switch("keep-git-dir")),
            unpacks=self._flags.switch("unpack"),
        )

    def copy(self) -> instructions.Copy:
        return instructions.Copy(
            self._origin,
            self._sources(),
            self._flags.value("from"),
            keeps_parents=bool(self._flags.switch("parents")),
        )

    def volume(self) -> instructions.Volume:
        paths = self._json_or_spaced()
        if not all(path.strip() for path in paths):
            raise self._wrong("a volume's path is empty", "write a path, as /data")
        if not paths:
            raise self._wrong("VOLUME needs a path", "write a path, as /data")
        return instructions.Volume(self._origin, tuple(path.strip() for path in paths))

    def user(self) -> instructions.User:
        return instructions.User(self._origin, self._whole("user"))

    def workdir(self) -> instructions.Workdir:
        return instructions.Workdir(self._origin, self._whole("path"))

    def stop_signal(self) -> instructions.StopSignal:
        return instructions.StopSignal(self._origin, self._whole("signal"))

    def shell(self) -> instructions.Shell:
        shell = self._line.json()
        if not shell:
            raise self._wrong("SHELL needs the words of a shell as JSON", 'write SHELL ["/bin/sh", "-c"]')
        return instructions.Shell(self._origin, shell)

    def healthcheck(self) -> instructions.Healthcheck:
        kind, *others = self._line.arguments.split(re.compile(r"\s+"), 1)
        match kind.text.upper():
            case "NONE":
                if others:
                    raise others[0].mistake("HEALTHCHECK NONE takes nothing else", "leave it out")
                if self._line.flags:
                    raise self._line.flags[0].mistake("HEALTHCHECK NONE takes no flags", "leave them out")
                return instructions.Healthcheck(self._origin, None)
            case "CMD":
                command = self._command_of(others[0] if others else kind.part(len(kind.text)))
            case word:
                hint = "write HEALTHCHECK CMD COMMAND, or HEALTHCHECK NONE"
                but = f", not {word[:40]}" if word else ""
                raise kind.mistake(f"HEALTHCHECK needs CMD or NONE{but}", hint)
        if not command.words:
            raise self._wrong("HEALTHCHECK CMD needs a command", "write it behind CMD")
        return instructions.Healthcheck(
            self._origin,
            command,
            self._nanoseconds("interval"),
            self._nanoseconds("timeout"),
            self._nanoseconds("start-period"),
            self._nanoseconds("start-interval"),
            self._retries(),
        )

    def onbuild(self) -> instructions.Onbuild:
        inner = lines.triggered(self._line)
        if inner.name in _NOT_TRIGGERS:
            raise inner.keyword.mistake(f"ONBUILD cannot hold {inner.name}", "write another instruction behind it")
        instruction = _Reader(inner, self._escape).instruction()
        if isinstance(instruction, instructions.Stage):  # FROM, which is refused above
            raise inner.keyword.mistake("ONBUILD cannot hold FROM")
        documents = "".join(f"\n{document.content}{document.name}" for document in self._line.documents)
        return instructions.Onbuild(self._origin, instruction, inner.source + documents)

    def _wrong(self, message: str, hint: str) -> Mistake:
        place = self._line.arguments if self._text else self._line.keyword
        return place.mistake(message, hint)

    def _whole(self, what: str) -> str:
        if not self._text:
            raise self._wrong(f"{self._name} needs a {what}", f"write it behind {self._name}")
        return self._text

    def _spaced(self) -> tuple[places.Text, ...]:
        return words.spaced(self._line.arguments)

    def _some(self, arguments: tuple[places.Text, ...]) -> tuple[places.Text, ...]:
        if not arguments:
            raise self._wrong(f"{self._name} needs an argument", f"write it behind {self._name}")
        return arguments

    def _json_or_spaced(self) -> tuple[str, ...]:
        exact = self._line.json()
        return tuple(argument.text for argument in self._spaced()) if exact is None else exact

    def _command(self) -> instructions.Command:
        command = self._command_of(self._line.arguments)
        return dataclasses.replace(command, documents=self._line.documents)

    def _command_of(self, arguments: places.Text) -> instructions.Command:
        exact = lines.json_words(arguments)
        if exact is not None:
            return instructions.Command(exact, is_shell=False)
        return instructions.Command((arguments.text,) if arguments.text else (), is_shell=True)

    def _pairs(self) -> tuple[tuple[instructions.Pair, ...], bool]:
        """Return names and values, and whether they are of the form ``NAME=VALUE``."""
        pairs = tuple(words.quoted(self._line.arguments, self._escape))
        if not pairs:
            raise self._wrong(f"{self._name} needs a name and a value", f"write {self._name} NAME=VALUE")
        if "=" not in pairs[0].text:
            name, *value = self._line.arguments.split(words.SPACE, 1)
            if not value:
                raise self._wrong(f"{self._name} {name.text[:40]} has no value", f"write {self._name} NAME=VALUE")
            return ((name.text, value[0].text),), False
        return tuple(self._pair(word) for word in pairs), True

    def _pair(self, word: places.Text) -> instructions.Pair:
        name, equals, value = word.text.partition("=")
        if not equals:
            raise word.mistake(f"{name[:40]} has no = and a value", "quote values that have spaces in them")
        if not name:
            raise word.mistake("there is no name in front of =", "write NAME=VALUE")
        return name, value

    def _sources(self) -> instructions.Sources:
        arguments = self._json_or_spaced()
        if len(arguments) < 2:  # noqa: PLR2004 - what and where to
            raise self._wrong(f"{self._name} needs what to take, and where to", f"write {self._name} SOURCE... TARGET")
        *taken, target = arguments
        if lines.here_document(target) is not None:
            raise self._wrong("a here-document cannot be the target", "write the target's path last")
        contents = {document.name: document for document in self._line.documents}
        documents: list[lines.HereDocument] = []
        paths: list[str] = []
        for argument in taken:
            header = lines.here_document(argument)
            if header is None:
                paths.append(argument)
            else:
                documents.append(contents.get(header.name, header))
        return instructions.Sources(
            tuple(paths),
            tuple(documents),
            target,
            self._flags.value("chown"),
            self._flags.value("chmod"),
            bool(self._flags.switch("link")),
            self._flags.all("exclude"),
        )

    def _check_mount(self, text: places.Text) -> None:
        try:
            mounts.parse(text.text)
        except mounts.BadMount as error:
            raise text.mistake(error.message, error.hint) from None

    def _flag_of(self, name: str, choices: tuple[str, ...], default: str) -> str:
        value = self._flags.value(name, default)
        if value not in choices:
            place = self._flags.values[name][0]
            raise place.mistake(f"--{name} cannot be {value[:40] or 'empty'}", mistake.suggestion(value, choices))
        return value

    def _nanoseconds(self, name: str) -> int:
        text = self._flags.value(name)
        if not text:
            return 0
        place = self._flags.values[name][0]
        try:
            seconds = quantities.seconds(text)
        except ValueError as error:
            raise place.mistake(f"--{name} must be {error}", f"write --{name}=30s") from None
        if 0 < seconds < _SHORTEST:
            raise place.mistake(f"--{name} must be a millisecond at least", f"write --{name}=1ms")
        return round(seconds * 10**9)

    def _retries(self) -> int:
        text = self._flags.value("retries", "0")
        if not text.isdecimal() or not text.isascii() or int(text[:12]) >= 2**31:
            place = self._flags.values["retries"][0]
            raise place.mistake(f"--retries cannot be {text[:40] or 'empty'}", "write a number, as --retries=3")
        return int(text)


_READERS: Mapping[str, Callable[[_Reader], instructions.Instruction | instructions.Stage]] = {
    "ADD": _Reader.add,
    "ARG": _Reader.arg,
    "CMD": _Reader.cmd,
    "COPY": _Reader.copy,
    "ENTRYPOINT": _Reader.entrypoint,
    "ENV": _Reader.env,
    "EXPOSE": _Reader.expose,
    "FROM": _Reader.from_,
    "HEALTHCHECK": _Reader.healthcheck,
    "LABEL": _Reader.label,
    "MAINTAINER": _Reader.maintainer,
    "ONBUILD": _Reader.onbuild,
    "RUN": _Reader.run,
    "SHELL": _Reader.shell,
    "STOPSIGNAL": _Reader.stop_signal,
    "USER": _Reader.user,
    "VOLUME": _Reader.volume,
    "WORKDIR": _Reader.workdir,
}

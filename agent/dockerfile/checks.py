"""What is allowed in a Dockerfile and is likely meant otherwise: BuildKit's build checks, by their names.

Source: docs.docker.com/reference/build-checks. What an image that it builds upon sets is not known here, so a variable
that nothing sets counts as a mistake only where the stage begins with ``scratch``, or where a known name is near.
"""

import collections
import dataclasses
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping

from agent.dockerfile import expand, ignore, instructions, lines, mistake, parse
from agent.kit import frozen

_SECRET = re.compile(
    r"(?:_|^)(?:apikey|auth|credentials?|key|passwd|password|pword|secret|token)(?:_|$)", re.IGNORECASE
)
_PUBLIC = re.compile(r"(?:_|^)public(?:_|$)", re.IGNORECASE)
_SOMEWHERE = (1, 1)
"""The place of a finding in an instruction, until it has the instruction's."""
_RESERVED = ("context", "scratch")
_HOST_PORT = re.compile(r"[^/]*:")
PLATFORM_ARGUMENTS = tuple(
    f"{side}{part}" for side in ("BUILD", "TARGET") for part in ("PLATFORM", "OS", "ARCH", "VARIANT")
)
"""ARGs that FROM knows without a declaration; a stage has to declare them."""
PREDEFINED_ARGUMENTS = tuple(
    name
    for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (proxy, proxy.lower())
)
"""ARGs that every stage knows without a declaration."""
_ONCE = {instructions.Cmd: "CMD", instructions.Entrypoint: "ENTRYPOINT", instructions.Healthcheck: "HEALTHCHECK"}


@frozen.value(order=True)
class Finding:
    """Something that is likely meant otherwise."""

    position: mistake.Position
    rule: str
    """BuildKit's name of the check."""
    message: str
    hint: str


@frozen.value
class Choice:
    """Which checks count: ``# check=skip=NAME,NAME;error=true``."""

    skipped: frozenset[str] = frozenset()
    skips_all: bool = False
    is_error: bool = False
    """Whether a finding keeps the image from being built."""


def choice(directive: str) -> Choice:
    """Return what a ``check`` directive says. Raises ``ValueError`` with what is wrong in it."""
    names: list[str] = []
    is_error = False
    for part in filter(None, (part.strip() for part in directive.split(";"))):
        name, _, value = part.partition("=")
        if name == "skip":
            names += (word.strip() for word in value.split(","))
        elif name == "error" and value.lower() in {"true", "false"}:
            is_error = value.lower() == "true"
        else:
            raise ValueError(f"{part!r} is none of skip=NAME,... and error=true")
    return Choice(frozenset(name.lower() for name in names), "all" in names, is_error)


def refusals(parsed: parse.Parsed) -> tuple[mistake.Mistake, ...]:
    """Return what keeps a Dockerfile from being built: mistakes, or findings, by ``check=error=true``."""
    if parsed.mistakes:
        return tuple(parsed.mistakes)
    try:
        chosen = choice(parsed.dockerfile.check)
    except ValueError as error:
        return (mistake.Mistake((1, 1), f"the check directive: {error}"),)
    findings = check(parsed, chosen) if chosen.is_error else ()
    return tuple(mistake.Mistake(own.position, f"{own.rule}: {own.message}", own.hint) for own in findings)


def check(
    parsed: parse.Parsed,
    chosen: Choice = Choice(),
    context: ignore.Ignore = ignore.Ignore(),
) -> tuple[Finding, ...]:
    """Return what is likely meant otherwise in a Dockerfile without mistakes, in the file's order."""
    if chosen.skips_all:
        return ()
    findings = [*_of_lines(parsed.lines), *_of_names(parsed), *_of_stages(parsed, context)]
    return tuple(sorted(finding for finding in findings if finding.rule.lower() not in chosen.skipped))


def _of_lines(source: Iterable[lines.Instruction]) -> Iterator[Finding]:
    """Check how instructions are spelled."""
    spelled = collections.Counter(
        line.keyword.text.isupper() for line in source if line.keyword.text != line.keyword.text.title()
    )
    capitals = spelled[True] >= spelled[False]
    for line in source:
        word, position = line.keyword.text, line.keyword.position()
        if line.has_empty_continuation:
            yield Finding(position, "NoEmptyContinuation", "an empty line continues it", "remove the empty line")
        if not (word.isupper() if capitals else word.islower()):
            case = "capitals" if capitals else "small letters"
            message = f"{word} is not in {case}, as most instructions of the file"
            yield Finding(position, "ConsistentInstructionCasing", message, f"write it in {case}")


def _of_names(parsed: parse.Parsed) -> Iterator[Finding]:
    """Check FROM and the names of stages."""
    names: set[str] = set()
    for line in parsed.lines:
        words = line.arguments.text.split()
        if line.name != "FROM" or len(words) != 3:  # noqa: PLR2004 - IMAGE AS NAME
            continue
        position, (_, joining, name) = line.keyword.position(), words
        if joining.isupper() != line.keyword.text.isupper():
            message = f"{joining} and {line.keyword.text} are not in the same case"
            yield Finding(position, "FromAsCasing", message, "write both in capitals, or none")
        if name != name.lower():
            yield Finding(position, "StageNameCasing", f"the stage's name {name} has capitals", f"write {name.lower()}")
        if name.lower() in names:
            yield Finding(position, "DuplicateStageName", f"the stage's name {name} is not the first", "choose another")
        if name.lower() in _RESERVED:
            yield Finding(position, "ReservedStageName", f"{name} has a meaning of its own", "choose another name")
        names.add(name.lower())


def _of_stages(parsed: parse.Parsed, context: ignore.Ignore) -> Iterator[Finding]:
    dockerfile = parsed.dockerfile
    defaults = {name: value or "" for arg in dockerfile.arguments for name, value in arg.pairs}
    stages: dict[str, _Scope] = {}
    for number, stage in enumerate(dockerfile.stages):
        yield from _of_from(stage, defaults, dockerfile.escape)
        base = stages.get(stage.base.lower())
        scope = _Scope(
            set() if base is None else set(base.names),
            is_complete=stage.base == "scratch" if base is None else base.is_complete,
            has_directory=base is not None and base.has_directory,
            has_shell=base is not None and base.has_shell,
            escape=dockerfile.escape,
            defaults=defaults,
        )
        yield from _of_instructions(stage, scope, context)
        stages[stage.name or str(number)] = scope


def _of_from(stage: instructions.Stage, defaults: Mapping[str, str], escape: str) -> Iterator[Finding]:
    position = stage.origin.position
    variables = {**dict.fromkeys((*PLATFORM_ARGUMENTS, *PREDEFINED_ARGUMENTS), "x"), **defaults}
    for text in (stage.base, stage.platform):
        for name in sorted(_missing(text, variables, escape)):
            hint = _near(name, variables) or f"declare it in front of the first FROM: ARG {name}"
            yield Finding(position, "UndefinedArgInFrom", f"FROM uses {name}, which no ARG declares", hint)
    if not _missing(stage.base, variables, escape) and _is_empty(stage.base, variables, escape):
        message = f"with the defaults of its ARGs, {stage.base} is no image"
        yield Finding(position, "InvalidDefaultArgInFrom", message, "give the ARG a default")
    if stage.platform in {"$TARGETPLATFORM", "${TARGETPLATFORM}"}:
        message = "--platform is $TARGETPLATFORM, as it is without it"
        yield Finding(position, "RedundantTargetPlatform", message, "remove --platform")
    elif stage.platform and "$" not in stage.platform and not _names_platform(stage):
        message = f"--platform is always {stage.platform}"
        hint = "use $BUILDPLATFORM or $TARGETPLATFORM, or end the stage's name with the platform"
        yield Finding(position, "FromPlatformFlagConstDisallowed", message, hint)


def _names_platform(stage: instructions.Stage) -> bool:
    return any(part in stage.name for part in stage.platform.split("/") if part)


@dataclasses.dataclass(slots=True)
class _Scope:
    """What a stage knows, instruction by instruction."""

    names: set[str]
    """Of its variables."""
    is_complete: bool
    """Whether these are all: it begins with scratch."""
    has_directory: bool
    has_shell: bool
    escape: str
    defaults: Mapping[str, str]


def _of_instructions(stage: instructions.Stage, scope: _Scope, context: ignore.Ignore) -> Iterator[Finding]:
    latest: dict[str, mistake.Position] = {}
    for instruction in stage.instructions:
        position = instruction.origin.position
        name = _ONCE.get(type(instruction))
        if name in latest:
            message = f"there is another {name} behind it in the stage, and the last one counts"
            yield Finding(latest[name], "MultipleInstructionsDisallowed", message, "remove it")
        if name is not None:
            latest[name] = position
        for finding in _of_instruction(instruction, scope, context):
            yield dataclasses.replace(finding, position=position)
        _enter(instruction, scope)


def _of_instruction(instruction: instructions.Instruction, scope: _Scope, context: ignore.Ignore) -> Iterator[Finding]:
    """Yield findings without their place."""
    yield from _of_variables(instruction, scope)
    yield from _of_commands(instruction, scope)
    yield from _of_old_forms(instruction)
    yield from _of_secrets(instruction)
    if isinstance(instruction, instructions.Expose):
        yield from _of_ports(instruction.ports)
    if isinstance(instruction, instructions.Add) or (
        isinstance(instruction, instructions.Copy) and not instruction.stage
    ):
        yield from _of_sources(instruction.sources, context)


def _of_variables(instruction: instructions.Instruction, scope: _Scope) -> Iterator[Finding]:
    variables = dict.fromkeys((*scope.names, *PREDEFINED_ARGUMENTS), "x")
    for text in _expanded(instruction):
        for name in sorted(_missing(text, variables, scope.escape)):
            near = _near(name, scope.names)
            if near or scope.is_complete:
                hint = near or f"declare it: ARG {name}, or ENV {name}=VALUE"
                yield Finding(_SOMEWHERE, "UndefinedVar", f"the variable {name} is not set", hint)


def _of_commands(instruction: instructions.Instruction, scope: _Scope) -> Iterator[Finding]:
    match instruction:
        case instructions.Cmd(command=command) | instructions.Entrypoint(command=command):
            if command.is_shell and not scope.has_shell:
                message = "the shell form does not pass signals on to the program"
                yield Finding(_SOMEWHERE, "JSONArgsRecommended", message, 'write it as ["PROGRAM", "ARGUMENT"]')
        case instructions.Workdir(path=path):
            if not path.startswith(("/", "$", '"', "'")) and not scope.has_directory:
                message = f"{path} is relative to what the image below has set"
                yield Finding(_SOMEWHERE, "WorkdirRelativePath", message, f"write /{path}")
        case _:
            pass


def _of_old_forms(instruction: instructions.Instruction) -> Iterator[Finding]:
    match instruction:
        case instructions.Maintainer(name=name):
            hint = f'write LABEL org.opencontainers.image.authors="{name}"'
            yield Finding(_SOMEWHERE, "MaintainerDeprecated", "MAINTAINER is deprecated", hint)
        case instructions.Env(uses_equals=False) | instructions.Label(uses_equals=False):
            keyword = type(instruction).__name__.upper()
            message = f"{keyword} without = is an old form"
            yield Finding(_SOMEWHERE, "LegacyKeyValueFormat", message, f"write {keyword} NAME=VALUE")
        case _:
            pass


def _of_secrets(instruction: instructions.Instruction) -> Iterator[Finding]:
    if isinstance(instruction, instructions.Arg | instructions.Env):
        keyword = type(instruction).__name__.upper()
        for name, _ in instruction.pairs:
            if _SECRET.search(name) and not _PUBLIC.search(name):
                message = f"{keyword} {name} stays in the image, or its history, for everybody to read"
                yield Finding(_SOMEWHERE, "SecretsUsedInArgOrEnv", message, "use RUN --mount=type=secret")


def _of_ports(ports: Iterable[str]) -> Iterator[Finding]:
    for port in ports:
        number, _, protocol = port.partition("/")
        if "$" not in protocol and protocol != protocol.lower():
            message = f"the protocol of {port} has capitals"
            yield Finding(_SOMEWHERE, "ExposeProtoCasing", message, f"write {number}/{protocol.lower()}")
        if "$" not in port and _HOST_PORT.match(port):
            message = f"{port} names an address or a port of the host"
            yield Finding(_SOMEWHERE, "ExposeInvalidFormat", message, "write the container's port alone")


def _of_sources(sources: instructions.Sources, context: ignore.Ignore) -> Iterator[Finding]:
    for path in sources.paths:
        plain = path.removeprefix("./").strip("/")
        if plain and not any(sign in path for sign in "$*?[:") and context.leaves_out(plain):
            message = f"{path} is left out of the context by .dockerignore"
            yield Finding(_SOMEWHERE, "CopyIgnoredFile", message, f"add !{plain} to .dockerignore")


def _expanded(instruction: instructions.Instruction) -> Iterator[str]:
    """Yield the texts of an instruction whose variables a build expands; a shell's are its own."""
    match instruction:
        case instructions.Env(pairs=pairs) | instructions.Label(pairs=pairs):
            for name, value in pairs:
                yield name
                yield value
        case instructions.Arg(pairs=arguments):
            yield from (value for _, value in arguments if value)
        case instructions.Copy(sources=sources) | instructions.Add(sources=sources):
            yield from (*sources.paths, sources.target, sources.chown, sources.chmod)
        case instructions.Expose(ports=texts) | instructions.Volume(paths=texts):
            yield from texts
        case instructions.User(user=text) | instructions.Workdir(path=text) | instructions.StopSignal(signal=text):
            yield text
        case _:
            return


def _enter(instruction: instructions.Instruction, scope: _Scope) -> None:
    """Let a stage know what an instruction sets."""
    match instruction:
        case instructions.Env(pairs=pairs) | instructions.Arg(pairs=pairs):
            scope.names.update(name for name, _ in pairs)
        case instructions.Shell():
            scope.has_shell = True
        case instructions.Workdir(path=path):
            scope.has_directory = scope.has_directory or path.startswith("/")
        case _:
            pass


def _missing(text: str, variables: Mapping[str, str], escape: str) -> frozenset[str]:
    """Return the names in a text that are not set and have to be, so without a modifier that takes their place."""
    try:
        whole = expand.expand(text, variables, expand.Quoting(escape=escape))
    except expand.ExpansionError:
        return frozenset()
    names = frozenset(name for name in whole.missing if name.isidentifier())
    return frozenset(name for name in names if not re.search(rf"\$\{{{re.escape(name)}:?[-+?]", text))


def _is_empty(text: str, variables: Mapping[str, str], escape: str) -> bool:
    try:
        result = expand.expand(text, variables, expand.Quoting(escape=escape)).text
    except expand.ExpansionError:
        return False
    return not result or result.endswith((":", "@", "/")) or result.startswith((":", "@", "/"))


def _near(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(names), 1, 0.75)
    return f"did you mean {near[0]}?" if near else ""

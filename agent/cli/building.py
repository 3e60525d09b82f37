"""What ``build`` does: reads what is to be built, lets the runtime build it, and shows how it goes."""

import asyncio
import os
import pathlib
import sys
from collections.abc import Sequence

import click

from agent import errors, settings
from agent.cli import build_progress, exclusive, exits, interrupts, problems, terminal
from agent.dockerfile import builds, ignore, parse
from agent.kit import files, frozen
from agent.manifests import problem
from agent.oci import platform, reference
from agent.runtime import build_files

_LARGEST_SECRET = 512 * 1024
"""Bytes, as BuildKit has it."""
_IMAGE = "docker-image://"
_DEFAULT_AGENT = "default"


@frozen.value
class Choices:
    """What the options of the command are, as they are typed."""

    target: str
    build_args: Sequence[str]
    labels: Sequence[str]
    platform: str
    secrets: Sequence[str]
    ssh: Sequence[str]
    contexts: Sequence[str]
    uses_cache: bool
    pulls: bool
    network: str


@frozen.value
class Image:
    """What was built."""

    references: tuple[str, ...]
    """None: it is not kept."""
    id: str


def build(
    chosen: settings.Settings, where: build_files.Location, choices: Choices, tags: Sequence[str], progress: str
) -> Image:
    """Build. A Dockerfile with mistakes, and a step that fails, are shown with their places: exits with 1."""
    names = tuple(dict.fromkeys(_reference(chosen, tag) for tag in tags))
    request = _request(where, choices)
    report = build_progress.of(progress)

    async def building() -> str:
        async with exclusive.opened(chosen) as runtime:
            identity = await runtime.builds.build(request, names[0] if names else "", (), report)
            for name in names[1:]:
                await runtime.images.tag(names[0], name)
            return identity

    try:
        with report:
            return Image(names, asyncio.run(interrupts.heeded(building())))
    except builds.BuildFailed as error:
        for line in error.output if report.hides_output else ():
            terminal.note(terminal.style(terminal.printable(line), "dim", sys.stderr))
        wrong = problem.Problem(str(where.dockerfile), *error.position, error.what, error.hint)
        problems.show([wrong], {str(where.dockerfile): request.source})
        raise click.exceptions.Exit(exits.FAILED) from error


def argument(text: str) -> tuple[str, str]:
    """Read ``NAME=VALUE``; ``NAME`` alone has the value of that variable here."""
    name, equals, value = text.partition("=")
    if not name:
        raise click.BadParameter("a name is missing", param_hint="--build-arg")
    return name, value if equals else os.environ.get(name, "")


def pair(text: str, option: str) -> tuple[str, str]:
    """Read ``NAME=VALUE``."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint=option)
    return name, value


def secret(text: str) -> tuple[str, bytes]:
    """Read ``id=ID,src=FILE`` or ``id=ID,env=NAME``; ``id=ID`` alone is the variable, or the file, of that name."""
    fields = dict(part.partition("=")[::2] for part in text.split(","))
    fields.pop("type", None)
    name, source = fields.pop("id", ""), fields.pop("src", fields.pop("source", ""))
    variable = fields.pop("env", "")
    if fields or not name or (source and variable):
        raise click.BadParameter(f"{text!r} is not id=ID[,src=FILE|,env=NAME]", param_hint="--secret")
    if not source and not variable:
        source, variable = ("", name) if name in os.environ else (name, "")
    if variable:
        if variable not in os.environ:
            raise errors.InvalidArgument(f"there is no variable {variable} for the secret {name}")
        return name, os.environb[os.fsencode(variable)]
    return name, _read(pathlib.Path(source), name)


def agent(text: str) -> tuple[str, pathlib.Path]:
    """Read ``ID=SOCKET``; ``ID`` alone is the agent of SSH_AUTH_SOCK."""
    name, _, socket = text.partition("=")
    socket = socket or os.environ.get("SSH_AUTH_SOCK", "")
    if not socket or not pathlib.Path(socket).is_socket():
        message = f"there is no ssh agent at {socket}" if socket else "no ssh agent is known"
        raise errors.InvalidArgument(message, hint="start one (eval $(ssh-agent)), or name its socket: --ssh ID=SOCKET")
    return name or _DEFAULT_AGENT, pathlib.Path(socket).absolute()


def context(text: str) -> tuple[str, builds.Context | str]:
    """Read ``NAME=DIRECTORY`` or ``NAME=docker-image://REFERENCE``."""
    name, value = pair(text, "--build-context")
    if value.startswith(_IMAGE):
        return name, value.removeprefix(_IMAGE)
    path = pathlib.Path(value)
    if not path.is_dir():
        raise errors.InvalidArgument(
            f"the context {name} is no directory: {value}", hint=f"give a directory, or {_IMAGE}REFERENCE"
        )
    return name, builds.Context(path.absolute(), build_files.ignored_in(path))


def _reference(chosen: settings.Settings, text: str) -> str:
    try:
        return str(reference.parse(text, chosen.registries.default))
    except reference.InvalidReference as error:
        raise click.BadParameter(str(error), param_hint="--tag") from error


def _request(where: build_files.Location, choices: Choices) -> builds.Request:
    """Return what is asked of the runtime. Mistakes are shown: exits with 1."""
    source = where.read()
    parsed = parse.parse(source)
    if parsed.mistakes:
        shown = str(where.dockerfile)
        wrong = [problem.Problem(shown, *own.position, own.message, own.hint) for own in parsed.mistakes]
        problems.show(wrong, {str(where.dockerfile): source})
        raise click.exceptions.Exit(exits.FAILED)
    try:
        ignored = where.ignored()
    except ignore.BadPattern as error:
        raise errors.InvalidArgument(f"{where.ignore_file}:{error.line}: {error.message}") from error
    if choices.platform:
        _check_platform(choices.platform)
    arguments = dict(map(argument, choices.build_args))
    return builds.Request(
        dockerfile=parsed.dockerfile,
        source=source,
        context=builds.Context(where.context.absolute(), ignored),
        file=where.dockerfile.absolute(),
        target=choices.target,
        platform=choices.platform,
        build_args=tuple((name, value) for name, value in arguments.items() if name != build_files.EPOCH),
        labels=tuple(text.partition("=")[::2] for text in choices.labels),
        contexts=dict(map(context, choices.contexts)),
        secrets=dict(map(secret, choices.secrets)),
        ssh=dict(map(agent, choices.ssh)),
        uses_cache=choices.uses_cache,
        pulls=choices.pulls,
        network=choices.network,
        epoch=_epoch(arguments.get(build_files.EPOCH, "")),
    )


def _check_platform(text: str) -> None:
    try:
        target = platform.normal(platform.parse(text))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--platform") from error
    if target.os == "windows":
        raise errors.InvalidArgument("an image for Windows cannot be built on Linux", hint="build it on Windows")


def _epoch(text: str) -> int | None:
    try:
        return build_files.epoch(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--build-arg") from error


def _read(path: pathlib.Path, name: str) -> bytes:
    try:
        descriptor = files.open_regular(path)
    except OSError as error:
        raise errors.InvalidArgument(f"the secret {name} cannot be read from {path}: {error.strerror}") from error
    try:
        data = files.read_most(descriptor, _LARGEST_SECRET + 1)
    finally:
        os.close(descriptor)
    if len(data) > _LARGEST_SECRET:
        raise errors.InvalidArgument(f"the secret {name} is larger than {_LARGEST_SECRET // 1024} KiB")
    return data

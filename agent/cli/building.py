"""What ``build`` does: reads what is to be built, lets the runtime build it, and shows how it goes."""

import contextlib
import json
import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence

import click

from agent import errors, settings
from agent.agent_api import building, client
from agent.cli import build_inputs, build_progress, exits, interrupts, problems, terminal
from agent.dockerfile import caches, outputs
from agent.kit import canonical, files, frozen
from agent.manifests import problem
from agent.oci import platform, reference
from agent.runtime import build_files, build_orders

_LARGEST_SECRET = 512 * 1024
"""Bytes, as BuildKit has it."""
_EPOCH = build_files.EPOCH
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
    cache_from: Sequence[str]
    cache_to: Sequence[str]
    uses_cache: bool
    pulls: bool
    network: str
    output: str


@frozen.value
class Image:
    """What was built."""

    references: tuple[str, ...]
    """None: it is not kept."""
    id: str


def build(
    chosen: settings.Settings, where: tuple[str, str | None], choices: Choices, tags: Sequence[str], progress: str
) -> Image:
    """Build. A Dockerfile with mistakes, and a step that fails, are shown with their places: exits with 1."""
    names = tuple(dict.fromkeys(_reference(chosen, tag) for tag in tags))
    with interrupts.raised(), contextlib.ExitStack() as stack:
        files_of_build = stack.enter_context(build_inputs.opened(*where))
        order = _order(files_of_build, choices, names, stack)
        with build_progress.of(progress) as report:
            end = _by_agent(chosen, order, report)
            if end is None:
                end = _here(chosen, order, report)
            is_shown = report.end(end)
        if isinstance(end, build_orders.Built):
            if choices.output == outputs.STDOUT:
                _print(pathlib.Path(order.output_path))
            for note in () if is_shown or progress == "none" else end.notes:
                terminal.note(f"{terminal.style('note:', 'yellow', sys.stderr)} {terminal.printable(note)}")
            return Image(end.references, end.id)
        if not is_shown:
            _show(end, files_of_build, hides_output=report.hides_output)
    raise click.exceptions.Exit(exits.FAILED)


def _by_agent(
    chosen: settings.Settings, order: build_orders.Order, report: build_progress.Report
) -> build_orders.End | None:
    """Let the running agent build; ``None`` where none runs."""
    from agent.engine import layout, stamps

    stamps.check(layout.of(chosen.root, chosen.run))
    body = json.dumps(canonical.plain(order)).encode()
    try:
        for document in client.stream(chosen.run, "/v1/build", body):
            line = building.restore(document)
            if isinstance(line, build_orders.Built | build_orders.Failed):
                return line
            report(line)
    except client.NoAgent:
        return None
    except client.MayNotAsk as error:
        error.hint = "only root may build here: use sudo"
        raise
    except ValueError as error:
        raise client.Unresponsive(f"the agent's answer is not understood: {error}") from error
    raise client.Unresponsive("the agent has ended before the build", hint="trimtab status says how the agent is")


def _here(chosen: settings.Settings, order: build_orders.Order, report: build_progress.Report) -> build_orders.End:
    """Build in this process."""
    import asyncio

    from agent.cli import exclusive
    from agent.runtime import ordered_builds

    if (failed := ordered_builds.mistakes(order)) is not None:
        return failed

    async def work() -> build_orders.End:
        async with exclusive.opened(chosen) as runtime:
            return await ordered_builds.carry_out(order, runtime, report)

    return asyncio.run(interrupts.heeded(work()))


def _show(end: build_orders.Failed, build: build_inputs.Input, *, hides_output: bool) -> None:
    """Print why a build has failed. Raises ``TrimtabError`` where it is not because of the Dockerfile."""
    if not end.places:
        raise errors.TrimtabError(end.message, hint=end.hint)
    for line in end.output if hides_output else ():
        terminal.note(terminal.style(terminal.printable(line), "dim", sys.stderr))
    wrong = [problem.Problem(build.shown, own.line, own.column, own.message, own.hint) for own in end.places]
    problems.show(wrong, {build.shown: build.source})


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


def context(text: str, stack: contextlib.ExitStack) -> tuple[str, str]:
    """Read ``NAME=DIRECTORY``, ``NAME=docker-image://REFERENCE``, or the URL of a repository or an archive."""
    name, value = pair(text, "--build-context")
    if value.startswith(build_orders.IMAGE):
        return name, value
    return name, str(stack.enter_context(build_inputs.opened_context(value)))


def _reference(chosen: settings.Settings, text: str) -> str:
    try:
        return str(reference.parse(text, chosen.registries.default))
    except reference.InvalidReference as error:
        raise click.BadParameter(str(error), param_hint="--tag") from error


def _order(
    files_of_build: build_inputs.Input, choices: Choices, names: tuple[str, ...], stack: contextlib.ExitStack
) -> build_orders.Order:
    """Return what is ordered by the options; what has to be fetched for it is held by the stack."""
    if choices.platform:
        _check_platform(choices.platform)
    arguments = dict(map(argument, choices.build_args))
    output = _output(choices.output)
    dockerfile, directory = files_of_build.dockerfile, files_of_build.context
    return build_orders.Order(
        references=names,
        source=build_orders.decoded(files_of_build.source),
        dockerfile="" if dockerfile is None else str(dockerfile),
        context="" if directory is None else str(directory),
        target=choices.target,
        platform=choices.platform,
        build_args=tuple((name, value) for name, value in arguments.items() if name != _EPOCH),
        labels=tuple(text.partition("=")[::2] for text in choices.labels),
        contexts=tuple(dict(context(text, stack) for text in choices.contexts).items()),
        secrets=tuple(build_orders.secret(*secret(text)) for text in choices.secrets),
        ssh=tuple((name, str(path)) for name, path in map(agent, choices.ssh)),
        cache_from=tuple(_cache(caches.source, text, "--cache-from") for text in choices.cache_from),
        cache_to=tuple(_cache(caches.target, text, "--cache-to") for text in choices.cache_to),
        output="" if output is None else output.type.value,
        output_path="" if output is None else _place(output, stack),
        uses_cache=choices.uses_cache,
        pulls=choices.pulls,
        network=choices.network,
        epoch=_epoch(arguments.get(_EPOCH, "")),
    )


def _cache(read: Callable[[str], object], text: str, option: str) -> str:
    """Check what names a cache, and return it as it is."""
    try:
        read(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from error
    return text


def _output(text: str) -> outputs.Output | None:
    """Read ``--output``; ``None``: nothing but the image is wanted."""
    try:
        output = outputs.parse(text) if text else None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--output") from error
    return None if output is None or output.type is outputs.OutputType.IMAGE else output


def _place(output: outputs.Output, stack: contextlib.ExitStack) -> str:
    """Return where the builder writes; what goes to stdout lies in a file until then."""
    if output.path != outputs.STDOUT:
        return str(pathlib.Path(output.path).absolute())
    if sys.stdout.isatty():
        raise errors.InvalidArgument("an archive is not written to a terminal", hint="name a file: > files.tar")
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="trimtab-build-"))
    return str(pathlib.Path(folder, "files.tar"))


def _print(archive: pathlib.Path) -> None:
    """Write an archive to stdout."""
    with archive.open("rb") as file:
        try:
            shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            terminal.flush()


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

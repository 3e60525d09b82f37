"""An order of a build carried out: its files are read, and a runtime builds.

Where an agent runs it reads the files: it is root's, as whoever may order a build.
"""

import asyncio
import base64
import binascii
import pathlib
from collections.abc import Iterator

from agent import errors
from agent.dockerfile import builds, caches, checks, ignore, instructions, outputs, parse
from agent.dockerfile import steps as build_steps
from agent.kit import counts
from agent.runtime import api, build_files, build_orders


async def carry_out(order: build_orders.Order, runtime: api.Runtime, report: build_steps.Report) -> build_orders.End:
    """Build what is ordered, keep it under its names, and return what came of it."""
    failed = await asyncio.to_thread(lambda: mistakes(order))
    if failed is not None:
        return failed
    try:
        identity = await _built(order, runtime, report)
        return build_orders.Built(order.references, identity, await asyncio.to_thread(lambda: _notes(order)))
    except builds.BuildFailed as error:
        place = build_orders.Place(*error.position, error.what, error.hint)
        return build_orders.Failed((place,), error.output, error.message, error.hint)
    except errors.TrimtabError as error:
        return build_orders.Failed((), (), error.message, error.hint)
    except (OSError, ValueError) as error:
        return build_orders.Failed((), (), f"the build cannot be done: {error}", "")


def mistakes(order: build_orders.Order) -> build_orders.Failed | None:
    """Return what is wrong with the Dockerfile, all of it; ``None``: nothing is."""
    wrong = checks.refusals(parse.parse(build_orders.encoded(order.source)))
    if not wrong:
        return None
    places = tuple(build_orders.Place(*own.position, own.message, own.hint) for own in wrong)
    return build_orders.Failed(places, (), f"line {places[0].line}: {places[0].message}", places[0].hint)


def _notes(order: build_orders.Order) -> tuple[str, ...]:
    """Return what is likely meant otherwise, though the build went well."""
    parsed = parse.parse(build_orders.encoded(order.source))
    declared = {name for arg in (*parsed.dockerfile.arguments, *_args(parsed.dockerfile)) for name, _ in arg.pairs}
    unused = [name for name, _ in order.build_args if name not in declared.union(checks.PREDEFINED_ARGUMENTS)]
    notes = [f"no ARG has taken these build-args: {', '.join(unused)}"] if unused else []
    findings = checks.check(parsed, checks.choice(parsed.dockerfile.check))
    if findings:
        notes.append(f"{counts.counted(len(findings), 'finding')} of checks: trimtab build --check tells them")
    return tuple(notes)


def _args(dockerfile: instructions.Dockerfile) -> Iterator[instructions.Arg]:
    for stage in dockerfile.stages:
        yield from (own for own in stage.instructions if isinstance(own, instructions.Arg))


async def _built(order: build_orders.Order, runtime: api.Runtime, report: build_steps.Report) -> str:
    build = await asyncio.to_thread(lambda: request(order))
    names = order.references
    identity = await runtime.builds.build(build, names[0] if names else "", (), report)
    for name in names[1:]:
        await runtime.images.tag(names[0], name)
    return identity


def request(order: build_orders.Order) -> builds.Request:
    """Read what a build without mistakes is made of. It blocks.

    Raises ``errors.InvalidArgument`` and ``errors.NotFound``.
    """
    text = build_orders.encoded(order.source)
    return builds.Request(
        dockerfile=parse.parse(text).dockerfile,
        source=text,
        context=_context(order),
        file=pathlib.Path(order.dockerfile) if order.dockerfile else None,
        target=order.target,
        platform=order.platform,
        build_args=order.build_args,
        labels=order.labels,
        contexts={name: _named(name, text) for name, text in order.contexts},
        secrets={name: _value(name, text) for name, text in order.secrets},
        ssh={name: pathlib.Path(path) for name, path in order.ssh},
        uses_cache=order.uses_cache,
        pulls=order.pulls,
        cache_from=tuple(map(caches.source, order.cache_from)),
        cache_to=tuple(map(caches.target, order.cache_to)),
        output=outputs.Output(outputs.OutputType(order.output), order.output_path) if order.output else None,
        network=order.network,
        epoch=order.epoch,
    )


def _context(order: build_orders.Order) -> builds.Context | None:
    if not order.context:
        return None
    where = build_files.Location(pathlib.Path(order.dockerfile or order.context), pathlib.Path(order.context))
    if not where.context.is_dir():
        raise errors.NotFound(f"the context {where.context} is no directory", hint="name a directory that is there")
    try:
        ignored = where.ignored() if order.dockerfile else build_files.ignored_in(where.context)
    except ignore.BadPattern as error:
        raise errors.InvalidArgument(f"{where.ignore_file}:{error.line}: {error.message}") from error
    return builds.Context(where.context, ignored)


def _value(name: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise errors.InvalidArgument(f"the secret {name} is no base64") from error


def _named(name: str, text: str) -> builds.Context | str:
    """Return a named context. Raises ``errors.InvalidArgument``."""
    if text.startswith(build_orders.IMAGE):
        return text.removeprefix(build_orders.IMAGE)
    path = pathlib.Path(text)
    if not path.is_dir():
        raise errors.InvalidArgument(
            f"the context {name} is no directory: {text}", hint=f"give a directory, or {build_orders.IMAGE}REFERENCE"
        )
    return builds.Context(path, build_files.ignored_in(path))

"""``image``: images by hand. They have no owner: no manifest declares or prunes them."""

import asyncio
import contextlib
import dataclasses
import pathlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import IO, Annotated

import click

from agent import errors, settings
from agent.cli import exclusive, options, peers, terminal, typed
from agent.model import key
from agent.oci import archives, reference
from agent.runtime import api

_SHORT_ID = 12
NameArgument = Annotated[str, typed.Argument(metavar="REFERENCE", help="An image that is there, as ls prints it.")]
PathArgument = Annotated[pathlib.Path, typed.Argument(metavar="FILE", help="A file of this host.")]


def group() -> click.Group:
    """Return the command group."""
    return peers.group("image", "List, push, tag, save, load, import and remove images by hand.", _COMMANDS)


@options.with_settings()
def ls(chosen: settings.Settings, output: options.OutputOption = options.Output.TEXT) -> None:
    """List images, with the object that declares each; works beside a running agent."""

    async def listed() -> list[dict[str, object]]:
        async with _open_shared(chosen) as runtime:
            return [
                {"reference": image.reference, "id": image.id, "size": image.size, "object": _object(image.labels)}
                for image in await runtime.images.list()
            ]

    images = asyncio.run(listed())
    if output is not options.Output.TEXT:
        terminal.result_document(images, output)
        return
    rows = [
        (
            str(image["reference"]),
            str(image["id"]).rpartition(":")[2][:_SHORT_ID],
            f"{int(str(image['size'])) / 2**20:.1f} MiB",
            str(image["object"] or "-"),
        )
        for image in images
    ]
    terminal.table(("REFERENCE", "ID", "SIZE", "OBJECT"), rows)


@options.with_settings()
def push(
    chosen: settings.Settings,
    name: NameArgument,
    target: Annotated[
        str, typed.Argument(metavar="[TARGET]", help="Where it goes: REGISTRY/REPOSITORY:TAG; left out: its own name.")
    ] = "",
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Push an image to a registry and print what it is there; works beside a running agent."""
    from agent import app
    from agent.cli import transfer

    source = _reference(chosen, name)
    destination = _reference(chosen, target or name)

    async def pushed() -> str:
        async with _open_shared(chosen) as runtime:
            runtime.images.use(app.declared_logins(chosen))
            return await runtime.images.push(source, destination, progress)

    with transfer.TransferProgress() as progress:
        digest = asyncio.run(pushed())
    pinned = str(dataclasses.replace(reference.parse(destination), tag=None, digest=digest)) if digest else destination
    if output is not options.Output.TEXT:
        terminal.result_document({"reference": source, "target": destination, "digest": digest or None}, output)
    else:
        terminal.result(pinned)


@options.with_settings()
def tag(
    chosen: settings.Settings,
    name: NameArgument,
    new: Annotated[str, typed.Argument(metavar="NEW", help="One more reference for it.")],
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Add another name to an image."""
    source, other = _reference(chosen, name), _reference(chosen, new)

    async def tagged() -> None:
        async with exclusive.opened(chosen) as runtime:
            await runtime.images.tag(source, other)

    asyncio.run(tagged())
    _print_references([other], output)


@options.with_settings()
def save(
    chosen: settings.Settings,
    names: Annotated[list[str], typed.Argument(metavar="REFERENCE...", help="Images that go into one archive.")],
    to: Annotated[
        pathlib.Path | None, typed.Option("--to", metavar="FILE", help="Where it is written; left out: to stdout.")
    ] = None,
    form: Annotated[
        archives.ArchiveFormat,
        typed.Option("--format", help="oci: layers stay compressed. docker: what docker save has always written."),
    ] = archives.ArchiveFormat.OCI,
) -> None:
    """Write images to an archive that skopeo, Docker, Podman and load read; works beside a running agent."""
    from agent.cli import transfer

    sources = tuple(_reference(chosen, name) for name in names)

    async def saved(out: IO[bytes]) -> None:
        async with _open_shared(chosen) as runtime:
            await runtime.images.save(sources, form, out, progress)

    with transfer.TransferProgress() as progress, _archive_output(to) as out:
        asyncio.run(saved(out))


@options.with_settings()
def load(
    chosen: settings.Settings,
    path: PathArgument,
    name: Annotated[
        str, typed.Option("--as", metavar="REFERENCE", help="The name of the archive's only image; none: as it says.")
    ] = "",
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Load all images of an archive (OCI layout or archive, docker-archive) and print their names."""
    from agent.cli import transfer

    target = _reference(chosen, name) if name else ""

    async def loaded() -> tuple[str, ...]:
        async with exclusive.opened(chosen) as runtime:
            return await runtime.images.load(str(path.absolute()), target, progress)

    with transfer.TransferProgress() as progress:
        names = asyncio.run(loaded())
    _print_references(names, output)


@options.with_settings()
def import_root(
    chosen: settings.Settings,
    path: PathArgument,
    name: Annotated[str, typed.Argument(metavar="REFERENCE", help="What the image is called.")],
    change: Annotated[
        list[str] | None,
        typed.Option(
            "--change",
            "-c",
            metavar="INSTRUCTION",
            help="As in a Dockerfile: CMD, ENTRYPOINT, ENV, LABEL, USER or WORKDIR; repeatable.",
        ),
    ] = None,
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Make an image of a root file system's tar, plain or compressed by gzip, zstd, xz or bzip2."""
    from agent.cli import changes, transfer

    target, root = _reference(chosen, name), changes.root_image(change or [])

    async def imported() -> None:
        async with exclusive.opened(chosen) as runtime:
            await runtime.images.import_root(str(path.absolute()), target, root, progress)

    with transfer.TransferProgress() as progress:
        asyncio.run(imported())
    _print_references([target], output)


@options.with_settings()
def remove(
    chosen: settings.Settings,
    names: Annotated[list[str], typed.Argument(metavar="REFERENCE...", help="Names that go; unused content goes too.")],
    output: options.OutputOption = options.Output.TEXT,
) -> None:
    """Remove names of images, and the content that nothing else needs."""
    references = [_reference(chosen, name) for name in names]

    async def removed() -> None:
        async with exclusive.opened(chosen) as runtime:
            for name in references:
                await runtime.images.remove(name)

    asyncio.run(removed())
    _print_references(references, output)


def _print_references(names: tuple[str, ...] | list[str], output: options.Output) -> None:
    if output is not options.Output.TEXT:
        terminal.result_document([{"reference": name} for name in names], output)
    else:
        for name in names:
            terminal.result(name)


def _open_shared(chosen: settings.Settings) -> contextlib.AbstractAsyncContextManager[api.Runtime]:
    from agent import app

    return app.open_runtime(chosen, exclusive=False)


@contextlib.contextmanager
def _archive_output(to: pathlib.Path | None) -> Iterator[IO[bytes]]:
    """Yield the output for an archive: a file is replaced as a whole, or left as it was before."""
    if to is None:
        if sys.stdout.isatty():
            raise errors.TrimtabError("an archive is nothing for a terminal", hint="--to FILE, or send it on: | gzip")
        yield sys.stdout.buffer
        return
    try:
        with tempfile.NamedTemporaryFile(dir=to.absolute().parent, prefix=f".{to.name}.", delete=False) as file:
            try:
                yield file
                file.flush()
                pathlib.Path(file.name).replace(to)
            except BaseException:
                pathlib.Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise errors.TrimtabError(f"{to} cannot be written: {(error.strerror or str(error)).lower()}") from error


def _reference(chosen: settings.Settings, text: str) -> str:
    """Return the full form of a reference. Raises ``click.BadParameter``."""
    try:
        return str(reference.parse(text, chosen.registries.default))
    except reference.InvalidReference as error:
        raise click.BadParameter(str(error)) from error


def _object(labels: key.Pairs) -> str | None:
    ownership = key.ownership_of(labels)
    return str(ownership.key) if ownership else None


_COMMANDS: tuple[tuple[str, Callable[..., None], str], ...] = (
    ("ls", ls, "List images, and what declares each"),
    ("push", push, "Push an image to a registry"),
    ("tag", tag, "Add another name to an image"),
    ("save", save, "Write images to an archive"),
    ("load", load, "Load all images of an archive"),
    ("import", import_root, "Make an image of a root file system's tar"),
    ("rm", remove, "Remove names of images"),
)

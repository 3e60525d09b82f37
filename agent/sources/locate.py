"""From a SOURCE argument to the source that it names."""

import dataclasses
import pathlib

from agent.kit import frozen
from agent.sources import api, directory, git, git_location
from agent.sources import limits as source_limits


@frozen.value
class Options:
    """Options for opening a source."""

    intervals: directory.WatchIntervals = dataclasses.field(default_factory=directory.WatchIntervals)
    limits: source_limits.Limits = source_limits.DEFAULT
    allow_insecure_transports: bool = False
    """Repositories may be fetched in ways that anybody on the way can change: ``git://`` and ``http://``."""
    prefer_checkout: bool = False
    """As in ``git.GitSource``."""


def locate(text: str, checkouts: pathlib.Path, options: Options) -> api.Source:
    """Return the source that a SOURCE names: a directory, a file, or ``git+URL``.

    ``checkouts`` is where git repositories are kept. A path need not exist yet. Raises ``BadSource`` for text that is
    no SOURCE, and for one that must not be used.
    """
    if text.startswith(git_location.PREFIX):
        location = git_location.parse(text)
        if location.scheme in git_location.INSECURE and not options.allow_insecure_transports:
            raise api.BadSource(
                f"{location}: whoever is on the way to {location.scheme}:// can change what it declares",
                hint="use https:// or ssh://, or set source.allowInsecureTransports: true",
            )
        return git.GitSource(location, checkouts, prefer_checkout=options.prefer_checkout, limits=options.limits)
    if text.startswith("oci+"):
        raise api.BadSource(
            f"{text}: sources in an image registry are not built yet", hint="use a directory or git+URL"
        )
    if not text or "\0" in text:
        raise api.BadSource("SOURCE is empty", hint="give a directory, a file, or git+URL")
    scheme, separator, _ = text.partition("://")
    if separator:
        is_git_protocol = scheme in git_location.PROTOCOLS
        raise api.BadSource(
            f"{text}: a SOURCE is a directory, a file, or git+URL",
            hint=f"for a git repository: git+{text}" if is_git_protocol else "",
        )
    return directory.DirectorySource(text, options.intervals, options.limits)

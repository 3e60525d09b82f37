"""Reading what a build is made of, as far as that tells whether it has changed: names, sizes and times, no content.

What is left out of a context does not count. In the context no link is followed, and nothing is opened but directories
and the file that says what is left out.
"""

import hashlib
import os
import pathlib
import stat
from collections.abc import Iterator

from agent import errors
from agent.dockerfile import ignore
from agent.kit import frozen
from agent.model import external_input
from agent.model.external_input import ExternalInput
from agent.runtime import build_files

MOST_ENTRIES = 500_000
"""Files and directories of a context."""


class TooLarge(Exception):
    """A context has more entries than are looked at."""


@frozen.value
class Observed:
    """What was seen of a build's files."""

    reading: external_input.Reading
    changed_at: float
    """When any of them was last changed, in seconds since the epoch."""


@frozen.value
class Rules:
    """What belongs to a context."""

    context: str
    dockerfile: str
    patterns: ignore.Ignore

    def includes(self, path: str) -> bool:
        """Return whether a path on the host belongs to the build, as far as its name tells."""
        if path in {self.dockerfile, *_ignore_files(self.dockerfile, self.context)}:
            return True
        place = build_files.place_in(path, self.context)
        if not place:
            return False
        return not self.patterns.leaves_out(place) or (self.patterns.may_bring_back and os.path.isdir(path))  # noqa: PTH112


def rules_of(external: ExternalInput) -> Rules:
    """Read what is left out of a context; what cannot be read leaves nothing out. It blocks."""
    location = build_files.Location(pathlib.Path(external.dockerfile), pathlib.Path(external.path))
    try:
        patterns = location.ignored()
    except (errors.InvalidArgument, ignore.BadPattern):  # the build tells of it
        patterns = ignore.Ignore()
    return Rules(external.path, external.dockerfile, patterns)


def observe(external: ExternalInput) -> Observed:
    """Look at a context and its Dockerfile. It blocks. Raises ``OSError``, ``TooLarge``."""
    rules = rules_of(external)
    total = hashlib.sha256()
    size, changed_at = 0, 0
    for count, (name, status, link) in enumerate(_entries(rules)):
        if count >= MOST_ENTRIES:
            raise TooLarge
        fields: tuple[object, ...] = (name, status.st_mode, link)
        if not stat.S_ISDIR(status.st_mode):
            times = (status.st_mtime_ns, status.st_ctime_ns)
            fields += (status.st_size, status.st_ino, *times)
            size += status.st_size
            changed_at = max(changed_at, *times)
        total.update(repr(fields).encode("utf-8", "surrogateescape"))
    return Observed(external_input.Reading(size, changed_at, 0, total.digest()), changed_at / 1e9)


def _entries(rules: Rules) -> Iterator[tuple[str, os.stat_result, str]]:
    """Yield the name, status and target of all that belongs to a build, in an order that depends on nothing else."""
    for path in (rules.dockerfile, *_ignore_files(rules.dockerfile, rules.context)):
        try:
            yield path, os.stat(path), ""  # noqa: PTH116 - strings, as they are declared
        except OSError:
            continue
    for name, entry in build_files.entries(rules.context, rules.patterns):
        try:
            status = entry.stat(follow_symlinks=False)
            link = os.readlink(entry.path) if stat.S_ISLNK(status.st_mode) else ""  # noqa: PTH115
        except FileNotFoundError:  # it has gone since it was listed
            continue
        if not stat.S_ISSOCK(status.st_mode):
            yield name, status, link


def _ignore_files(dockerfile: str, context: str) -> tuple[str, str]:
    return f"{dockerfile}{build_files.IGNORE_NAME}", f"{context}/{build_files.IGNORE_NAME}"

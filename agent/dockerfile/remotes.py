"""Sources that lie elsewhere: URLs and git repositories, as BuildKit tells them from paths."""

import re

_GIT = re.compile(r"(?:git://|ssh://|git@[\w.-]+:).+|https?://[^#?]+\.git(?:[#?].*)?|github\.com/.+")


def is_remote(source: str) -> bool:
    """Return whether a source of ADD, or a context, is no path."""
    return source.startswith(("http://", "https://")) or is_git(source)


def is_git(source: str) -> bool:
    """Return whether a source is a git repository: ``URL.git#REF:FOLDER``."""
    return _GIT.fullmatch(source) is not None

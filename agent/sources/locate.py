"""What people give as SOURCE, and which source that is."""

import pathlib

from agent.sources import api, directory, git, git_location


def locate(
    text: str, checkouts: pathlib.Path, *, rhythm: directory.Rhythm, prefer_checkout: bool = False
) -> api.Source:
    """Give the source that a SOURCE names: a directory, a file, or ``git+URL``.

    ``checkouts`` is where git repositories are kept; ``prefer_checkout`` as in ``git.GitSource``. A path need not exist
    yet. Raises ``BadSource`` for text that is no SOURCE.
    """
    if text.startswith(git_location.PREFIX):
        return git.GitSource(git_location.parse(text), checkouts, prefer_checkout=prefer_checkout)
    if text.startswith("oci+"):
        raise api.BadSource(
            f"{text}: sources in an image registry are not built yet", hint="use a directory or git+URL"
        )
    if not text or "\0" in text:
        raise api.BadSource("SOURCE is empty", hint="give a directory, a file, or git+URL")
    scheme, separator, _ = text.partition("://")
    if separator:
        known = scheme in git_location.PROTOCOLS
        raise api.BadSource(
            f"{text}: a SOURCE is a directory, a file, or git+URL",
            hint=f"for a git repository: git+{text}" if known else "",
        )
    return directory.DirectorySource(text, rhythm)

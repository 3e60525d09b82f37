"""The kernel's limits on watching files: which setting is too low is told once, until there is enough of it."""

import errno
import logging

_SYSCTLS = {errno.EMFILE: "fs.inotify.max_user_instances", errno.ENOSPC: "fs.inotify.max_user_watches"}
"""The setting that is too low, by inotify's error (inotify_init1(2), inotify_add_watch(2))."""


class Report:
    """Logs that something is not watched, and that it is watched again: once each, however often it is tried."""

    def __init__(self, log: logging.Logger) -> None:
        """Begin with nothing to say; ``log`` is that of who watches."""
        self._log = log
        self._unwatched = ""

    def failed(self, subject: str, error: OSError, meanwhile: str) -> None:
        """Take in that a path is not watched, and what that means until it is."""
        if not self._unwatched:
            sysctl = _SYSCTLS.get(error.errno or 0)
            advice = f"; raise {sysctl}" if sysctl else ""
            self._log.warning("%s is not watched (%s): %s until it is%s", subject, error, meanwhile, advice)
        self._unwatched = self._unwatched or subject

    def succeeded(self) -> None:
        """Take in that all is watched that should be."""
        if self._unwatched:
            self._log.info("%s is watched again", self._unwatched)
        self._unwatched = ""

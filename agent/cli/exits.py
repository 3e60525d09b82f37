"""The exit codes, stable for scripts."""

DONE = 0
FAILED = 1
CHANGES_PENDING = 2
USED_WRONGLY = 64
"""EX_USAGE of sysexits.h: kept apart from ``CHANGES_PENDING``, which has the 2 that shells use for it."""
INTERRUPTED = 130
"""128 + SIGINT."""

"""Linux signals as people name them. A table, since what a manifest may say does not depend on who reads it."""

import re

NAMES = frozenset(
    {
        *("HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "IOT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE"),
        *("ALRM", "TERM", "STKFLT", "CHLD", "CLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ"),
        *("VTALRM", "PROF", "WINCH", "IO", "POLL", "PWR", "SYS", "RTMIN", "RTMAX"),
    }
)
"""Without ``SIG``: those of signal(7) that every architecture has."""
_HIGHEST = 64
_THREADS_OWN = (32, 33)
"""What the C library keeps for itself, so that nobody can send it."""
_REAL_TIME = re.compile(r"RT(?:MIN\+|MAX-)([0-9]{1,2})")
_REAL_TIME_DISTANCE = 30
"""From SIGRTMIN (34) to SIGRTMAX."""
_NUMBER = re.compile(r"[1-9][0-9]?")


def exists(text: str) -> bool:
    """Return whether the text names a signal: ``SIGTERM``, ``TERM``, ``15``, or systemd's ``SIGRTMIN+3``."""
    if _NUMBER.fullmatch(text):
        return int(text) <= _HIGHEST and int(text) not in _THREADS_OWN
    name = text.upper().removeprefix("SIG")
    real_time = _REAL_TIME.fullmatch(name)
    return name in NAMES if real_time is None else int(real_time[1]) <= _REAL_TIME_DISTANCE

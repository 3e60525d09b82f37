"""A process that starts a program which starts another one and ends, and takes the other one's exit code for its own.

Only a parent hears how a process has ended. As a subreaper (prctl(2)) this one becomes the parent of whatever its child
leaves behind. It is started by ``kit.processes``, as ``isolation.python("agent.kit.reaper", PID_FILE, PROGRAM, ...)``.
"""

import ctypes
import os
import pathlib
import sys

_PR_SET_CHILD_SUBREAPER = 36
_SIGNALLED = 128


def main() -> None:
    """Run the command; where it succeeds, wait for the process that it has written to ``PID_FILE``."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    pid_file, *command = sys.argv[1:]
    code = _exit_code(os.posix_spawn(command[0], command, os.environ))
    os._exit(code or _exit_code(int(pathlib.Path(pid_file).read_text())))


def _exit_code(pid: int) -> int:
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code if code >= 0 else _SIGNALLED - code

"""What the engine lets pass that is none of ``errors``' kinds, in their terms: failures of the host and of programs."""

import contextlib
import errno
from collections.abc import Iterator

import agent
from agent import errors
from agent.kit import canonical
from agent.reasons import Reason


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Let only the kinds of ``errors`` pass; what nobody foresaw counts as ``Unavailable``: worth a retry."""
    try:
        yield
    except canonical.Unknown as error:
        raise errors.Unavailable(
            f"the records are of a newer trimtab, this is trimtab {agent.__version__}: {error}",
            hint="upgrade trimtab, or give another --root; containers keep running meanwhile",
            reason=Reason.NEWER_STATE,
        ) from error
    except errors.ProgramError as error:
        raise errors.Unavailable(error.message, hint=error.hint, reason=Reason.PROGRAM_FAILED) from error
    except OSError as error:
        reason = Reason.DISK_FULL if error.errno in {errno.ENOSPC, errno.EDQUOT} else Reason.HOST_FAILURE
        raise errors.Unavailable(f"the host refused: {error}", reason=reason) from error

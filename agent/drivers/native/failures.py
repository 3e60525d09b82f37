"""The engine's errors in the runtime's vocabulary, at the one border between them."""

import contextlib
import errno
from collections.abc import Iterator

from agent.engine import errors as engine_errors
from agent.kit import processes
from agent.runtime import errors

_KINDS: tuple[tuple[type[engine_errors.EngineError], type[errors.RuntimeFailure]], ...] = (
    (engine_errors.NotFound, errors.NotFound),
    (engine_errors.AlreadyExists, errors.AlreadyExists),
    (engine_errors.Conflict, errors.Conflict),
    (engine_errors.InUse, errors.InUse),
    (engine_errors.Unavailable, errors.Unavailable),
    (engine_errors.Refused, errors.InvalidArgument),
)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Let only the runtime's kinds of error pass; what nobody foresaw counts as ``Unavailable``: worth a retry."""
    try:
        yield
    except engine_errors.EngineError as error:
        kind = next((to for of, to in _KINDS if isinstance(error, of)), errors.RuntimeFailure)
        raise kind(error.message, hint=error.hint, reason=error.reason) from error
    except (processes.ProcessFailed, processes.ProcessTimeout) as error:
        raise errors.Unavailable(error.message, hint=error.hint, reason="ProgramFailed") from error
    except OSError as error:
        reason = "DiskFull" if error.errno in {errno.ENOSPC, errno.EDQUOT} else "HostFailure"
        raise errors.Unavailable(f"the host refused: {error}", reason=reason) from error

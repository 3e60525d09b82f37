"""How the engine fails, by meaning. ``reason`` is a CamelCase word from a bounded set, for conditions and metrics."""

from agent import errors


class EngineError(errors.TrimtabError):
    """Any expected failure of the engine."""

    reason = "EngineFailure"

    def __init__(self, message: str, *, hint: str = "", reason: str = "") -> None:
        """Narrow the class's reason where more is known (``PortInUse``, ``ImagePullFailed``)."""
        super().__init__(message, hint=hint)
        if reason:
            self.reason = reason


class NotFound(EngineError):
    """What the call names is not there."""

    reason = "NotFound"


class AlreadyExists(EngineError):
    """The name is taken."""

    reason = "AlreadyExists"


class Conflict(EngineError):
    """The call contradicts the present state of the object or of the host."""

    reason = "Conflict"


class InUse(EngineError):
    """Something else still uses it."""

    reason = "InUse"


class Unavailable(EngineError):
    """It may work later: the network, a full disk, a program that did not answer."""

    reason = "Unavailable"


class Refused(EngineError):
    """It can never work as asked, or must not: hostile content, a missing program, a wrong digest."""

    reason = "Refused"

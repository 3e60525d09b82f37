"""Errors that people read, and how an operation fails, by meaning (after containerd's errdefs).

Floor 0: no noun of the house in here. Drivers, engine and registry client raise the same kinds, so nothing is
translated between them; nobody matches on an error's text. What follows from each kind (retry, wait or stall) is
decided in ``converge/dispose`` and nowhere else.
"""

from agent.reasons import Reason


class TrimtabError(Exception):
    """An expected failure, told so that the reader can act.

    ``message`` says what is wrong and where; ``hint`` says the way out (empty where there is none to offer).
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        """Keep both halves; ``str()`` gives them as one line."""
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Return the message, and the hint behind it."""
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ProgramError(TrimtabError):
    """A program that was started has failed, or has not ended in time."""


class Failure(TrimtabError):
    """Any failure of an operation. ``reason`` is a condition's reason: CamelCase, from a bounded set."""

    reason: Reason = Reason.FAILURE

    def __init__(self, message: str, *, hint: str = "", reason: Reason | None = None) -> None:
        """Narrow the class's reason where more is known (``PortInUse``, ``ImagePullFailed``)."""
        super().__init__(message, hint=hint)
        if reason is not None:
            self.reason = reason


class NotFound(Failure):
    """The object that the call names is not there."""

    reason: Reason = Reason.NOT_FOUND


class AlreadyExists(Failure):
    """An object of that name is there already."""

    reason: Reason = Reason.ALREADY_EXISTS


class Conflict(Failure):
    """The call contradicts the state of the object or of the host: a port in use, an address taken."""

    reason: Reason = Reason.CONFLICT


class InUse(Failure):
    """The object cannot be removed while others use it."""

    reason: Reason = Reason.IN_USE


class Unavailable(Failure):
    """It did not work now and may work later: a registry that does not answer, a full disk, a missing bind source."""

    reason: Reason = Reason.UNAVAILABLE


class InvalidArgument(Failure):
    """It can never work as asked, or must not: hostile content, a refused signature, no such program in the image."""

    reason: Reason = Reason.INVALID_ARGUMENT

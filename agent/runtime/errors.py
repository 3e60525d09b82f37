"""How a runtime fails, by meaning (after containerd's errdefs). Drivers translate into these with ``raise ... from``.

What follows from each kind (retry, wait or stall) is decided in ``converge/dispose`` and nowhere else.
"""

from agent import errors


class RuntimeFailure(errors.TrimtabError):
    """Any failure of a runtime. ``reason`` is a condition's reason: CamelCase, from a bounded set."""

    reason = "RuntimeFailure"

    def __init__(self, message: str, *, hint: str = "", reason: str = "") -> None:
        """Narrow the class's reason where the driver knows better (``PortInUse``, ``ImagePullFailed``)."""
        super().__init__(message, hint=hint)
        if reason:
            self.reason = reason


class NotFound(RuntimeFailure):
    """The object that the call names is not there."""

    reason = "NotFound"


class AlreadyExists(RuntimeFailure):
    """An object of that name is there already."""

    reason = "AlreadyExists"


class Conflict(RuntimeFailure):
    """The call contradicts the state of the object or of the host: a port in use, an address taken."""

    reason = "Conflict"


class InUse(RuntimeFailure):
    """The object cannot be removed while others use it."""

    reason = "InUse"


class Unavailable(RuntimeFailure):
    """It did not work now and may work later: a registry that does not answer, a full disk, a missing bind source."""

    reason = "Unavailable"


class InvalidArgument(RuntimeFailure):
    """It can never work as asked: no such program in the image, a refused signature."""

    reason = "InvalidArgument"

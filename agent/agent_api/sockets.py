"""The socket in the run directory, reached by a descriptor of the directory.

The directory's path may be longer than the 108 bytes that the kernel takes of a socket's.
"""

import contextlib
import grp
import os
import pathlib
import socket
from collections.abc import Iterator

NAME = "trimtab.sock"
GROUP = "trimtab"
"""The group whose members may ask the agent; where it does not exist, only root may."""
_MODE = 0o660
_SEARCHABLE = 0o710
"""Mode of the run directory: the group reaches the socket and cannot list other files."""


@contextlib.contextmanager
def _address(directory: pathlib.Path, name: str) -> Iterator[str]:
    """Yield a short address for the socket, however long the directory's path is. Raises ``OSError``."""
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)


def listen(directory: pathlib.Path) -> socket.socket:
    """Return a listening socket in a run directory, in the place of one that an earlier agent left. Raises ``OSError``.

    It is bound under another name first: nobody ever finds it with other permissions than its own.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = f".{NAME}.{os.getpid()}"
    (directory / temporary).unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _address(directory, temporary) as address:
            listening.bind(address)
        _permit(directory, temporary)
        listening.listen(128)
        (directory / temporary).rename(directory / NAME)
    except BaseException:
        listening.close()
        (directory / temporary).unlink(missing_ok=True)
        raise
    listening.settimeout(0.0)
    return listening


def connect(directory: pathlib.Path, timeout: float) -> socket.socket:
    """Return a connection to the agent of a run directory.

    Raises ``FileNotFoundError`` or ``ConnectionRefusedError`` where no agent listens, ``TimeoutError`` where one does
    not take the connection, and other kinds of ``OSError``.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        with _address(directory, NAME) as address:
            connection.connect(address)
    except BlockingIOError as error:  # its queue of connections is full: it takes none any more
        connection.close()
        raise TimeoutError("the agent takes no connections") from error
    except BaseException:
        connection.close()
        raise
    return connection


def remove(directory: pathlib.Path) -> None:
    """Remove the socket of an agent that ends."""
    with contextlib.suppress(OSError):
        (directory / NAME).unlink()


def _permit(directory: pathlib.Path, name: str) -> None:
    """Let root and the group's members connect."""
    (directory / name).chmod(_MODE)
    with contextlib.suppress(KeyError, PermissionError):  # no such group, or we are not root
        group = grp.getgrnam(GROUP).gr_gid
        os.chown(directory / name, -1, group)
        os.chown(directory, -1, group)
        directory.chmod(_SEARCHABLE)

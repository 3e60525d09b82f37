"""systemd's readiness and watchdog protocol, sd_notify(3): a datagram to the socket that it names."""

import os
import socket


def notify(state: str) -> bool:
    """Report a state to systemd (``READY=1``, ``WATCHDOG=1``, ``STATUS=…``); False where nobody listens."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return False
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        try:
            out.sendto(state.encode(), address)
        except OSError:
            return False
    return True


def watchdog_interval() -> float | None:
    """Return how often systemd wants to hear from us, in seconds: half of its patience; ``None`` where it does not."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 2e6 if microseconds.isdecimal() and int(microseconds) else None

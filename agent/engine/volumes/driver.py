"""Where the data of volumes of one kind is, behind one Protocol.

Calls of a driver may be repeated after a crash. A driver that has to mount something does so in ``create`` and in
``recover``, and takes it away in ``remove``.
``tests/conformance/test_volume_drivers.py`` says what every driver has to do.
"""

import pathlib
from typing import Protocol


class VolumeDriver(Protocol):
    """Volumes of one kind, by their names."""

    def create(self, name: str) -> None:
        """Make an empty volume; data that is there stays.

        Raises ``errors.Unavailable`` for what a later attempt may not meet.
        """

    def recover(self, name: str) -> None:
        """Finish what a crash or a reboot has cut short; data that has disappeared is not made anew.

        Called before any work begins, for each volume that was created.
        """

    def path(self, name: str) -> pathlib.Path:
        """Return the directory of a volume's data on the host, made or not.

        The directory above it is the volume's own and on the same file system: the engine puts what it copies there.
        """

    def remove(self, name: str) -> None:
        """Remove a volume with its data; where nothing is left of it, that is no failure."""

"""The ``local`` driver: a directory each under the instance's root."""

import pathlib

from agent.engine.volumes import seed
from agent.kit import trees

NAME = "local"


class LocalDriver:
    """``driver.VolumeDriver`` by directories."""

    def __init__(self, root: pathlib.Path) -> None:
        """Take the directory above all of them."""
        self._root = root

    def create(self, name: str) -> None:
        """Make a directory."""
        data = self.path(name)
        if not data.exists():
            data.mkdir(parents=True)
            data.chmod(0o755)  # despite the umask: any user may have files in it

    def recover(self, name: str) -> None:
        """Finish the copy of an image's files into a volume."""
        seed.recover(self.path(name))

    def path(self, name: str) -> pathlib.Path:
        """Return a volume's directory."""
        return self._root / name / "_data"

    def remove(self, name: str) -> None:
        """Remove a volume's directory, and what is beside it."""
        trees.remove(self._root / name)

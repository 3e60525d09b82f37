"""A kernel that writes down what it is asked: for tests of the asking."""

import dataclasses


@dataclasses.dataclass(slots=True)
class RecordingKernel:
    """``kernel.api.Kernel`` that does nothing but remember."""

    calls: list[tuple[object, ...]] = dataclasses.field(default_factory=list)
    mounted: list[str] = dataclasses.field(default_factory=list)

    def mount(self, source: str, target: str, kind: str, flags: int, data: str) -> None:
        """Remember a mount."""
        self.calls.append(("mount", source, target, kind, flags, data))
        self.mounted.append(target)

    def umount(self, target: str, flags: int) -> None:
        """Forget a mount. Raises ``OSError`` where it is none."""
        self.calls.append(("umount", target, flags))
        if target not in self.mounted:
            raise OSError(22, "Invalid argument", target)
        self.mounted.remove(target)

    def open_in_root(self, root: int, path: str, flags: int) -> int:
        """Remember the wish; there is nothing to open."""
        self.calls.append(("open_in_root", root, path, flags))
        raise FileNotFoundError(2, "No such file or directory", path)

    def unshare(self, flags: int) -> None:
        """Remember the wish."""
        self.calls.append(("unshare", flags))

    def enter(self, namespace: int, kind: int) -> None:
        """Remember the wish."""
        self.calls.append(("enter", namespace, kind))

    def sync(self, path: str) -> None:
        """Remember the wish."""
        self.calls.append(("sync", path))

    def spread(self, path: str) -> None:
        """Record."""
        self.calls.append(("spread", path))

    def mounts(self) -> tuple[str, ...]:
        """Give what is mounted by the calls so far."""
        return tuple(self.mounted)

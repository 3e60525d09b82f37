"""A kernel that records its calls, for tests."""

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

    def mount_from(self, folder: str, kind: str, target: str, flags: int, data: str) -> None:
        """Remember a mount."""
        self.calls.append(("mount_from", folder, kind, target, flags, data))
        self.mounted.append(target)

    def umount(self, target: str, flags: int) -> None:
        """Forget a mount. Raises ``OSError`` where it is none."""
        self.calls.append(("umount", target, flags))
        if target not in self.mounted:
            raise OSError(22, "Invalid argument", target)
        self.mounted.remove(target)

    def open_in_root(self, root: int, path: str, flags: int, *, same_mount: bool = False) -> int:
        """Record the call; there is nothing to open."""
        self.calls.append(("open_in_root", root, path, flags, same_mount))
        raise FileNotFoundError(2, "No such file or directory", path)

    def unshare(self, flags: int) -> None:
        """Record the call."""
        self.calls.append(("unshare", flags))

    def enter(self, namespace: int, kind: int) -> None:
        """Record the call."""
        self.calls.append(("enter", namespace, kind))

    def sync(self, path: str) -> None:
        """Record the call."""
        self.calls.append(("sync", path))

    def spread(self, path: str) -> None:
        """Record."""
        self.calls.append(("spread", path))

    def mounts(self) -> tuple[str, ...]:
        """Return what is mounted by the calls so far."""
        return tuple(self.mounted)

"""Where everything of one engine instance lies. Nothing is ever written outside of these two trees.

``root`` survives a reboot, ``run`` does not have to. Names that are the kernel's and not files (bridges, firewall
tables, cgroups) carry ``instance``, so that instances on one host do not see each other.
"""

import pathlib

from agent.kit import frozen, instance

OF_BUILDS = "build-"
"""What the names of bundles in which steps of builds run begin with."""


def of(root: pathlib.Path, run: pathlib.Path) -> "Layout":
    """Return the layout of two paths as people write them."""
    return Layout(root.absolute(), run.absolute())


@frozen.value
class Layout:
    """The two trees of an instance, as absolute paths."""

    root: pathlib.Path
    run: pathlib.Path

    @property
    def instance(self) -> str:
        """The five hexadecimal digits that tell this root from every other one of the host."""
        return instance.of(self.root)

    @property
    def lock(self) -> pathlib.Path:
        """The file that the one process that may change things has locked."""
        return self.root / "lock"

    @property
    def records(self) -> pathlib.Path:
        """The engine's SQLite database."""
        return self.root / "engine.sqlite"

    @property
    def second_log(self) -> pathlib.Path:
        """The records' redo log once more, away from the root: as long as anything runs, something knows of it."""
        return self.run / "engine.redo"

    @property
    def reserve(self) -> pathlib.Path:
        """Room that is given up where the disk is full, so that removing always works."""
        return self.root / "reserve"

    @property
    def content(self) -> pathlib.Path:
        """The content store, an OCI image-layout."""
        return self.root / "content"

    @property
    def leases(self) -> pathlib.Path:
        """What may not be collected though no image leads to it, a file a lease."""
        return self.content / "leases"

    @property
    def snapshots(self) -> pathlib.Path:
        """Unpacked layers."""
        return self.root / "snapshots"

    @property
    def build_caches(self) -> pathlib.Path:
        """What steps of builds keep from one run to the next (``RUN --mount=type=cache``)."""
        return self.root / "build-caches"

    @property
    def volumes(self) -> pathlib.Path:
        """Data of named volumes."""
        return self.root / "volumes"

    @property
    def containers(self) -> pathlib.Path:
        """Writable layers and logs, a directory a container."""
        return self.root / "containers"

    def log(self, container_id: str) -> pathlib.Path:
        """Return a container's log file; rotated ones lie beside it."""
        return pathlib.Path(
            f"{self.root}/containers/{container_id}/log/container.log"
        )  # asked for often: joining is slow

    def identity(self, container_id: str) -> pathlib.Path:
        """Return the folder of a container's /etc/hosts, /etc/hostname and /etc/resolv.conf."""
        return self.containers / container_id / "etc"

    @property
    def bundles(self) -> pathlib.Path:
        """OCI bundles of containers that run or have run since boot."""
        return self.run / "bundles"

    @property
    def oci_runtime(self) -> pathlib.Path:
        """The OCI runtime's own state (its ``--root``)."""
        return self.run / "runtime"

    @property
    def namespaces(self) -> pathlib.Path:
        """Network namespaces, bind-mounted on a file a container."""
        return self.run / "netns"

    @property
    def dns(self) -> pathlib.Path:
        """The DNS server's configuration."""
        return self.run / "dns"

    @property
    def internal_dns(self) -> pathlib.Path:
        """The same of the DNS server that forwards nothing, for internal networks."""
        return self.run / "dns-internal"

    @property
    def forwarding(self) -> pathlib.Path:
        """The links that were there when this instance turned on forwarding: a reboot turns it off."""
        return self.run / "forwarding"

    @property
    def cgroup(self) -> str:
        """The cgroup under which all containers are, relative to each hierarchy."""
        return f"trimtab-{self.instance}"

    def prepare(self) -> None:
        """Make the directories, closed to everybody else: layers and volumes hold set-uid files and secrets."""
        for path in (self.root, self.run):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)
        for path in (
            *(self.content, self.leases, self.snapshots, self.volumes, self.containers, self.build_caches),
            *(self.bundles, self.oci_runtime, self.namespaces, self.dns, self.internal_dns),
        ):
            path.mkdir(mode=0o700, exist_ok=True)

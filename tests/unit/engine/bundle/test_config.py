"""``config.json``: whole documents for small specs, and each rule by which one differs from them."""

import dataclasses
from typing import Any

import pytest

from agent.engine import errors
from agent.engine.bundle import config, users
from agent.engine.containers import spec
from agent.oci import image_config, platform

ROOT = users.User(0, 0, (), "/root")
DEFAULT_CAPABILITIES = [
    *("CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD"),
    *("CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID"),
    "CAP_SYS_CHROOT",
]
UNCONFINED = spec.Confinement(seccomp=False)


def image(**fields: Any) -> image_config.ImageConfig:
    """Give an image that says nothing but what is said here."""
    empty = dict.fromkeys(("entrypoint", "cmd", "env", "labels", "volumes", "diff_ids"), ())
    texts = {"working_dir": "", "user": "", "stop_signal": ""}
    return image_config.ImageConfig(platform=platform.Platform("linux", "amd64", ""), **{**empty, **texts, **fields})


def asked(**fields: Any) -> spec.ContainerSpec:
    """Give a spec that asks for nothing but a program."""
    base = spec.ContainerSpec(
        image="app",
        process=spec.Process(command=("/app",)),
        hostname="web",
        network_mode=spec.NetworkMode.ATTACHED,
        attachments=(),
        ports=(),
        mounts=(),
        limits=spec.Limits(),
        confinement=UNCONFINED,
    )
    return dataclasses.replace(base, **fields)


def bundle(**fields: Any) -> config.Bundle:
    """Give a bundle of such a spec."""
    base = config.Bundle(
        spec=asked(),
        image=image(),
        rootfs="/run/b/rootfs",
        namespace="/run/netns/1",
        user=ROOT,
        mounts=(),
        cgroup="/trimtab-0/1",
        filter_ahead=False,
    )
    return dataclasses.replace(base, **fields)


def mounts_of(built: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Give mounts by where they are."""
    return {mount["destination"]: mount for mount in built["mounts"]}


def test_least_spec__gives_dockers_defaults() -> None:
    assert config.build(bundle()) == {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0, "additionalGids": []},
            "args": ["/app"],
            "env": [
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOSTNAME=web",
                "HOME=/root",
            ],
            "cwd": "/",
            "capabilities": {
                "bounding": DEFAULT_CAPABILITIES,
                "effective": DEFAULT_CAPABILITIES,
                "permitted": DEFAULT_CAPABILITIES,
            },
            "noNewPrivileges": True,
            "oomScoreAdj": 0,
        },
        "root": {"path": "/run/b/rootfs", "readonly": False},
        "hostname": "web",
        "mounts": [
            _system("proc", "proc", "/proc", "nosuid", "noexec", "nodev"),
            _system("tmpfs", "tmpfs", "/dev", "nosuid", "strictatime", "mode=755", "size=65536k"),
            _system(
                *("devpts", "devpts", "/dev/pts", "nosuid", "noexec"),
                *("newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
            ),
            _system("tmpfs", "shm", "/dev/shm", "nosuid", "noexec", "nodev", "mode=1777", "size=67108864"),
            _system("mqueue", "mqueue", "/dev/mqueue", "nosuid", "noexec", "nodev"),
            _system("sysfs", "sysfs", "/sys", "nosuid", "noexec", "nodev", "ro"),
            _system("cgroup", "cgroup", "/sys/fs/cgroup", "nosuid", "noexec", "nodev", "relatime", "ro"),
        ],
        "linux": {
            "cgroupsPath": "/trimtab-0/1",
            "namespaces": [
                {"type": "pid"},
                {"type": "ipc"},
                {"type": "uts"},
                {"type": "mount"},
                {"type": "network", "path": "/run/netns/1"},
            ],
            "resources": {
                "devices": [
                    {"allow": False, "access": "rwm"},
                    {"allow": True, "type": "c", "access": "m"},
                    {"allow": True, "type": "b", "access": "m"},
                    *(_device(1, minor) for minor in (3, 5, 7)),
                    _device(5, 0),
                    *(_device(1, minor) for minor in (9, 8)),
                    {"allow": True, "type": "c", "major": 136, "access": "rwm"},
                    _device(5, 2),
                ]
            },
            "maskedPaths": [
                *("/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats"),
                *("/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"),
                "/sys/devices/virtual/powercap",
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
        "annotations": {},
    }


def _system(kind: str, source: str, path: str, *options: str) -> dict[str, Any]:
    return {"type": kind, "source": source, "destination": path, "options": list(options)}


def _device(major: int, minor: int) -> dict[str, Any]:
    return {"allow": True, "type": "c", "major": major, "minor": minor, "access": "rwm"}


def test_full_spec__everything_asked_for_is_said() -> None:
    wanted = asked(
        process=spec.Process(("/app",), ("-v",), (("A", "1"),), "/srv", "ignored: resolved already"),
        hostname="other",
        limits=spec.Limits(250, 1 << 20, 1 << 19, 7),
        confinement=spec.Confinement(("NET_ADMIN",), ("ALL",), True, False, seccomp=False),
    )
    built = config.build(bundle(spec=wanted, user=users.User(7, 8, (9, 10), "/srv")))
    assert built["process"] == {
        "terminal": False,
        "user": {"uid": 7, "gid": 8, "additionalGids": [9, 10]},
        "args": ["/app", "-v"],
        "env": [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOSTNAME=other",
            "HOME=/srv",
            "A=1",
        ],
        "cwd": "/srv",
        "capabilities": {"bounding": ["CAP_NET_ADMIN"]},
        "noNewPrivileges": False,
        "oomScoreAdj": 0,
    }
    assert (built["hostname"], built["root"]["readonly"]) == ("other", True)
    resources = {name: value for name, value in built["linux"]["resources"].items() if name != "devices"}
    assert resources == {
        "cpu": {"quota": 25000, "period": 100000},
        "memory": {"limit": 1 << 20, "swap": 1 << 20, "reservation": 1 << 19},
        "pids": {"limit": 7},
    }


def test_mounts__in_any_order__are_made_from_the_top_down_after_the_systems_own() -> None:
    asked_for = tuple(config.BundleMount("/h", path) for path in ("/a/b/c", "/z", "/a/b/", "/a", "/dev/shm/x"))
    built = config.build(bundle(mounts=asked_for))
    own = [mount["destination"] for mount in built["mounts"]][7:]
    assert own == ["/a", "/z", "/a/b/", "/a/b/c", "/dev/shm/x"]


@pytest.mark.parametrize(("read_only", "mode"), [(True, "ro"), (False, "rw")])
def test_mount__of_the_host__is_bound_with_what_is_below(read_only: bool, mode: str) -> None:
    built = config.build(bundle(mounts=(config.BundleMount("/srv/data", "/data", read_only),)))
    assert mounts_of(built)["/data"] == {
        "type": "bind",
        "source": "/srv/data",
        "destination": "/data",
        "options": ["rbind", "rprivate", mode],
    }


@pytest.mark.parametrize(
    ("mount", "options"),
    [
        (config.BundleMount("", "/tmp"), ["nosuid", "nodev", "mode=1777", "rw"]),
        (config.BundleMount("", "/tmp", True, 4096), ["nosuid", "nodev", "mode=1777", "ro", "size=4096"]),
        (config.BundleMount("", "/tmp", size=0), ["nosuid", "nodev", "mode=1777", "rw", "size=0"]),
    ],
)
def test_mount__of_memory__has_its_size(mount: config.BundleMount, options: list[str]) -> None:
    assert mounts_of(config.build(bundle(mounts=(mount,))))["/tmp"] == {
        "type": "tmpfs",
        "source": "tmpfs",
        "destination": "/tmp",
        "options": options,
    }


def test_network_of_the_host__no_namespace__and_its_sys_read_only() -> None:
    built = config.build(bundle(namespace=None))
    assert [one["type"] for one in built["linux"]["namespaces"]] == ["pid", "ipc", "uts", "mount"]
    assert mounts_of(built)["/sys"] == {
        "type": "none",
        "source": "/sys",
        "destination": "/sys",
        "options": ["nosuid", "noexec", "nodev", "ro", "rbind"],
    }


@pytest.mark.parametrize(
    ("command", "args", "runs"),
    [
        (None, None, ("/entry", "-e", "serve", "-c")),
        (None, ("other",), ("/entry", "-e", "other")),
        (None, (), ("/entry", "-e")),
        (("/bin/x",), None, ("/bin/x",)),
        (("/bin/x",), ("-y",), ("/bin/x", "-y")),
        ((), ("/only", "args"), ("/only", "args")),
    ],
)
def test_command__replaces_the_entrypoint_and_drops_the_images_arguments(
    command: tuple[str, ...] | None, args: tuple[str, ...] | None, runs: tuple[str, ...]
) -> None:
    told = image(entrypoint=("/entry", "-e"), cmd=("serve", "-c"))
    assert config.command(spec.Process(command, args), told) == runs


def test_command__only_the_images_arguments__are_the_program() -> None:
    assert config.command(spec.Process(), image(cmd=("/bin/sh",))) == ("/bin/sh",)


@pytest.mark.parametrize("process", [spec.Process(), spec.Process(command=()), spec.Process(args=())])
def test_command__nobody_says_one__is_refused(process: spec.Process) -> None:
    with pytest.raises(errors.Refused) as caught:
        config.command(process, image())
    assert (caught.value.reason, caught.value.hint) == ("StartFailed", "give command or args")


def test_environment__manifest_over_image_over_defaults() -> None:
    told = image(env=("PATH=/image", "A=image", "B=has=equals", "EMPTY"))
    process = spec.Process(env=(("A", "manifest"), ("HOSTNAME", "mine"), ("C", "")))
    assert list(config.environment(asked(process=process), told, ROOT).items()) == [
        ("PATH", "/image"),
        ("HOSTNAME", "mine"),
        ("HOME", "/root"),
        ("A", "manifest"),
        ("B", "has=equals"),
        ("EMPTY", ""),
        ("C", ""),
    ]


@pytest.mark.parametrize(
    ("manifest", "images", "cwd"), [("/m", "/i", "/m"), ("", "/i", "/i"), ("", "", "/"), ("/m", "", "/m")]
)
def test_working_directory__manifest_over_image(manifest: str, images: str, cwd: str) -> None:
    process = spec.Process(command=("/app",), working_dir=manifest)
    built = config.build(bundle(spec=asked(process=process), image=image(working_dir=images)))
    assert built["process"]["cwd"] == cwd


def test_user_who_is_not_root__has_nothing_but_the_bounding_set() -> None:
    built = config.build(bundle(user=users.User(1000, 1000, (), "/")))
    assert built["process"]["capabilities"] == {"bounding": DEFAULT_CAPABILITIES}


def test_build__unknown_capability__is_refused() -> None:
    confinement = dataclasses.replace(UNCONFINED, cap_add=("FLY",))
    with pytest.raises(errors.Refused, match="no capability FLY"):
        config.build(bundle(spec=asked(confinement=confinement)))

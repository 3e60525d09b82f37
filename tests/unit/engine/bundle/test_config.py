"""``config.json``: whole documents for small specs, and each rule by which one differs from them."""

import dataclasses
import pathlib
import stat
from typing import Any

import pytest

from agent import errors
from agent.engine.bundle import config, confinement, users
from agent.engine.spec import container as container_spec
from agent.oci import image_config, platform

ROOT = users.User(0, 0, (), "/root")
DEFAULT_CAPABILITIES = [
    *("CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD"),
    *("CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID"),
    "CAP_SYS_CHROOT",
]
UNCONFINED = container_spec.Confinement(seccomp=False)


def image(**fields: Any) -> image_config.ImageConfig:
    """Return an image config with nothing but these fields."""
    empty = dict.fromkeys(("entrypoint", "cmd", "env", "labels", "volumes", "diff_ids"), ())
    texts = {"working_dir": "", "user": "", "stop_signal": ""}
    return image_config.ImageConfig(platform=platform.Platform("linux", "amd64", ""), **{**empty, **texts, **fields})


def asked(**fields: Any) -> container_spec.ContainerSpec:
    """Return a spec that asks for nothing but a program."""
    base = container_spec.ContainerSpec(
        image="app",
        process=container_spec.Process(command=("/app",)),
        hostname="web",
        network_mode=container_spec.NetworkMode.ATTACHED,
        attachments=(),
        ports=(),
        mounts=(),
        limits=container_spec.Limits(),
        confinement=UNCONFINED,
    )
    return dataclasses.replace(base, **fields)


def bundle(**fields: Any) -> config.Bundle:
    """Return a bundle of the spec."""
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
    """Return mounts by their paths."""
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
            "sysctl": {
                "net.ipv4.ip_unprivileged_port_start": "0",
                "net.ipv4.ping_group_range": "0 2147483647",
            },
            "maskedPaths": [
                *("/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys"),
                *("/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug"),
                *("/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"),
                *confinement.masked_paths()[12:],
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
    asked_spec = asked(
        process=container_spec.Process(("/app",), ("-v",), (("A", "1"),), "/srv", "ignored: resolved already"),
        hostname="other",
        limits=container_spec.Limits(250, 1 << 20, 1 << 19, 7),
        confinement=container_spec.Confinement(("NET_ADMIN",), ("ALL",), True, False, seccomp=False),
    )
    built = config.build(bundle(spec=asked_spec, user=users.User(7, 8, (9, 10), "/srv")))
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


def test_mounts__below_another_name_of_a_folder__come_after_it() -> None:
    memory = config.BundleMount("", "/var/run", resolved="/run")
    socket = config.BundleMount("/h", "/run/x", resolved="/run/x")
    built = config.build(bundle(mounts=(socket, memory)))
    assert [mount["destination"] for mount in built["mounts"]][7:] == ["/var/run", "/run/x"]


@pytest.mark.parametrize(("read_only", "mode"), [(True, ["ro", "rro"]), (False, ["rw"])])
def test_mount__of_the_host__is_bound_with_what_is_below(read_only: bool, mode: list[str]) -> None:
    built = config.build(bundle(mounts=(config.BundleMount("/srv/data", "/data", read_only, is_folder=True),)))
    assert mounts_of(built)["/data"] == {
        "type": "bind",
        "source": "/srv/data",
        "destination": "/data",
        "options": ["rbind", "rprivate", *mode],
    }


def test_mount__of_a_file__read_only_by_itself() -> None:
    built = config.build(bundle(mounts=(config.BundleMount("/srv/file", "/file", read_only=True),)))
    assert mounts_of(built)["/file"]["options"] == ["rbind", "rprivate", "ro"]


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


def test_network_of_the_host__no_namespace__a_sysfs_of_its_own_and_the_hosts_sysctls() -> None:
    built = config.build(bundle(namespace=None))
    assert [namespace["type"] for namespace in built["linux"]["namespaces"]] == ["pid", "ipc", "uts", "mount"]
    assert mounts_of(built)["/sys"] == mounts_of(config.build(bundle()))["/sys"]
    assert built["linux"]["sysctl"] == {}


def test_cgroup_namespace__is_made_where_it_is_asked_for() -> None:
    built = config.build(bundle(own_cgroup=True))
    assert {"type": "cgroup"} in built["linux"]["namespaces"]


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
    image_config = image(entrypoint=("/entry", "-e"), cmd=("serve", "-c"))
    assert config.command(container_spec.Process(command, args), image_config) == runs


def test_command__only_the_images_arguments__are_the_program() -> None:
    assert config.command(container_spec.Process(), image(cmd=("/bin/sh",))) == ("/bin/sh",)


@pytest.mark.parametrize(
    "process", [container_spec.Process(), container_spec.Process(command=()), container_spec.Process(args=())]
)
def test_command__nobody_says_one__is_refused(process: container_spec.Process) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        config.command(process, image())
    assert (caught.value.reason, caught.value.hint) == ("StartFailed", "give command or args")


def test_environment__manifest_over_image_over_defaults() -> None:
    image_config = image(env=("PATH=/image", "A=image", "B=has=equals", "EMPTY"))
    process = container_spec.Process(env=(("A", "manifest"), ("HOSTNAME", "mine"), ("C", "")))
    assert list(config.environment(asked(process=process), image_config, ROOT).items()) == [
        ("PATH", "/image"),
        ("HOSTNAME", "mine"),
        ("HOME", "/root"),
        ("A", "manifest"),
        ("B", "has=equals"),
        ("EMPTY", ""),
        ("C", ""),
    ]


def test_environment__name_without_a_value_in_the_image__is_empty_and_not_the_hosts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CVE-2026-57231: the image names what it wants to know, or everything by an asterisk."""
    monkeypatch.setenv("TRIMTAB_PASSWORD", "s3cret of the host")
    built = config.build(bundle(image=image(env=("TRIMTAB_PASSWORD", "*", "TRIMTAB_*"))))
    assert built["process"]["env"][3:] == ["TRIMTAB_PASSWORD=", "*=", "TRIMTAB_*="]


@pytest.mark.parametrize(
    ("manifest", "images", "cwd"), [("/m", "/i", "/m"), ("", "/i", "/i"), ("", "", "/"), ("/m", "", "/m")]
)
def test_working_directory__manifest_over_image(manifest: str, images: str, cwd: str) -> None:
    process = container_spec.Process(command=("/app",), working_dir=manifest)
    built = config.build(bundle(spec=asked(process=process), image=image(working_dir=images)))
    assert built["process"]["cwd"] == cwd


def test_user_who_is_not_root__has_nothing_but_the_bounding_set() -> None:
    built = config.build(bundle(user=users.User(1000, 1000, (), "/")))
    assert built["process"]["capabilities"] == {"bounding": DEFAULT_CAPABILITIES}


def test_build__unknown_capability__is_refused() -> None:
    confinement = dataclasses.replace(UNCONFINED, cap_add=("FLY",))
    with pytest.raises(errors.InvalidArgument, match="no capability FLY"):
        config.build(bundle(spec=asked(confinement=confinement)))


def test_annotations__of_a_container__do_not_reach_the_oci_runtime() -> None:
    asked_spec = asked(annotations=(("run.oci.handler", "krun"), ("run.oci.hooks.stdout", "/etc/cron.d/x")))
    assert config.build(bundle(spec=asked_spec))["annotations"] == {}


def test_variables_given_at_the_start__come_on_top_of_all_others() -> None:
    spec = asked(process=container_spec.Process(command=("/app",), env=(("A", "record"),), env_at_start=("P",)))
    built = config.build(bundle(spec=spec, image=image(env=("P=image",)), env_at_start=(("P", "s3cr3t"),)))
    env = dict(entry.partition("=")[::2] for entry in built["process"]["env"])
    assert (env["A"], env["P"]) == ("record", "s3cr3t")
    assert "s3cr3t" not in repr(bundle(env_at_start=(("P", "s3cr3t"),)))


def test_written__is_for_its_owner_only__and_gives_variables_back(tmp_path: pathlib.Path) -> None:
    value = "s3cr3t with = and\nanother line"
    config.write(tmp_path, bundle(env_at_start=(("P", value),)))
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    assert stat.S_IMODE((tmp_path / "config.json").stat().st_mode) == 0o600
    assert config.env_of(tmp_path, ("P",)) == (("P", value),)


@pytest.mark.parametrize("text", [None, "{", "[]", '{"process": {"env": []}}'])
def test_variables_of_a_run_that_is_over__are_a_conflict(tmp_path: pathlib.Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    assert config.env_of(tmp_path, ()) == ()
    with pytest.raises(errors.Conflict, match="it has just ended"):
        config.env_of(tmp_path, ("P",))

"""Figures and limits of one container, the same from v1, hybrid and v2 hosts: trees of files as their kernels show."""

import pytest

from agent.engine.cgroups import hierarchy, limits, tree
from agent.engine.spec import container as container_spec
from tests.unit.engine.cgroups import trees

LIMITED = container_spec.Limits(cpu_millis=500, memory=64 << 20, memory_reservation=32 << 20, pids=20)


def files(host: hierarchy.Hierarchy, *names: str) -> dict[str, str]:
    """Read files of the container's cgroup, by ``controller/file``."""
    contents = {}
    for name in names:
        controller, _, file = name.partition("/")
        directory = host.directory(controller, trees.CGROUP)
        assert directory is not None
        contents[name] = (directory / file).read_text()
    return contents


@pytest.mark.parametrize(
    ("make", "mode"), [(trees.v1, "v1"), (trees.hybrid, "hybrid"), (trees.v2, "v2"), (trees.beside_a_vpn, "v2")]
)
def test_parse__says_which_hierarchy_counts(make: trees.Make, mode: str, tmp_path) -> None:
    assert make(tmp_path).mode == mode


@trees.legacy_hosts
def test_directory__of_v1__is_the_controllers_own(make: trees.Make, tmp_path) -> None:
    host = make(tmp_path)
    assert host.directory("memory", "a/b") == tmp_path / "memory/a/b"
    assert host.directory("cpu", "a") == host.directory("cpuacct", "a") == tmp_path / "cpu,cpuacct/a"
    assert host.directory("name=systemd", "a") == tmp_path / "systemd/a"
    assert host.directory("hugetlb", "a") is None


@trees.unified_hosts
def test_directory__of_v2__is_the_one_for_all(make: trees.Make, tmp_path) -> None:
    host = make(tmp_path)
    assert {host.directory(name, "a") for name in ("cpu", "memory", "pids")} == {tmp_path / "all/a"}


def test_roots__are_all_mount_points_once(tmp_path) -> None:
    names = ("blkio", "cpu,cpuacct", "cpuset", "devices", "freezer", "memory", "pids", "systemd", "unified")
    assert trees.hybrid(tmp_path).roots() == tuple(tmp_path / name for name in names)


@pytest.mark.parametrize("mountinfo", ["", "garbage", "1 2 3 - cgroup", "36 35 98:0 / /mnt rw - ext4 /dev/sda rw"])
def test_parse__no_cgroups__controls_nothing(mountinfo: str) -> None:
    host = hierarchy.parse(mountinfo)
    assert host.directory("memory", "a") is None
    assert host.v2 is None


def test_parse__several_mounts_of_one__takes_the_first() -> None:
    lines = ("1 0 0:1 / /first rw - cgroup2 cgroup2 rw", "2 0 0:1 / /second rw - cgroup2 cgroup2 rw")
    assert hierarchy.parse("\n".join(lines)).v2 == "/first"
    lines = ("1 0 0:1 / /first rw - cgroup cgroup rw,pids", "2 0 0:1 / /second rw - cgroup cgroup rw,pids")
    assert hierarchy.parse("\n".join(lines)).v1 == (("pids", "/first"),)


@trees.every_host
def test_limits_found__are_those_in_force(make: trees.Make, tmp_path) -> None:
    assert limits.effective(make(tmp_path), trees.CGROUP, container_spec.Limits()) == LIMITED


@pytest.mark.parametrize(
    ("make", "unlimited"),
    [
        (
            trees.v1,
            {
                "cpu/cpu.cfs_quota_us": "-1\n",
                "memory/memory.limit_in_bytes": "9223372036854771712\n",
                "memory/memory.soft_limit_in_bytes": "9223372036854771712\n",
                "pids/pids.max": "max\n",
            },
        ),
        (
            trees.v2,
            {
                "cpu/cpu.max": "max 100000\n",
                "memory/memory.max": "max\n",
                "memory/memory.low": "0\n",
                "pids/pids.max": "max\n",
            },
        ),
    ],
)
def test_limits_found__all_lifted_behind_our_back__are_none(
    make: trees.Make, unlimited: dict[str, str], tmp_path
) -> None:
    host = make(tmp_path)
    for name, text in unlimited.items():
        trees.write(host, name, text)
    assert limits.effective(host, trees.CGROUP, LIMITED) == container_spec.Limits()


@trees.every_host
def test_limits_found__rounded_to_pages_by_the_kernel__count_as_wanted(make: trees.Make, tmp_path) -> None:
    requested = container_spec.Limits(500, (64 << 20) + 4095, (32 << 20) + 1, 20)
    assert limits.effective(make(tmp_path), trees.CGROUP, requested) == requested


@trees.every_host
def test_limits_found__cannot_be_read__count_as_wanted(make: trees.Make, tmp_path) -> None:
    requested = container_spec.Limits(cpu_millis=1)
    host = make(tmp_path)
    assert limits.effective(host, "trimtab-0/gone", requested) == requested
    trees.write(host, "pids/pids.max", "nonsense\n")
    assert limits.effective(host, trees.CGROUP, requested) == requested
    assert limits.effective(hierarchy.parse(""), trees.CGROUP, requested) == requested


@trees.every_host
@pytest.mark.parametrize(
    "requested",
    [
        container_spec.Limits(250, 32 << 20, 16 << 20, 10),
        container_spec.Limits(2000, 128 << 20, 64 << 20, 1000),
        container_spec.Limits(pids=5),
        container_spec.Limits(cpu_millis=1500),
    ],
)
def test_limits_applied__are_found_again(make: trees.Make, requested: container_spec.Limits, tmp_path) -> None:
    host = make(tmp_path)
    limits.apply(host, trees.CGROUP, requested)
    assert limits.effective(host, trees.CGROUP, LIMITED) == requested


@trees.unified_hosts
def test_limits_applied__on_v2__are_its_files(make: trees.Make, tmp_path) -> None:
    host = make(tmp_path)
    names = ("cpu/cpu.max", "memory/memory.max", "memory/memory.swap.max", "memory/memory.low", "pids/pids.max")
    limits.apply(host, trees.CGROUP, container_spec.Limits(250, 4096, 2048, 9))
    assert tuple(files(host, *names).values()) == ("25000 100000", "4096", "0", "2048", "9")
    limits.apply(host, trees.CGROUP, container_spec.Limits())
    assert tuple(files(host, *names).values()) == ("max 100000", "max", "max", "0", "max")


@trees.legacy_hosts
def test_limits_applied__on_v1__are_its_files(make: trees.Make, tmp_path) -> None:
    host = make(tmp_path)
    names = (
        *("cpu/cpu.cfs_period_us", "cpu/cpu.cfs_quota_us", "memory/memory.limit_in_bytes"),
        *("memory/memory.memsw.limit_in_bytes", "memory/memory.soft_limit_in_bytes", "pids/pids.max"),
    )
    limits.apply(host, trees.CGROUP, container_spec.Limits(250, 4096, 2048, 9))
    assert tuple(files(host, *names).values()) == ("100000", "25000", "4096", "4096", "2048", "9")
    limits.apply(host, trees.CGROUP, container_spec.Limits())
    assert tuple(files(host, *names).values()) == ("100000", "-1", "-1", "-1", "-1", "max")


@pytest.mark.parametrize(
    ("make", "file"),
    [(trees.v1, "memory/memory.memsw.limit_in_bytes"), (trees.v2, "memory/memory.swap.max")],
)
def test_limits_applied__kernel_without_swap_accounting__leaves_it_out(make: trees.Make, file: str, tmp_path) -> None:
    host = make(tmp_path)
    path = tmp_path.joinpath("memory" if make is trees.v1 else "all", trees.CGROUP, file.partition("/")[2])
    path.unlink()
    limits.apply(host, trees.CGROUP, container_spec.Limits(memory=8192))
    assert not path.exists()
    assert limits.effective(host, trees.CGROUP, container_spec.Limits()).memory == 8192


@trees.every_host
def test_limits_applied__container_is_gone__is_an_os_error(make: trees.Make, tmp_path) -> None:
    with pytest.raises(FileNotFoundError):
        limits.apply(make(tmp_path), "trimtab-0/gone", LIMITED)


@pytest.mark.parametrize(("make", "places"), [(trees.v1, 8), (trees.hybrid, 9), (trees.v2, 1)])
def test_tree__what_is_below_and_itself__in_every_hierarchy(make: trees.Make, places: int, tmp_path) -> None:
    host = make(tmp_path)
    assert len(tree.below(host, "trimtab-0")) == places
    assert {path.name for path in tree.below(host, "trimtab-0")} == {"web"}
    assert len(tree.itself(host, "trimtab-0")) == places
    assert tree.below(host, "trimtab-9") == tree.itself(host, "trimtab-9") == []


def test_tree__removed__is_gone_with_those_below_it(tmp_path) -> None:
    (tmp_path / "web/a/b").mkdir(parents=True)
    (tmp_path / "web/c").mkdir()
    tree.remove(tmp_path / "web")
    tree.remove(tmp_path / "web")
    assert list(tmp_path.iterdir()) == []


def test_tree__parent__goes_only_where_nothing_is_below(tmp_path) -> None:
    (tmp_path / "all/trimtab-0/web").mkdir(parents=True)
    host = hierarchy.Hierarchy((), str(tmp_path / "all"))
    tree.remove_parent(host, "trimtab-0")
    assert (tmp_path / "all/trimtab-0/web").is_dir()
    (tmp_path / "all/trimtab-0/web").rmdir()
    tree.remove_parent(host, "trimtab-0")
    tree.remove_parent(host, "trimtab-0")
    assert not (tmp_path / "all/trimtab-0").exists()

"""What is asked of the kernel for a container's root file system."""

import os
import pathlib

import pytest

from agent import errors
from agent.engine.kernel import api, recording
from agent.engine.snapshots import overlay


class BrokenKernel(recording.RecordingKernel):
    """A kernel that mounts nothing."""

    def mount(self, source: str, target: str, kind: str, flags: int, data: str) -> None:
        """Fail."""
        raise OSError(19, "No such device", target, kind, (source, flags, data))


def test_mount__layers__are_stacked_topmost_first_under_the_container_s_own(tmp_path: pathlib.Path) -> None:
    kernel = recording.RecordingKernel()
    lower = [pathlib.Path("/s/top/fs"), pathlib.Path("/s/base/fs")]
    overlay.mount(kernel, lower, tmp_path / "own", tmp_path / "rootfs")
    options = f"lowerdir=/s/top/fs:/s/base/fs,upperdir={tmp_path}/own/upper,workdir={tmp_path}/own/work"
    assert kernel.calls == [("mount", "overlay", str(tmp_path / "rootfs"), "overlay", api.MS_NODEV, options)]
    assert sorted(path.name for path in (tmp_path / "own").iterdir()) == ["upper", "work"]


def test_mount__paths_with_the_option_s_own_signs__are_escaped(tmp_path: pathlib.Path) -> None:
    kernel = recording.RecordingKernel()
    own = tmp_path / "a,b:c\\d"
    overlay.mount(kernel, [pathlib.Path("/s,1:2/fs")], own, tmp_path / "rootfs")
    escaped = f"{tmp_path}/a\\,b\\:c\\\\d"
    assert kernel.calls[0][-1] == f"lowerdir=/s\\,1\\:2/fs,upperdir={escaped}/upper,workdir={escaped}/work"


def test_mount__more_layers_than_a_page_of_options_holds__is_refused(tmp_path: pathlib.Path) -> None:
    kernel = recording.RecordingKernel()
    lower = [pathlib.Path(f"/{'ü' * 20}/{number:04}/fs") for number in range(90)]
    many = [pathlib.Path(f"/{'ü' * 20}/{number:04}/fs") for number in range(600)]
    with pytest.raises(errors.InvalidArgument, match="600 layers") as caught:
        overlay.mount(kernel, many, tmp_path / "own", tmp_path / "rootfs")
    assert caught.value.reason == "TooManyLayers"
    assert kernel.calls == []
    overlay.mount(kernel, lower, tmp_path / "own", tmp_path / "rootfs")
    call, folder, *_, options = kernel.calls.pop()
    assert (call, folder) == ("mount_from", f"/{'ü' * 20}")
    assert str(options).startswith("lowerdir=0000/fs:0001/fs:")
    kernel.mounted.clear()
    overlay.mount(kernel, lower[:70], tmp_path / "own", tmp_path / "rootfs")
    assert kernel.mounted == [str(tmp_path / "rootfs")]


def test_mount__kernel_refuses__is_unavailable(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.Unavailable, match="No such device") as caught:
        overlay.mount(BrokenKernel(), [pathlib.Path("/s")], tmp_path / "own", tmp_path / "rootfs")
    assert caught.value.reason == "MountFailed"


def test_unmount__nothing_mounted__asks_for_nothing(tmp_path: pathlib.Path) -> None:
    kernel = recording.RecordingKernel()
    overlay.unmount(kernel, tmp_path)
    overlay.unmount(kernel, tmp_path / "missing")
    assert kernel.calls == []


def test_unmount__mounted__is_detached() -> None:
    kernel = recording.RecordingKernel(mounted=["/proc"])
    overlay.unmount(kernel, pathlib.Path("/proc"))
    assert kernel.calls == [("umount", "/proc", api.MNT_DETACH)]


@pytest.mark.root
def test_visible__layer_that_hides_all_below__is_the_last_one(tmp_path: pathlib.Path) -> None:
    stack = [tmp_path / name for name in ("top", "hiding", "hidden")]
    for path in stack:
        path.mkdir()
    assert list(overlay.visible(stack)) == stack
    os.setxattr(stack[1], "trusted.overlay.opaque", b"y")
    assert list(overlay.visible(stack)) == stack[:2]


def test_visible__layer_that_is_gone__is_left_for_the_mount_to_tell(tmp_path: pathlib.Path) -> None:
    assert list(overlay.visible([tmp_path / "gone"])) == [tmp_path / "gone"]


def test_mount_to_read__what_a_container_has_written_is_a_layer_above_the_others(tmp_path: pathlib.Path) -> None:
    kernel, own, target = recording.RecordingKernel(), tmp_path / "own", tmp_path / "rootfs"
    (own / "upper").mkdir(parents=True)
    overlay.mount_to_read(kernel, [pathlib.Path("/s/top"), pathlib.Path("/s/base")], own, target)
    options = f"lowerdir={own}/upper:/s/top:/s/base"
    assert kernel.calls == [("mount", "overlay", str(target), "overlay", api.MS_NODEV | api.MS_RDONLY, options)]
    assert [path.name for path in own.iterdir()] == ["upper"]


def test_mount_to_read__one_layer_alone__is_bound_read_only(tmp_path: pathlib.Path) -> None:
    kernel, target = recording.RecordingKernel(), str(tmp_path / "rootfs")
    overlay.mount_to_read(kernel, [pathlib.Path("/s/base")], tmp_path / "own", tmp_path / "rootfs")
    bind, remount = kernel.calls
    assert bind == ("mount", "/s/base", target, "", api.MS_BIND, "")
    assert remount == ("mount", "none", target, "", api.MS_BIND | api.MS_REMOUNT | api.MS_RDONLY | api.MS_NODEV, "")
    assert not (tmp_path / "own").exists()


def test_mount_to_read__kernel_refuses__is_unavailable(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.Unavailable, match="No such device"):
        overlay.mount_to_read(BrokenKernel(), [pathlib.Path("/s")], tmp_path / "own", tmp_path / "rootfs")

"""RUN's mounts: their fields, what is meant where they are left out, and what no mount may be."""

import pytest

from agent.dockerfile import mounts
from agent.dockerfile.instructions import Mount, MountType, Sharing


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("target=/a", Mount(MountType.BIND, "/a")),
        ("type=bind,source=b,dst=/a,from=c", Mount(MountType.BIND, "/a", "b", "c")),
        ("type=bind,destination=/a,rw", Mount(MountType.BIND, "/a", is_read_only=False)),
        ("type=bind,target=/a,readwrite=false", Mount(MountType.BIND, "/a")),
        ("type=bind,target=/a,ro=0", Mount(MountType.BIND, "/a", is_read_only=False)),
        ("TYPE=Cache,Target=/a", Mount(MountType.CACHE, "/a", is_read_only=False)),
        ("type=cache,target=/a,ro", Mount(MountType.CACHE, "/a")),
        (
            "type=cache,target=/a,id=b,sharing=LOCKED,mode=0700,uid=1,gid=2,from=c,src=d",
            Mount(
                MountType.CACHE, "/a", "d", "c", "b", is_read_only=False, sharing=Sharing.LOCKED, mode=448, uid=1, gid=2
            ),
        ),
        ("type=tmpfs,target=/a,size=64m", Mount(MountType.TMPFS, "/a", is_read_only=False, size=64 << 20)),
        ("type=tmpfs,target=/a,size=1.5GB", Mount(MountType.TMPFS, "/a", is_read_only=False, size=3 << 29)),
        ("type=tmpfs,target=/a,size=10", Mount(MountType.TMPFS, "/a", is_read_only=False, size=10)),
        ("type=secret,id=a,required", Mount(MountType.SECRET, id="a", is_required=True)),
        ("type=secret,id=a,required=false,env=B", Mount(MountType.SECRET, id="a", env="B")),
        ("type=secret,target=/run/a,mode=400", Mount(MountType.SECRET, "/run/a", mode=256)),
        ("type=ssh", Mount(MountType.SSH)),
        ('type=bind,"target=/a,b",source="c"', None),
        ('type=bind,"target=/a,b",source=c', Mount(MountType.BIND, "/a,b", "c")),
    ],
)
def test_parse__fields__are_read(text: str, mount: Mount | None) -> None:
    if mount is None:
        assert mounts.parse(text).source == '"c"'  # quotes are for whole fields
    else:
        assert mounts.parse(text) == mount


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            'type=bind,"target=/a',
            'the mount type=bind,"target=/a has quotes that do not match',
            "quote a whole field=value",
        ),
        ("type=bind,target=/", "a bind mount cannot be at the root", "choose a folder, as target=/PATH"),
        ("type=bind,target=/a,gid=4294967296", "a bind mount has no gid", "leave gid out"),
        ("type=cache,target=/a,gid=4294967296", "4294967296 is no gid", "write a number"),
        ("type=cache,target=/a,gid=²", "² is no gid", "write a number"),
        ("type=cache,target=/a,uid=", "nothing is no uid", "write a number"),
        ("type=secrt", "secrt is no mount type", "did you mean secret?"),
    ],
)
def test_parse__no_mount__is_told(text: str, message: str, hint: str) -> None:
    with pytest.raises(mounts.BadMount) as error:
        mounts.parse(text)
    assert (error.value.message.partition(":")[0], error.value.hint) == (message, hint)

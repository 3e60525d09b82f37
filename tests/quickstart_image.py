"""Makes an image like the quickstart's, an OCI archive, from this machine's own static busybox: no registry, no build.

    python tests/quickstart_image.py build/quickstart-image.tar

The same input gives the same bytes, so that running it again does not look like a change of the image.
"""

import hashlib
import io
import json
import pathlib
import platform
import sys
import tarfile

BUSYBOX = pathlib.Path("/bin/busybox")
PAGES = pathlib.Path(__file__).parent.parent / "manifests" / "quickstart" / "www"
APPLETS = ("sh", "ls", "cat", "ps", "ip", "wget", "nslookup", "sleep", "httpd", "id", "df", "mount")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
ACCOUNTS = {"etc/passwd": b"root:x:0:0:root:/root:/bin/sh\n", "etc/group": b"root:x:0:\n"}


def main(target: pathlib.Path) -> None:
    """Write the archive."""
    layer = _root_file_system()
    architecture = ARCHITECTURES.get(platform.machine(), platform.machine())
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {
            "Env": ["PATH=/bin"],
            "Cmd": ["/bin/httpd", "-f", "-v", "-p", "80", "-h", "/www"],
            "StopSignal": "SIGTERM",
            "ExposedPorts": {"80/tcp": {}},
        },
        "history": [{"created_by": "tests/quickstart_image.py"}],  # Podman builds upon no layer without one
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
    }
    config_bytes = json.dumps(config, sort_keys=True).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _descriptor("application/vnd.oci.image.config.v1+json", config_bytes),
        "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
    }
    manifest_bytes = json.dumps(manifest, sort_keys=True).encode()
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {
                **_descriptor("application/vnd.oci.image.manifest.v1+json", manifest_bytes),
                "platform": {"architecture": architecture, "os": "linux"},
            }
        ],
    }
    files = {
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        "index.json": json.dumps(index, sort_keys=True).encode(),
        **{f"blobs/sha256/{_digest(blob)[7:]}": blob for blob in (layer, config_bytes, manifest_bytes)},
    }
    temporary = target.with_name(f".{target.name}")
    temporary.write_bytes(_tar([_file(name, data) for name, data in files.items()]))
    temporary.rename(target)


def _root_file_system() -> bytes:
    members = [_folder(name) for name in ("bin", "dev", "etc", "proc", "root", "sys", "tmp", "www")]
    members.append(_file("bin/busybox", BUSYBOX.read_bytes(), mode=0o755))
    members += [_link(f"bin/{applet}", "busybox") for applet in APPLETS]
    members += [_file(name, data) for name, data in ACCOUNTS.items()]
    members += [_file(f"www/{page.name}", page.read_bytes()) for page in sorted(PAGES.iterdir())]
    return _tar(members)


def _tar(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _file(name: str, data: bytes, mode: int = 0o644) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), mode
    return info, data


def _folder(name: str) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
    return info, b""


def _link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info, b""


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _descriptor(media_type: str, data: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(data), "size": len(data)}


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))

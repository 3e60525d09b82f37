"""Media types of the OCI image specification and of Docker's schema 2, which registries still serve side by side."""

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_LAYER_ZSTD = "application/vnd.docker.image.rootfs.diff.tar.zstd"
_NONDISTRIBUTABLE = "application/vnd.oci.image.layer.nondistributable.v1.tar"
_DOCKER_FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar"
_PACKINGS = ("gzip", "zstd", "xz", "bzip2")
"""Compression suffixes of layers' media types. They are not relied on: a layer's first bytes decide."""

INDEXES = frozenset({INDEX, DOCKER_INDEX})
MANIFESTS = frozenset({MANIFEST, DOCKER_MANIFEST})
LAYERS = frozenset(
    {
        *(LAYER, _NONDISTRIBUTABLE, DOCKER_LAYER, _DOCKER_FOREIGN),
        *(f"{kind}+{packing}" for kind in (LAYER, _NONDISTRIBUTABLE) for packing in _PACKINGS),
        *(f"{kind}.{packing}" for kind in (DOCKER_LAYER, _DOCKER_FOREIGN) for packing in _PACKINGS),
    }
)
ACCEPTED = (MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_INDEX)
"""The media types of the ``Accept`` header for manifests."""

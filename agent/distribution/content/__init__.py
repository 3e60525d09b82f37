"""The content store: blobs by digest, on disk as an OCI image layout, so that other tools can read them."""

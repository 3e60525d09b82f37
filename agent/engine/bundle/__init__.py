"""Bundles: a container's spec and its image's config, combined to an OCI runtime's configuration."""

"""Bundles: what is asked for and what the image says, as the configuration that an OCI runtime takes."""

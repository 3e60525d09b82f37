"""Registries: the distribution specification's pull and push, over HTTPS, with every digest verified."""

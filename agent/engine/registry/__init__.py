"""Registries: the distribution specification's pull, over HTTPS, with what was announced verified."""

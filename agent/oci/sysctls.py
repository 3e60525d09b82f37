"""Kernel parameters of a container's network namespace that Docker sets and other engines do not."""

OF_NETWORK = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
"""In a network namespace of its own every user may listen on port 80 and ping, as with Docker."""

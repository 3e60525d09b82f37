"""Control groups, v1, v2 and hybrid: what a container uses, whether the kernel killed in it, and what is left behind."""

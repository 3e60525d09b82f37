"""Control groups, v1, v2 and hybrid: what a container uses, whether it was killed for memory, what is left behind."""

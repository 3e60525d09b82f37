"""How manifests become configs, a module a kind: the only place for defaults and translation."""

"""Where manifests come from: each source gives ``SourceSnapshot`` values and hints that something changed. Floor 4."""

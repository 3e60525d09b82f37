"""The command line. Floor 7: composes rooms through ``app``; results to stdout, diagnostics to stderr."""

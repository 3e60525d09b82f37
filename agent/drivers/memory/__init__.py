"""A full runtime in RAM with injectable latency and faults: for demonstrations, tests and simulation."""

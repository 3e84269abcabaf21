"""A household as configuration files: pure functions from desired state to bytes."""

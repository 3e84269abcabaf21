"""The agent that keeps a home in its desired state, and the hearth command."""

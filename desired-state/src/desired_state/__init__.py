"""The household: what a home wants, and by which rules it may change."""

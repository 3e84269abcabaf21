"""Doing the real thing once, as a device of the home would: log in and write, send a message, ask for a certificate.

Owns what is done and what the answer means, one module for each service. Dear and visible, so only `hearth test` asks for it, never
a pass. What is left behind is named, and removed at once. The words on the terminal are `cli.try_out`'s.
"""

from reconciler.trying.outcome import Outcome

__all__ = ["Outcome"]

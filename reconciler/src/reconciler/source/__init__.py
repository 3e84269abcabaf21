"""Following a git repository without trusting it: one cheap question a pass, bounded fetches into a place apart."""

from reconciler.source.credentials import Credentials
from reconciler.source.source import Limits, Source

__all__ = ["Credentials", "Limits", "Source"]

"""The home's secrets on this device: its own age key, opening, and what is remembered over roll-backs.

What a file must look like is `desired_state.secrets`'; where values go is `provision`'s.
"""

from reconciler.secrets.keyring import Keyring, Needs
from reconciler.secrets.opened import Opened, Standing

__all__ = ["Keyring", "Needs", "Opened", "Standing"]

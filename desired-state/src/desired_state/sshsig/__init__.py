"""OpenSSH's detached signatures: read, check and make them, in process. Does not own who may sign (`trust`).

Only one spelling of each value is read: what `ssh-keygen -Y sign` writes, byte for byte.
"""

from desired_state.sshsig.armour import ARMOUR_LIMIT, BEGIN, COLUMNS, END
from desired_state.sshsig.curves import Wrong
from desired_state.sshsig.forms import Flags, Page, Touch
from desired_state.sshsig.keys import PublicKey, public_key, read_public_line
from desired_state.sshsig.signature import Signature, sign
from desired_state.sshsig.wire import Malformed

__all__ = [
    "ARMOUR_LIMIT",
    "BEGIN",
    "COLUMNS",
    "END",
    "Flags",
    "Malformed",
    "Page",
    "PublicKey",
    "Signature",
    "Touch",
    "Wrong",
    "public_key",
    "read_public_line",
    "sign",
]

"""A booted appliance in a home's network, for tests of the whole."""

from .appliance import Appliance
from .network import UPSTREAMS, WEB, Failed, Home, Namespace, finish, until
from .rootfs import CHECKOUT, PYTHON_OF, STAGE, appliance_layers, carry_in, debian_layers

__all__ = [
    "CHECKOUT",
    "PYTHON_OF",
    "STAGE",
    "UPSTREAMS",
    "WEB",
    "Appliance",
    "Failed",
    "Home",
    "Namespace",
    "appliance_layers",
    "carry_in",
    "debian_layers",
    "finish",
    "until",
]

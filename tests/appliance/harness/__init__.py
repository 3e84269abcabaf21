"""A booted appliance in a home's network, for tests of the whole."""

from .appliance import Appliance
from .network import UPSTREAMS, WEB, Failed, Home, Namespace, finish, until
from .rootfs import CHECKOUT, PYTHON_OF, STAGE, appliance_layers, debian_layers, step_ca, wheels

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
    "debian_layers",
    "finish",
    "step_ca",
    "until",
    "wheels",
]

"""A booted appliance in a home's network, for tests of the whole."""

from .appliance import Appliance
from .network import UPSTREAMS, WEB, Failed, Home, Namespace, until
from .rootfs import CHECKOUT, STAGE, layers, wheels

__all__ = ["CHECKOUT", "STAGE", "UPSTREAMS", "WEB", "Appliance", "Failed", "Home", "Namespace", "layers", "until", "wheels"]

"""One certificate by ACME (RFC 8555), proven over HTTP at port 80 of the appliance's own address.

A thread of this process answers the authority's question, for as long as the order takes. The account ends with the order; account's
and certificate's keys are never written anywhere.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import requests
from acme import challenges, client, crypto_util, errors, messages
from acme.standalone import HTTP01RequestHandler, HTTP01Server
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from josepy.jwa import ES256
from josepy.jwk import JWKEC
from requests.adapters import HTTPAdapter

from renderers.plan import AuthorityProbe

_SECONDS = 20
_PORT = 80


class PortTakenError(Exception):
    """Port 80 cannot be had, where the authority would ask."""


class NotIssuedError(Exception):
    """The authority gave none; the words are its own."""


def obtain(probe: AuthorityProbe, name: str) -> str:
    """Return a certificate for `name` and its chain as PEM. Takes some 30 seconds at most.

    Raises:
        PortTakenError: port 80 is taken, or needs more rights. NotIssuedError: the authority refuses, or cannot be reached.
    """
    try:
        acme = _client(probe)
        account = acme.new_account(messages.NewRegistration.from_data(terms_of_service_agreed=True))
        try:
            return _ordered(acme, probe, name)
        finally:
            with suppress(errors.Error, requests.RequestException):
                acme.deactivate_registration(account)
    except (errors.Error, messages.Error, requests.RequestException) as error:
        raise NotIssuedError(str(error)[:400] or type(error).__name__) from None


def _client(probe: AuthorityProbe) -> client.ClientV2:
    net = client.ClientNetwork(_key(), alg=ES256, timeout=_SECONDS)
    net.session.trust_env = False
    net.session.mount("https://", _AtOneAddress(probe))
    provisioner = probe.provisioners[0].partition(" ")[2]
    directory = f"https://{probe.host}:{probe.port}/acme/{provisioner}/directory"
    return client.ClientV2(client.ClientV2.get_directory(directory, net), net)


def _ordered(acme: client.ClientV2, probe: AuthorityProbe, name: str) -> str:
    deadline = dt.datetime.now() + dt.timedelta(seconds=_SECONDS)  # without a zone, as acme compares it
    order = acme.new_order(crypto_util.make_csr(_private_key(), [name]))
    for authorization in order.authorizations:
        asked = next(each for each in authorization.body.challenges if isinstance(each.chall, challenges.HTTP01))
        response, validation = asked.response_and_validation(acme.net.key)
        with _answering(probe.server, asked.chall, response, validation):
            told = acme.answer_challenge(asked, response).body
        if told.error:  # step-ca asks at once, and says why it is not content
            raise NotIssuedError(str(told.error.detail)[:400])
    return str(acme.poll_and_finalize(order, deadline).fullchain_pem)


@contextmanager
def _answering(address: str, challenge: Any, response: Any, validation: str) -> Iterator[None]:
    resource = HTTP01RequestHandler.HTTP01Resource(challenge, response, validation)
    try:
        server = HTTP01Server((address, _PORT), {resource}, timeout=_SECONDS)
    except OSError as error:
        raise PortTakenError(f"port {_PORT} at {address} cannot be had ({error.strerror})") from None
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _key() -> JWKEC:
    return JWKEC(key=ec.generate_private_key(ec.SECP256R1()))


def _private_key() -> bytes:
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(*form)


class _AtOneAddress(HTTPAdapter):
    """Finds the authority at its address without asking any resolver, knows it by its name, and believes the home's root alone."""

    def __init__(self, probe: AuthorityProbe) -> None:
        self._probe = probe
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
        more |= {"server_hostname": self._probe.host, "assert_hostname": self._probe.host}
        super().init_poolmanager(*arguments, **more)

    def send(self, request: requests.PreparedRequest, *arguments: Any, **more: Any) -> requests.Response:
        named = f"//{self._probe.host}:{self._probe.port}/"
        request.url = str(request.url).replace(named, f"//{self._probe.server}:{self._probe.port}/", 1)
        request.headers["Host"] = named.strip("/")
        return super().send(request, *arguments, **more | {"verify": self._probe.root})

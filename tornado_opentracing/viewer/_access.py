# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Who may see the traces; and what is said to whom they are closed, of how they are opened."""

from __future__ import annotations

import inspect
import ipaddress
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tornado.httputil import HTTPServerRequest

logger = logging.getLogger("tornado_opentracing")

#: What a proxy adds to what it passes on: who asks is then somebody else than who is connected.
_OF_PROXIES = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip")

_NOT_DEBUG = "outside of debug mode, viewer_routes needs allow= to say who may see the traces"
_NOT_ALLOWED = "allow= of viewer_routes says no"
_NO_PROXY = "in debug mode nobody sees it through a proxy, unless viewer_routes has allow="
_NOT_LOOPBACK = "in debug mode it is seen from this machine only, unless viewer_routes has allow="
_OTHER_HOST = "it is asked for by a name that viewer_routes does not know: name it in hosts="


class Access:
    """What ``viewer_routes`` was told of who may see.

    :param allow: ``allow(request)``, or ``None``.
    :param hosts: names beyond loopback's by which the viewer may be asked for.
    :raises TypeError: for an ``allow`` that cannot be asked, or hosts that are no names.
    """

    def __init__(self, allow: Callable[[HTTPServerRequest], object] | None, hosts: Iterable[str]) -> None:
        if allow is not None and not callable(allow):
            raise TypeError(f"allow must be callable, not {allow!r}")
        if inspect.iscoroutinefunction(allow):
            raise TypeError(f"allow must be a plain function, not the coroutine {allow!r}")
        if isinstance(hosts, (str, bytes)) or not isinstance(hosts, Iterable):
            raise TypeError(f"hosts must be a list of names, not {hosts!r}")
        names = list(hosts)
        if not all(isinstance(name, str) for name in names):
            raise TypeError(f"hosts must be a list of names, not {names!r}")
        self._allow = allow
        self._hosts = frozenset(name.lower() for name in names)
        self._told: set[str] = set()

    def refusal(self, request: HTTPServerRequest, *, is_debug: bool) -> str | None:
        """Why a request is not answered; ``None`` where it is.

        :raises TypeError: where ``allow`` answers with an awaitable. What ``allow`` raises is passed on.
        """
        reason = self._reason(request, is_debug)
        if reason is not None and reason not in self._told:
            self._told.add(reason)
            logger.warning("the trace viewer is closed to %s: %s", request.remote_ip, reason)
        return reason

    def _reason(self, request: HTTPServerRequest, is_debug: bool) -> str | None:
        if self._allow is None and not is_debug:
            return _NOT_DEBUG
        # Whatever allow says: a page of elsewhere, which has a name of its own lead here, is the visitor's own browser.
        host = request.host_name.rstrip(".")
        if not _cannot_be_rebound(host) and host not in self._hosts:
            return _OTHER_HOST
        if self._allow is None:
            if any(name in request.headers for name in _OF_PROXIES):
                return _NO_PROXY
            return None if _is_loopback(request) else _NOT_LOOPBACK
        answer = self._allow(request)
        if inspect.isawaitable(answer):  # which is true, whatever it would say
            raise TypeError("allow must answer at once, not with an awaitable")
        return None if answer else _NOT_ALLOWED


def _cannot_be_rebound(host: str) -> bool:
    """Whether no page of elsewhere can have this host: its name would have to lead here, by a DNS of its own."""
    return _address(host.strip("[]")) is not None or host == "localhost" or host.endswith(".localhost")


def _is_loopback(request: HTTPServerRequest) -> bool:
    """Whether who is connected is of this machine, whatever the request's headers say of that.

    A socket in the file system has no address: what is connected there is a proxy, mostly.
    """
    peer: Any = getattr(getattr(request.connection, "context", None), "address", None)
    address = _address(str(peer[0])) if isinstance(peer, tuple) and peer else None
    mapped = getattr(address, "ipv4_mapped", None)
    return address is not None and (mapped or address).is_loopback


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None

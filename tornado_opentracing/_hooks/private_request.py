# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The private copy of a request, which is sent in place of the caller's.

``fetch`` sets ``request.headers`` on the object it is given, and headers are read when the connection is made: two
concurrent fetches of one ``HTTPRequest`` would both send the headers that were injected last. So each fetch has a copy
of its own, and the caller's object is not touched until the fetch is over; then it is given what was done to the copy.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from tornado.httpclient import HTTPRequest, HTTPResponse
from tornado.httputil import HTTPHeaders

from tornado_opentracing._guard import report
from tornado_opentracing._hooks import callbacks
from tornado_opentracing._spans.fetch import FetchSpan

#: What headers that were sent keep: those that were injected, and the headers without them.
_SENT = "_tornado_opentracing"


def made_of(url: Any, kwargs: Mapping[str, Any]) -> HTTPRequest | None:
    """The request that ``fetch`` would make of its arguments, or ``None`` where they make none."""
    try:
        own = HTTPRequest(url, **kwargs)
        if kwargs:
            own.headers = _copied(own.headers)
            callbacks.keep_context(own)
    except Exception:
        return None
    return own


def copy_of(request: HTTPRequest) -> HTTPRequest | None:
    """A copy of the caller's request, or ``None`` where its headers are none."""
    try:
        own = None if type(request) is HTTPRequest else _copy_by_its_class(request)
        if own is None:
            # What copy() does, too, by way of asking how it is to be pickled, which takes ten times as long.
            own = object.__new__(type(request))
            own.__dict__ = request.__dict__.copy()
        own.headers = _copied(own.headers)
        callbacks.keep_context(own)
    except Exception:
        return None
    return own


def _copy_by_its_class(request: HTTPRequest) -> HTTPRequest | None:
    try:
        own = copy.copy(request)
    except Exception:
        return None
    return None if own is request else own


def _copied(headers: Any) -> Any:
    """A copy of headers, without what an earlier fetch injected into them.

    It is of the caller's kind: Tornado finds what is wrong with a header in a dict later than in ``HTTPHeaders``.
    """
    return _without_injected(headers) if isinstance(headers, HTTPHeaders) else dict(headers)


def _without_injected(headers: HTTPHeaders) -> HTTPHeaders:
    sent = vars(headers).get(_SENT)
    if sent is None:
        return HTTPHeaders(headers)
    injected, before = sent
    return _restored(headers, [name for name in injected if headers.get(name) == injected[name]], before)


def _restored(headers: HTTPHeaders, names: Iterable[str], before: Any) -> HTTPHeaders:
    """A copy of headers, in which some are as they were before."""
    found = HTTPHeaders(headers)
    given = HTTPHeaders(before or {})
    for name in names:
        if name in found:
            del found[name]
        for value in given.get_list(name):
            found.add(name, value)
    return found


def forget_injected(request: HTTPRequest) -> None:
    """Take out of a request what an earlier fetch injected, for a fetch that is not traced."""
    headers: Any = request.headers
    if isinstance(headers, HTTPHeaders) and _SENT in vars(headers):
        request.headers = _without_injected(headers)


def shown(headers: Any) -> dict[str, Any]:
    """Headers as they are now, to compare them with what they are later."""
    if isinstance(headers, HTTPHeaders):
        return {name: tuple(values) for name, values in headers._as_list.items()}
    return dict(headers)


def send_for(request: HTTPRequest, before: Mapping[str, Any], state: FetchSpan, *, is_tornados: bool) -> None:
    """Remember for whose request the private copy is sent.

    :param before: the copy's headers before the span was started and injected.
    :param is_tornados: whether Tornado alone has a hand in it, which changes nothing of a request but its headers.
    """
    own = state.own
    if own is not None:
        state.request = request
        state.headers = own.headers if is_tornados else None
        state.attributes = None if is_tornados else vars(own).copy()
        is_plain = not before and state.options.start_span_cb is None
        state.changed = () if is_plain else _changed(before, own.headers, state.injected)


def _changed(before: Mapping[str, Any], headers: Any, injected: Mapping[str, str]) -> Collection[str]:
    try:
        after = shown(headers)
    except Exception:  # whatever it is that a callback has put there
        return ()
    known = {name.lower() for name in injected}
    return [name for name in {*before, *after} if before.get(name) != after.get(name) and name.lower() not in known]


def give(own: HTTPRequest, state: FetchSpan) -> None:
    """Give the copy itself to a caller who gave but a URL, with the callbacks as they were given."""
    headers: Any = own.headers
    if type(headers) is HTTPHeaders:
        headers._tornado_opentracing = (state.injected, None)  # type: ignore[attr-defined]
    if state.callbacks:
        own.__dict__.update(state.callbacks)


def hand_back(state: FetchSpan, response: Any = None) -> None:
    """Give the caller's request what it would have now if it had been sent itself, and the injected headers.

    :param response: what is to name the caller's request as its own, instead of the copy.
    """
    own, request = state.own, state.request
    if own is None or request is None:
        return
    try:
        if isinstance(response, HTTPResponse) and response.request is own:
            response.request = request
        if state.attributes is not None:
            _hand_back_attributes(request, own, state.attributes)
        headers: Any = own.headers
        if headers is state.headers:  # they are handed back, and the caller's to change
            return
        state.headers = headers
        before = _before(request.headers)
        if state.changed:
            headers = _restored(headers, state.changed, before)
        if state.injected and isinstance(headers, HTTPHeaders):
            headers._tornado_opentracing = (state.injected, before)  # type: ignore[attr-defined]
        request.headers = headers
    except Exception:  # a request of somebody's own class
        report("handing back a request")


def _hand_back_attributes(request: HTTPRequest, own: HTTPRequest, before: dict[str, Any]) -> None:
    for name, value in vars(own).items():
        if name != "_headers" and before.get(name, own) is not value:
            vars(request)[name] = before[name] = value


def _before(headers: Any) -> Any:
    return vars(headers).get(_SENT, (None, headers))[1] if isinstance(headers, HTTPHeaders) else headers

# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What a developer can set: one immutable object, checked when it is made."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from tornado_opentracing._redaction import DEFAULT_QUERY_PARAMS
from tornado_opentracing._settings import attributes
from tornado_opentracing._settings.seconds import seconds

if TYPE_CHECKING:
    from opentracing import Span
    from tornado.httpclient import HTTPRequest
    from tornado.httputil import HTTPServerRequest
    from tornado.web import RequestHandler
    from tornado.websocket import WebSocketHandler

# What a callback is given differs between server and client spans, so it takes Any.
StartSpanCallback = Callable[["Span", Any], object]
FinishSpanCallback = Callable[["Span", Any], object]
OperationName = Literal["handler", "route"] | Callable[["RequestHandler"], str]
RequestFilter = Callable[["HTTPServerRequest"], object]
FetchFilter = Callable[["HTTPRequest"], object]
AcceptParent = bool | Callable[["HTTPServerRequest"], object]
WebSocketMessages = bool | Literal["both"]
MessageFilter = Callable[["WebSocketHandler", Any], object]
Background = Literal["detached", "inherit", "link"]

PREFIX = "opentracing_"


class OptionValues(TypedDict, total=False):
    """The keywords of ``init_tracing`` and ``TornadoTracing``, beside ``tracer`` and ``start_span_cb``.

    Each is also a setting of an Application, with ``opentracing_`` in front.
    """

    trace_all: bool
    trace_client: bool
    traced_attributes: Iterable[str]
    operation_name: OperationName
    excluded_paths: Iterable[str | re.Pattern[str]]
    request_filter: RequestFilter | None
    finish_span_cb: FinishSpanCallback | None
    traced_request_headers: Iterable[str]
    traced_response_headers: Iterable[str]
    unredacted_headers: Iterable[str]
    redacted_query_params: Iterable[str]
    inject_response_headers: bool
    trace_websocket_messages: WebSocketMessages
    websocket_message_filter: MessageFilter | None
    trace_websocket_connection: bool
    trace_templates: bool
    background: Background
    accept_parent: AcceptParent
    client_filter: FetchFilter | None
    propagation_filter: FetchFilter | None
    server_error_statuses: Iterable[int]
    client_error_statuses: Iterable[int]
    blocked_after: float | None


#: Tornado's own, of a fetch that got no response.
_NO_RESPONSE = 599
_STATUSES = range(100, 1000)
SERVER_ERRORS = frozenset(range(500, 1000))


# With slots, for it has defaults: CPython takes its time to look for what may be on the class or on the instance.
@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The options in force, with their defaults, as :func:`checked` returns them."""

    start_span_cb: StartSpanCallback | None = None
    trace_all: bool = True
    trace_client: bool = True
    traced_attributes: tuple[str, ...] = ()
    #: ``None``: the handler's name, or what the tracer calls a request that it describes itself.
    operation_name: OperationName | None = None
    excluded_paths: tuple[re.Pattern[str], ...] = ()
    request_filter: RequestFilter | None = None
    finish_span_cb: FinishSpanCallback | None = None
    traced_request_headers: tuple[str, ...] = ()
    traced_response_headers: tuple[str, ...] = ()
    unredacted_headers: frozenset[str] = frozenset()
    redacted_query_params: frozenset[str] = DEFAULT_QUERY_PARAMS
    inject_response_headers: bool = False
    trace_websocket_messages: WebSocketMessages = False
    websocket_message_filter: MessageFilter | None = None
    trace_websocket_connection: bool = False
    trace_templates: bool = False
    background: Background = "detached"
    accept_parent: AcceptParent = True
    client_filter: FetchFilter | None = None
    propagation_filter: FetchFilter | None = None
    server_error_statuses: frozenset[int] = SERVER_ERRORS
    client_error_statuses: frozenset[int] = SERVER_ERRORS
    blocked_after: float | None = None


def checked(values: Mapping[str, Any], prefix: str = "", others: Iterable[str] = ()) -> dict[str, Any]:
    """Return the values as :class:`Options` holds them.

    :param values: options by name.
    :param prefix: what stands before the name in the developer's code, for messages.
    :param others: further names to tell of in a message.
    :raises TypeError: an option is unknown, or its value has the wrong type; the message names it.
    :raises ValueError: a value is of the right type but means nothing; the message names the option.
    """
    result = {}
    for name, value in values.items():
        check = _CHECKS.get(name)
        if check is None:
            raise TypeError(_unknown(name, prefix, sorted([*_CHECKS, *others])))
        try:
            result[name] = check(value)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{prefix}{name} {error}") from None
    return result


def _unknown(name: str, prefix: str, known: list[str]) -> str:
    import difflib  # noqa: PLC0415 - nobody else needs it

    likely = difflib.get_close_matches(name, known, 1)
    meant = f" (did you mean {prefix}{likely[0]}?)" if likely else ""
    return f"{prefix}{name} is not an option{meant}; the options are {', '.join(prefix + option for option in known)}"


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"must be True or False, not {value!r}")
    return value


def _callback(value: Any) -> Any:
    if value is not None and not callable(value):
        raise TypeError(f"must be callable, not {value!r}")
    if inspect.iscoroutinefunction(value):
        raise TypeError(f"must be a plain function, which is not awaited, not the coroutine function {value!r}")
    return value


def _operation_name(value: Any) -> Any:
    if not callable(value) and value not in ("handler", "route"):
        raise ValueError(f"must be 'handler', 'route' or callable, not {value!r}")
    return _callback(value) if callable(value) else value


def _websocket_messages(value: Any) -> Any:
    if not isinstance(value, bool) and value != "both":
        raise TypeError(f"must be True, False or 'both', not {value!r}")
    return value


def _background(value: Any) -> Any:
    if value not in ("detached", "inherit", "link"):
        raise ValueError(f"must be 'detached', 'inherit' or 'link', not {value!r}")
    return value


def _items(value: Any, kinds: tuple[type, ...], what: str) -> tuple[Any, ...]:
    # A single string, which can be iterated too, is taken for the mistake that it is.
    if isinstance(value, kinds):
        raise TypeError(f"must be a list of {what}, not {value!r}: put it in brackets, [{value!r}]")
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise TypeError(f"must be a list of {what}, not {value!r}")
    result = tuple(value)
    for item in result:
        if not isinstance(item, kinds):
            raise TypeError(f"must be a list of {what}, but contains {item!r}")
    return result


def names(value: Any) -> tuple[str, ...]:
    """Check an iterable of strings."""
    return _items(value, (str,), "names")


def attribute_names(value: Any) -> tuple[str, ...]:
    """Check an iterable of names of attributes that a request has."""
    return attributes.existing(names(value))


def _lower_names(value: Any) -> frozenset[str]:
    return frozenset(name.lower() for name in names(value))


def _accept_parent(value: Any) -> Any:
    if not isinstance(value, bool) and not callable(value):
        raise TypeError(f"must be True, False or callable, not {value!r}")
    return _callback(value) if callable(value) else value


def _statuses(value: Any) -> frozenset[int]:
    if isinstance(value, range) and value and not (value[0] in _STATUSES and value[-1] in _STATUSES):
        raise ValueError(f"must contain statuses from 100 to 999, not {value!r}")  # nor be walked through, however long
    statuses = _items(value, (int,), "statuses")
    for status in statuses:
        if isinstance(status, bool) or status not in _STATUSES:
            raise ValueError(f"must contain statuses from 100 to 999, not {status!r}")
    return frozenset(int(status) for status in statuses)


def _patterns(value: Any) -> tuple[re.Pattern[str], ...]:
    patterns = []
    for item in _items(value, (str, re.Pattern), "regular expressions"):
        try:
            patterns.append(re.compile(item))
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"contains {item!r}, which is no regular expression: {error}") from None
        if isinstance(patterns[-1].pattern, bytes):
            raise TypeError(f"must be a list of regular expressions for strings, but contains {item!r}")
    return tuple(patterns)


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "start_span_cb": _callback,
    "trace_all": _flag,
    "trace_client": _flag,
    "traced_attributes": attribute_names,
    "operation_name": _operation_name,
    "excluded_paths": _patterns,
    "request_filter": _callback,
    "finish_span_cb": _callback,
    "traced_request_headers": names,
    "traced_response_headers": names,
    "unredacted_headers": _lower_names,
    "redacted_query_params": lambda value: frozenset(names(value)),
    "inject_response_headers": _flag,
    "trace_websocket_messages": _websocket_messages,
    "websocket_message_filter": _callback,
    "trace_websocket_connection": _flag,
    "trace_templates": _flag,
    "background": _background,
    "accept_parent": _accept_parent,
    "client_filter": _callback,
    "propagation_filter": _callback,
    "server_error_statuses": _statuses,
    "blocked_after": seconds,
    "client_error_statuses": lambda value: _statuses(value) | {_NO_RESPONSE},
}

"""What a developer can set: one immutable object, checked when it is made."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from opentracing import Span
    from tornado.httpclient import HTTPRequest
    from tornado.httputil import HTTPServerRequest

StartSpanCallback = Callable[["Span", "HTTPServerRequest | HTTPRequest"], object]

PREFIX = "opentracing_"


class OptionValues(TypedDict, total=False):
    """The keywords of ``init_tracing`` and ``TornadoTracing``, beside ``tracer`` and ``start_span_cb``.

    Each is also a setting of an Application, with ``opentracing_`` in front.
    """

    trace_all: bool
    trace_client: bool
    traced_attributes: Iterable[str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options in force, with their defaults."""

    start_span_cb: StartSpanCallback | None = None
    trace_all: bool = True
    trace_client: bool = True
    traced_attributes: tuple[str, ...] = ()


def checked(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values as :class:`Options` holds them.

    :param values: options by name.
    :param prefix: what stands before the name in the developer's code, for messages.
    :raises TypeError: an option is unknown, or its value has the wrong type; the message names it.
    """
    result = {}
    for name, value in values.items():
        check = _CHECKS.get(name)
        if check is None:
            raise TypeError(f"{prefix}{name} is not an option; the options are {', '.join(sorted(_CHECKS))}")
        try:
            result[name] = check(value)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{prefix}{name} {error}") from None
    return result


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"must be True or False, not {value!r}")
    return value


def _callback(value: Any) -> Any:
    if value is not None and not callable(value):
        raise TypeError(f"must be callable, not {value!r}")
    return value


def names(value: Any) -> tuple[str, ...]:
    """Check an iterable of strings; a single string, which is one too, is taken for the mistake that it is."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise TypeError(f"must be a list of names, not {value!r}")
    result = tuple(value)
    for name in result:
        if not isinstance(name, str):
            raise TypeError(f"must be a list of names, but contains {name!r}")
    return result


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "start_span_cb": _callback,
    "trace_all": _flag,
    "trace_client": _flag,
    "traced_attributes": names,
}

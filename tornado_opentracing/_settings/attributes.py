# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Which attributes of a request can be set as tags."""

from __future__ import annotations

from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine


def _public() -> tuple[str, ...]:
    # Some are the class's, most are the instance's alone, and which there are is for this version of Tornado to say.
    request = HTTPServerRequest(
        start_line=RequestStartLine("GET", "/", "HTTP/1.1"), headers=HTTPHeaders({"Host": "localhost"})
    )
    # Not dir(request): it uses up the room that CPython has for attributes of requests, and one more, such as the span,
    # would cost each of them a dictionary.
    return tuple(sorted(name for name in {*dir(HTTPServerRequest), *vars(request)} if not name.startswith("_")))


#: The attributes of an ``HTTPServerRequest``, and its methods, each of which can be called without arguments.
OF_REQUEST = _public()


def existing(names: tuple[str, ...]) -> tuple[str, ...]:
    """Check that a request has these attributes.

    :raises ValueError: there is no such attribute.
    """
    for name in names:
        if name not in OF_REQUEST:
            raise ValueError(f"must be attributes of HTTPServerRequest ({', '.join(OF_REQUEST)}), not {name!r}")
    return names

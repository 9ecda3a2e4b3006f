# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What stands on the command line before the program: the options of ``init_tracing``, and the viewer's."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from tornado.util import import_object

DESCRIPTION = """\
Run a program that uses Tornado, traced, and show its traces in the browser. Nothing of the program is changed; one that
calls init_tracing itself keeps what it asked for."""

_FLAGS = (
    "trace_all", "trace_client", "inject_response_headers", "trace_websocket_connection", "trace_templates",
    "accept_parent",
)  # fmt: skip
_NAMES = (
    "traced_attributes", "traced_request_headers", "traced_response_headers", "unredacted_headers",
    "redacted_query_params",
)  # fmt: skip
_STATUSES = ("server_error_statuses", "client_error_statuses")
_CALLABLES = (
    "start_span_cb",
    "finish_span_cb",
    "request_filter",
    "client_filter",
    "propagation_filter",
    "websocket_message_filter",
)

_MESSAGES: dict[str, bool | str] = {"no": False, "received": True, "both": "both"}

#: What ``init_tracing`` is given beside what the command line says.
DEFAULTS: dict[str, Any] = {"trace_websocket_messages": True, "trace_templates": True, "blocked_after": 0.1}


def parser() -> argparse.ArgumentParser:
    """The parser of what comes before the program."""
    made = argparse.ArgumentParser(
        prog="tornado-opentracing",
        description=DESCRIPTION,
        usage="%(prog)s [options] (program.py | -m module) [arguments of the program]",
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    viewer = made.add_argument_group("viewer")
    viewer.add_argument("--port", type=_port, default=8765, help="where the viewer listens (default: %(default)s)")
    viewer.add_argument("--host", default="127.0.0.1", help="on which address (default: %(default)s)")
    viewer.add_argument(
        "--hosts", type=_names, default=[], metavar="NAME,...", help="by which names it may be asked for, too"
    )
    viewer.add_argument("--db", default=None, help="the file in which traces are kept from one run to the next")
    viewer.add_argument("--open", action="store_true", default=False, help="open it in the browser")
    viewer.add_argument("--service", default=None, help="the service's name (default: the program's)")
    viewer.add_argument("--max-bytes", type=int, default=64 * 1024 * 1024, help="of traces that are kept")
    viewer.add_argument(
        "--otlp", action="store_true", default=False, help="export over OTLP, too, as OTEL_* variables say"
    )
    viewer.add_argument(
        "--no-viewer", action="store_false", dest="viewer", default=True, help="with --otlp: that alone"
    )
    options = made.add_argument_group("options of init_tracing")
    for name in _FLAGS:
        options.add_argument(_flag(name), action=argparse.BooleanOptionalAction, dest=name)
    for name in _NAMES:
        options.add_argument(_flag(name), type=_names, dest=name, metavar="NAME,...")
    for name in _STATUSES:
        options.add_argument(_flag(name), type=_statuses, dest=name, metavar="500-599,...")
    for name in _CALLABLES:
        options.add_argument(_flag(name), dest=name, metavar="MODULE.FUNCTION")
    options.add_argument(
        "--blocked-after", type=_seconds, dest="blocked_after", metavar="SECONDS", help="default: 0.1; 0 for never"
    )
    options.add_argument("--trace-websocket-messages", choices=list(_MESSAGES), dest="trace_websocket_messages")
    options.add_argument("--background", dest="background", metavar="detached|inherit|link")
    options.add_argument("--operation-name", dest="operation_name", metavar="handler|route|MODULE.FUNCTION")
    options.add_argument(
        "--excluded-paths", action="append", dest="excluded_paths", metavar="REGEX", help="may be given repeatedly"
    )
    made.add_argument("-m", dest="module", default=None, help="run a module, as python -m does")
    made.add_argument("program", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return made


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read a command line: what follows the program, or ``-m`` and the module, is the program's own."""
    made = parser()
    own, rest = _divide(made, arguments)
    found = made.parse_args(own)
    found.program = rest
    #: What is the command's own, without what names the program.
    found.own = own
    if found.module is not None:
        found.own = own[:-2] if own[-2:-1] == ["-m"] else own[:-1]
    if found.module is None and not rest:
        made.error("which program? give its file, or -m and its module")
    if not found.viewer and not found.otlp:
        made.error("argument --no-viewer: without --otlp, the traces would be nowhere")
    return found


def options_of(found: argparse.Namespace) -> dict[str, Any]:
    """The options of ``init_tracing``; callables are imported, and so where the program's modules are found.

    :raises ImportError: for a callable that is not there; names the option.
    """
    named = (
        "blocked_after",
        "background",
        *_FLAGS,
        *_NAMES,
        *_STATUSES,
        *_CALLABLES,
        "operation_name",
        "excluded_paths",
    )
    options = {**DEFAULTS, **{name: getattr(found, name) for name in named if hasattr(found, name)}}
    if hasattr(found, "trace_websocket_messages"):
        options["trace_websocket_messages"] = _MESSAGES[found.trace_websocket_messages]
    for name in (*_CALLABLES, "operation_name"):
        if name in options and options[name] not in ("handler", "route"):
            options[name] = _imported(name, options[name])
    return options


def _divide(made: argparse.ArgumentParser, arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The command's own arguments, and those from the program on: argparse would look for its own among these too."""
    taking_values = {flag for action in made._actions for flag in action.option_strings if action.nargs != 0}
    position = 0
    while position < len(arguments):
        argument = arguments[position]
        if argument == "--":
            return list(arguments[:position]), list(arguments[position + 1 :])
        if not argument.startswith("-") or argument == "-":
            break
        if argument.startswith("-m"):  # like Python's, the last of ours
            position += 1 if argument != "-m" else 2
            break
        position += 2 if argument in taking_values else 1
    return list(arguments[:position]), list(arguments[position:])


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _imported(name: str, dotted: str) -> Any:
    try:
        return import_object(dotted)
    except (ImportError, ValueError) as error:
        what = "is neither handler nor route, and cannot" if name == "operation_name" else "cannot"
        raise ImportError(f"argument {_flag(name)}: {dotted!r} {what} be imported: {error}") from error


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _statuses(text: str) -> list[int]:
    found: list[int] = []
    for part in _names(text):
        first, _, last = part.partition("-")
        try:
            found += range(int(first), int(last or first) + 1)
        except ValueError:
            message = f"{part!r} is neither a status nor a range of them, such as 500-599"
            raise argparse.ArgumentTypeError(message) from None
    return found


def _seconds(text: str) -> float | None:
    try:
        return float(text) or None
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds") from None


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) < 2**16):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 65535")
    return int(text)

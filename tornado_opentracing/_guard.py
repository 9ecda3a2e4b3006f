"""What is done with a failure that is not the application's: a tracer's, or a callback's.

It is logged once, with its secrets redacted, and never seen by the application.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import sys
import threading
import time
import traceback
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from tornado_opentracing import _redaction

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

    from opentracing import Span

logger = logging.getLogger("tornado_opentracing")

_REPORT_INTERVAL = 60.0
#: The texts of so many exceptions of a chain or a group are shown.
_MOST_EXCEPTIONS = 100

#: And of so many members of one group, which is what ``traceback`` formats of them.
_MOST_MEMBERS = 15

_reported: dict[str, tuple[float, int]] = {}
_counting = threading.RLock()  # the collector may call a finalizer in the middle of it, which fails too


def report(doing: str) -> None:
    """Log the exception being handled, which is a tracer's or a callback's, and go on.

    At most once a minute for each thing that can fail, so that a broken tracer cannot flood the log. What a handler or
    a filter of the log raises does not reach the application either: it is told of on ``sys.stderr``, the only place
    that is left.
    """
    now = time.monotonic()
    with _counting:
        last, left_out = _reported.get(doing, (-_REPORT_INTERVAL, 0))
        if now - last < _REPORT_INTERVAL:
            _reported[doing] = (last, left_out + 1)
            return
        _reported[doing] = (now, 0)
    exc_info = sys.exc_info()
    try:
        _log(doing, left_out, exc_info)
    except Exception as error:
        with contextlib.suppress(Exception):  # there may be no stderr
            sys.stderr.write(f"{logger.name}: logging that {doing} failed: {format_exception(error)}\n")


def _log(doing: str, left_out: int, exc_info: Any) -> None:
    if logger.isEnabledFor(logging.WARNING):
        message = "%s failed; the application is not affected"
        if left_out:
            message += f" ({left_out} more since the last report)"
        record = logger.makeRecord(logger.name, logging.WARNING, __file__, 0, message, (doing,), exc_info, "report")
        # What a formatter would otherwise make of the exception: its text may contain the request's secrets.
        record.exc_text = format_exception(exc_info[1])
        logger.handle(record)


def call_back(name: str, callback: Callable[[Span, Any], object], span: Span, subject: Any) -> None:
    """Call a callback of the application."""
    try:
        callback(span, subject)
    except Exception:
        report(name)


def unless_false(answer: object) -> bool:
    """What an answer means where only ``False`` is a no."""
    return answer is not False


def ask(
    name: str,
    question: Callable[[Any], object],
    subject: Any,
    *,
    otherwise: bool,
    meaning: Callable[[object], bool] = unless_false,
) -> bool:
    """Ask a callback of the application.

    :param otherwise: the answer where it raises, or has none to give at once.
    :param meaning: what its answer means.
    """
    try:
        answer = question(subject)
        if inspect.isawaitable(answer):
            raise TypeError(f"{name} must answer at once, not with an awaitable")
        return meaning(answer)
    except Exception:
        report(name)
        return otherwise


def exception_message(error: BaseException, secrets: Collection[str] | None = None) -> str:
    """An exception's text, redacted and bounded; where it has none, for its ``str`` raises, that is what it says.

    :param secrets: names of parameters; all that were ever asked for where it is ``None``.
    """
    try:
        return _redaction.redact_text(str(error), _redaction.known_names() if secrets is None else secrets)
    except Exception as failure:
        return f"<the message could not be made: {type(failure).__name__} in {type(error).__name__}.__str__>"


def format_exception(error: BaseException, secrets: Collection[str] | None = None) -> str:
    """An exception's traceback as text, redacted and bounded.

    Each exception's own text is redacted before it is put among the frames: that of causes, contexts and members of
    groups, notes, and the source that a ``SyntaxError`` is about. The source lines of frames are the program's, and are
    shown as they are. Without the carets, which take longer than all the rest to place.

    :param secrets: names of parameters; all that were ever asked for where it is ``None``.
    """
    names = _redaction.known_names() if secrets is None else secrets
    try:
        formatted = _traceback_of(error)
        for number, each in enumerate(_exceptions_in(formatted)):
            _redact(each, names if number < _MOST_EXCEPTIONS else None)
        text = "".join(formatted.format()).rstrip("\n")
    except Exception:  # what of the exception is asked for may be anything
        text = "\n".join(
            [
                "Traceback (most recent call last):",
                *_frames_of(error),
                f"{type(error).__name__}: {exception_message(error, names)}",
            ]
        )
    return _redaction.clip(text, _redaction.LONGEST_STACK)


def _traceback_of(error: BaseException) -> traceback.TracebackException:
    # Only with it do these tell which name was meant.
    named = error.__traceback__ if isinstance(error, (NameError, AttributeError)) else None
    formatted = traceback.TracebackException(type(error), error, named, compact=True)
    formatted.stack = _Stack(traceback.walk_tb(error.__traceback__))
    return formatted


class _Stack(traceback.StackSummary):
    """The frames of a traceback: how one is shown is found out once for each place in the program.

    To look up its line again each time takes longer than all the rest that is done for a request.
    """

    # A frame that was shown so often in a row is only counted.
    _MOST_REPEATED = 3

    def __init__(self, frames: Iterable[tuple[FrameType, int]]) -> None:
        super().__init__()
        self._frames = list(frames)

    def __bool__(self) -> bool:
        return bool(self._frames)

    def format(self, **_how: object) -> list[str]:
        lines: list[str] = []
        last, times = "", 0
        for frame, number in self._frames:
            shown = _shown.get((id(frame.f_code), number))
            line = _show(frame, number) if shown is None else shown[1]
            if line != last:
                lines += _repeated(times - self._MOST_REPEATED)
                last, times = line, 0
            times += 1
            if times <= self._MOST_REPEATED:
                lines.append(line)
        return lines + _repeated(times - self._MOST_REPEATED)


#: By the id of the code, which is kept so that no other gets that: code of different files may be equal.
_shown: dict[tuple[int, int], tuple[CodeType, str]] = {}
_MOST_SHOWN = 4096


def _show(frame: FrameType, number: int) -> str:
    code = frame.f_code
    shown = "".join(traceback.StackSummary.extract(iter([(frame, number)])).format())
    if len(_shown) >= _MOST_SHOWN:
        _shown.clear()
    _shown[id(code), number] = (code, shown)
    return shown


def _repeated(times: int) -> list[str]:
    return [f"  [Previous line repeated {times} more time{'s' if times > 1 else ''}]\n"] if times > 0 else []


def _exceptions_in(formatted: Any) -> Iterator[Any]:
    """An exception, the members of a group, and what led to each of them."""
    waiting = [formatted]
    while waiting:
        each = waiting.pop()
        yield each
        members = (getattr(each, "exceptions", None) or [])[:_MOST_MEMBERS]
        others = (each.__cause__, each.__context__, *members)
        waiting += [other for other in others if other is not None]


def _redact(formatted: Any, names: Collection[str] | None) -> None:
    """Redact what is shown beside the frames; leave it out where there are no names."""

    def redacted(text: str) -> str:
        return "[left out]" if names is None else _redaction.redact_text(text, names)

    for name in ("_str", "msg", "text", "filename"):  # the first has no public name
        shown = getattr(formatted, name, None)
        if isinstance(shown, str):
            setattr(formatted, name, redacted(shown))
    formatted.offset = None  # where a SyntaxError's carets would be
    notes = getattr(formatted, "__notes__", None)
    if notes is not None:
        is_many = isinstance(notes, Sequence) and not isinstance(notes, (str, bytes))
        formatted.__notes__ = [redacted(_text_of(note)) for note in (notes if is_many else [notes])]


def _text_of(note: object) -> str:
    try:
        return str(note)
    except Exception:
        return f"<the note could not be made: {type(note).__name__}>"


def _frames_of(error: BaseException) -> list[str]:
    return [
        f'  File "{frame.f_code.co_filename}", line {line}, in {frame.f_code.co_name}'
        for frame, line in traceback.walk_tb(cast("Any", error.__traceback__))
    ]

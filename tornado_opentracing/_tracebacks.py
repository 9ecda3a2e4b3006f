# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""How an exception is shown: its text and its stack trace, with their secrets redacted and within bounds."""

from __future__ import annotations

import traceback
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from tornado_opentracing import _redaction

if TYPE_CHECKING:
    from types import CodeType, FrameType

#: The texts of so many exceptions of a chain or a group are shown.
_MOST_EXCEPTIONS = 100

#: And of so many members of one group, which is what ``traceback`` formats of them.
_MOST_MEMBERS = 15


def exception_message(error: BaseException, secrets: Collection[str] | None = None) -> str:
    """An exception's text, redacted and bounded; where it has none, for its ``str`` raises, that is what it says.

    :param secrets: names of parameters; all that were ever asked for where it is ``None``.
    """
    try:
        return _redaction.redact_text(str(error), _redaction.known_names() if secrets is None else secrets)
    except Exception as failure:
        return f"<the message could not be made: {type(failure).__name__} in {type(error).__name__}.__str__>"


def format_exception(error: BaseException, secrets: Collection[str] | None = None, message: str | None = None) -> str:
    """An exception's traceback as text, redacted and bounded.

    Each exception's own text is redacted before it is put among the frames: that of causes, contexts and members of
    groups, notes, and the source that a ``SyntaxError`` is about. The source lines of frames are the program's, and are
    shown as they are. Without the carets, which take longer than all the rest to place.

    :param secrets: names of parameters; all that were ever asked for where it is ``None``.
    :param message: what :func:`exception_message` has made of it, where that is known already.
    """
    names = _redaction.known_names() if secrets is None else secrets
    try:
        if _is_plain(error):
            # What the rest comes to where there is nothing but frames and a text.
            text = "".join([*_Stack(traceback.walk_tb(error.__traceback__)).shown(), _last_line(error, names, message)])
            return _redaction.clip(text, _redaction.LONGEST_STACK)
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


#: Exceptions of which more is shown than their text: the source they are about, or a name that may have been meant.
_MORE_TO_SHOW = (SyntaxError, NameError, AttributeError, ImportError)


def _is_plain(error: BaseException) -> bool:
    has_context = error.__context__ is not None and not error.__suppress_context__
    return not (
        has_context
        or error.__cause__ is not None
        or isinstance(error, _MORE_TO_SHOW)
        or hasattr(error, "exceptions")
        or hasattr(error, "__notes__")
    )


def _last_line(error: BaseException, names: Collection[str], message: str | None) -> str:
    kind = type(error)
    if message is None:
        message = exception_message(error, names)
    module = kind.__module__
    name = kind.__qualname__ if module in ("__main__", "builtins") else f"{module}.{kind.__qualname__}"
    return f"{name}: {message}" if message else name


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

    def shown(self) -> list[str]:
        """As it is shown above the exception."""
        return ["Traceback (most recent call last):\n", *self.format()] if self._frames else []

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

# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Running a program in this process as Python itself would run it: ``sys.argv``, ``sys.path`` and ``__main__``."""

from __future__ import annotations

import builtins
import contextlib
import importlib.machinery
import io
import os
import runpy
import sys
import types
from collections.abc import Callable
from typing import Any

from tornado import autoreload

_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep


def prepare(module: str | None, arguments: list[str], original: list[str]) -> None:
    """Have ``sys.argv`` and ``sys.path`` as the program expects them, and a reload come back here.

    :param module: what ``-m`` names, if it is that.
    :param arguments: the program's file, unless it is a module, and its arguments.
    :param original: this command's own arguments.
    """
    sys.argv = arguments[:] if module is None else ["-m", *arguments]
    if not getattr(sys.flags, "safe_path", False):
        if module is not None:
            sys.path[0] = os.getcwd()
        elif not _is_container(arguments[0]):
            sys.path[0] = os.path.dirname(os.path.realpath(arguments[0]))
        else:
            sys.path[0] = os.path.abspath(arguments[0])
    # As "python -m tornado.autoreload" has it: what is run again is this command, and by it the program.
    loaded = autoreload.__dict__
    loaded["_autoreload_is_main"] = True
    loaded["_original_argv"] = ["tornado_opentracing", *original]
    loaded["_original_spec"] = importlib.machinery.ModuleSpec("tornado_opentracing", None)


def run(module: str | None, before: Callable[[], object]) -> None:
    """Run it, to its end. An exception of its own ends the process as it would have, and shows no other frames.

    :param module: what ``-m`` names, if it is that.
    :param before: called before the first line of it is run, and not where it cannot be run: it is not there, say.
    """
    main = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = main
    try:
        if module is not None:
            _run_module(module, before)
        elif _is_container(sys.argv[0]):
            _run_module("__main__", before)
        else:
            _run_file(sys.argv[0], main, before)
    except BaseException as error:
        if not isinstance(error, SystemExit):
            _hide_own_frames(error)
        raise


def _run_module(name: str, before: Callable[[], object]) -> None:
    private: Any = runpy
    is_named = name != "__main__"
    # What is wrong with the module is said by what "python -m" itself calls.
    with contextlib.suppress(private._Error):
        if is_named:
            private._get_module_details(name, private._Error)
        else:
            private._get_main_module_details(private._Error)
        before()
    private._run_module_as_main(name, alter_argv=is_named)


def _run_file(path: str, main: types.ModuleType, before: Callable[[], object]) -> None:
    name = os.path.abspath(path)
    try:
        with io.open_code(name) as file:
            source = file.read()
    except OSError as error:
        sys.stderr.write(f"{sys.executable}: can't open file {path!r}: [Errno {error.errno}] {error.strerror}\n")
        raise SystemExit(2) from None
    main.__file__ = name
    main.__loader__ = importlib.machinery.SourceFileLoader("__main__", name)
    main.__dict__["__cached__"] = None
    code = compile(source, name, "exec", dont_inherit=True)
    before()
    exec(code, main.__dict__)  # noqa: S102 - it is what was asked for


def _is_container(path: str) -> bool:
    """Whether Python runs a ``__main__`` within it: a folder, or an archive."""
    if os.path.isdir(path):
        return True
    try:
        with open(path, "rb") as file:
            return file.read(2) == b"PK"
    except OSError:
        return False


def _hide_own_frames(error: BaseException) -> None:
    """Have Python, which is about to end the process for an exception, show the frames of the program alone."""
    ours = {runpy.__file__, "<frozen runpy>"}
    show = sys.excepthook

    def excepthook(kind: type[BaseException], raised: BaseException, traceback: types.TracebackType | None) -> None:
        while raised is error and traceback is not None and _is_of(traceback, ours):
            traceback = traceback.tb_next
        show(kind, raised.with_traceback(traceback), traceback)

    sys.excepthook = excepthook


def _is_of(traceback: types.TracebackType, files: set[str]) -> bool:
    name = traceback.tb_frame.f_code.co_filename
    return name in files or name.startswith(_PACKAGE)

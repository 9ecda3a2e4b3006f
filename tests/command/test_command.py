# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A program that the command runs is what it is without, but traced."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command.programs import COMMAND, ENVIRONMENT, SERVER, run, running, until
from tornado.httpclient import AsyncHTTPClient

from tornado_opentracing._command import arguments
from tornado_opentracing._settings.options import _CHECKS

TELLS = """
import pickle, sys
class Mine: pass
spec = getattr(__spec__, "name", None)
print(sys.argv, sys.path[0], __name__, __file__, spec, __package__, type(pickle.loads(pickle.dumps(Mine()))) is Mine)
print(sorted(set(globals()) - {"__cached__", "__annotations__"}))
sys.exit(3)
"""
FAILS = "def fail(): 1/0\nfail()\n"
LOGS = """
import logging, sys
from tornado.options import parse_command_line
logger = logging.getLogger("shop")
logger.warning("by the last resort")
{}
logger.info("as set up")
"""
CALLED_OFF = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n"


@pytest.mark.parametrize("how", ["tells.py -m --port 1", "-m tells --port 1 -m", "-m folder", "folder -- x"])
def test_a_program_finds_what_it_finds_without(tmp_path: Path, how: str) -> None:
    (tmp_path / "folder").mkdir()
    for path in ("tells.py", "folder/__main__.py"):
        (tmp_path / path).write_text(TELLS)
    assert run(tmp_path, *COMMAND, *how.split(), code=3) == run(tmp_path, *how.split(), code=3)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Programs can be interrupted, also where a shell has started the tests in the background, which ignore that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(("program", "code"), [(FAILS, 1), (CALLED_OFF, -2), ("x =", 1)])
def test_a_program_that_fails_ends_as_it_does_without(tmp_path: Path, program: str, code: int) -> None:
    (tmp_path / "fails.py").write_text(program)
    assert run(tmp_path, *COMMAND, "fails.py", code=code) == run(tmp_path, "fails.py", code=code)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (["nothing.py"], "can't open file 'nothing.py': [Errno 2] No such file or directory"),
        (["-m", "nothing.at.all"], "No module named 'nothing'"),
        (["."], "can't find '__main__' module in"),
    ],
)
def test_of_a_program_that_cannot_be_run_only_that_is_said(
    tmp_path: Path, program: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    done = subprocess.run([sys.executable, *COMMAND, *program], cwd=tmp_path, env=ENVIRONMENT, timeout=60, check=False)
    assert done.returncode in {1, 2}
    (line,) = capfd.readouterr().err.splitlines()
    assert said in line


@pytest.mark.parametrize("set_up", ["logging.basicConfig(level='INFO', format='%(message)s')", "parse_command_line()"])
def test_a_program_logs_what_and_where_it_does_without(tmp_path: Path, set_up: str) -> None:
    (tmp_path / "logs.py").write_text(LOGS.format(set_up))
    _, log = run(tmp_path, *COMMAND, "logs.py")
    assert [line.rpartition("] ")[2] for line in log.splitlines()] == ["by the last resort", "as set up"]


async def test_it_is_traced_as_asked_and_the_viewer_answers_while_the_loop_is_blocked(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(f"{SERVER}\nasyncio.run(main())\n")
    async with running(tmp_path, "--excluded-paths", "/left-.*", "--operation-name", "route", "shop.py") as program:
        url = f"http://127.0.0.1:{await program.line()}"
        for path in ("/page", "/left-out"):
            await AsyncHTTPClient().fetch(url + path)
        blocked = AsyncHTTPClient().fetch(f"{url}/blocks")
        assert await program.line() == "blocked"
        assert await program.operations() == ["GET /blocks", "GET /page"]
        assert [span["service"] for span in await program.spans()] == ["shop", "shop"]
        assert program.process.stdin is not None
        program.process.stdin.write(b"\n")
        await blocked
        assert await program.end() == -15


async def test_a_program_keeps_what_it_asks_for_itself(tmp_path: Path) -> None:
    own = """
from opentracing.mocktracer import MockTracer
from tornado_opentracing import ContextVarsScopeManager, init_tracing
tracer = MockTracer(ContextVarsScopeManager())
init_tracing(tracer)
class Count(RequestHandler):
    def get(self): self.write(str(len(tracer.finished_spans())))
"""
    (tmp_path / "shop.py").write_text(f"{SERVER.replace('/left-out', '/x')}{own}Page = Count\nasyncio.run(main())\n")
    async with running(tmp_path, "shop.py") as program:
        url = f"http://127.0.0.1:{await program.line()}/page"
        assert [(await AsyncHTTPClient().fetch(url)).body for _ in range(2)] == [b"0", b"1"]
        assert await program.operations() == []


async def test_what_is_exported_over_otlp_is_in_the_viewer_as_well(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(f"{SERVER}\nasyncio.run(main())\n")
    async with running(tmp_path, "--otlp", "shop.py", OTEL_TRACES_EXPORTER="console") as program:
        url = f"http://127.0.0.1:{await program.line()}"
        await AsyncHTTPClient().fetch(f"{url}/page")
        await until(program.spans)
        found = [(span["service"], span["tags"]["http.status_code"]) for span in await program.spans()]
        assert found == [("shop", 200)]
        assert await program.line() == "{"  # to the console


def test_every_option_has_its_name_on_the_command_line() -> None:
    flags = {flag for action in arguments.parser()._actions for flag in action.option_strings}
    assert {f"--{name.replace('_', '-')}" for name in _CHECKS} <= flags
    found = arguments.parse(
        ["--no-trace-client", "--server-error-statuses=500-502,429", "--traced-attributes", "method, path",
         "--finish-span-cb", "json.dumps", "--operation-name=route", "app.py", "--port=1"]
    )  # fmt: skip
    assert found.program == ["app.py", "--port=1"]
    assert (
        arguments.options_of(found).items()
        >= {
            "trace_client": False,
            "server_error_statuses": [500, 501, 502, 429],
            "traced_attributes": ["method", "path"],
            "operation_name": "route",
        }.items()
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("", "which program?"),
        ("-m", "argument -m: expected one argument"),
        ("--port x app.py", "argument --port: 'x' is no number from 0 to 65535"),
        ("--port 65536 app.py", "argument --port: '65536' is no number from 0 to 65535"),
        ("--nothing app.py", "unrecognized arguments: --nothing"),
        ("--server-error-statuses 500,5xx app.py", "argument --server-error-statuses: '5xx' is neither a status nor"),
        ("--blocked-after soon app.py", "argument --blocked-after: 'soon' is no number of seconds"),
        ("--no-viewer app.py", "argument --no-viewer: without --otlp"),
    ],
)
def test_what_is_wrong_on_the_command_line_is_said(wrong: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        arguments.parse(wrong.split())
    assert raised.value.code == 2
    assert f"error: {said}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("--operation-name rout", "argument --operation-name: 'rout' is neither handler nor route"),
        ("--start-span-cb nowhere.tag", "argument --start-span-cb: 'nowhere.tag' cannot be imported: No module"),
        ("--client-filter json.nothing", "argument --client-filter: 'json.nothing' cannot be imported"),
    ],
)
def test_a_callable_that_is_not_there_is_said_with_its_option(wrong: str, said: str) -> None:
    with pytest.raises(ImportError, match=re.escape(said)):
        arguments.options_of(arguments.parse([*wrong.split(), "app.py"]))


def test_otlp_without_its_extra_is_said_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "opentelemetry.py").write_text("raise ModuleNotFoundError('none', name='opentelemetry')\n")
    (tmp_path / "shop.py").write_text("")
    _, log = run(tmp_path, *COMMAND, "--otlp", "--no-viewer", "shop.py", code=2)
    assert "pip install 'tornado-opentracing[opentelemetry]'" in log


@pytest.mark.parametrize(
    "command", [[*COMMAND, "{}", "shop.py"], ["-m", "tornado_opentracing.viewer", "--port", "0", "{}"]]
)
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("--db=not/there.db", "argument --db: unable to open"),
        ("--host=192.0.2.1", "cannot listen on 192.0.2.1, port 0:"),
        ("--port=99999", "argument --port: '99999' is no number from 0 to 65535"),
    ],
)
def test_where_the_viewer_cannot_be_is_said(tmp_path: Path, command: list[str], wrong: str, said: str) -> None:
    _, log = run(tmp_path, *(part.format(wrong) for part in command), code=2)
    assert said in log

# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""All that a program becomes ends in one list: its workers, its reloads, and the processes that it starts."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command.programs import ENVIRONMENT, FORKS, SERVER, running, until
from tornado.httpclient import AsyncHTTPClient

from tornado_opentracing._command import replaced

RELOADS = f"""{SERVER}
import os
from tornado import autoreload

class Reload(RequestHandler):
    def get(self):
        asyncio.get_event_loop().call_later(0.05, autoreload._reload)

class Count(RequestHandler):
    def get(self):
        self.write(str(os.getpid()))

async def serve():
    socket, port = bind_unused_port()
    HTTPServer(Application([("/reload", Reload), ("/count", Count)])).add_sockets([socket])
    print(port, flush=True)
    await asyncio.Event().wait()

asyncio.run(serve())
"""

STARTS = """
import subprocess, sys
subprocess.run([sys.executable, "-c", '''
from tornado_opentracing.viewer import RecordingTracer
RecordingTracer(service="worker").start_span("in another process").finish()
'''], check=True)
print("done", flush=True)
sys.stdin.readline()
"""


async def test_workers_that_are_forked_end_in_one_list(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(FORKS)
    workers: list[int] = []
    async with running(tmp_path, "shop.py") as program:
        try:
            lines = [(await program.line()).split() for _ in range(2)]
            workers = [int(worker) for _, worker in lines]
            answers = {(await AsyncHTTPClient().fetch(f"http://127.0.0.1:{lines[0][0]}/")).body for _ in range(2)}
            assert answers == {str(worker).encode() for worker in workers}

            async def are_there() -> bool:
                return await program.operations() == ["Page"] * 2

            await until(are_there)
        finally:
            for worker in workers:
                os.kill(worker, signal.SIGKILL)


async def test_traces_are_there_after_a_reload(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(RELOADS)
    async with running(tmp_path, "shop.py") as program:
        answers = []
        for count in (1, 2):
            url = f"http://127.0.0.1:{await program.line()}"
            answers.append((await AsyncHTTPClient().fetch(f"{url}/count")).body)
            assert (await program.operations()).count("Count") == count
            if count == 1:
                await AsyncHTTPClient().fetch(f"{url}/reload")
                await program.where_the_viewer_is()
        assert answers[0] == answers[1] == str(program.process.pid).encode()
        assert set(await program.operations()) == {"Count", "Reload"}


async def test_a_program_that_replaces_itself_by_another_goes_on_traced(tmp_path: Path) -> None:
    """As ``jupyter server`` does, by the script of that name."""
    (tmp_path / "shop.py").write_text(f"#!{sys.executable}\n{SERVER}\nasyncio.run(main())\n")
    (tmp_path / "shop.py").chmod(0o755)
    (tmp_path / "starts.py").write_text("import os\nos.execvp('./shop.py', ['./shop.py', 'x'])\n")
    async with running(tmp_path, "--service", "mine", "-m", "starts") as program:
        url = f"http://127.0.0.1:{await program.line()}"
        await AsyncHTTPClient().fetch(f"{url}/page")
        await program.where_the_viewer_is()
        assert [(span["service"], span["operation_name"]) for span in await program.spans()] == [("mine", "Page")]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["-W", "error", "-u", "a.py", "-m"], ["-W", "error", "-u", "-m", "tornado_opentracing", "--x", "a.py", "-m"]),
        (["-m", "a", "b"], ["-m", "tornado_opentracing", "--x", "-m", "a", "b"]),
        (["-c", "print()"], None),
        (["-m", "tornado_opentracing", "--x", "a.py"], None),
        ([], None),
    ],
)
def test_a_program_of_python_is_run_under_the_command(arguments: list[str], found: list[str] | None) -> None:
    expected = None if found is None else ["python", *found]
    assert replaced.under_command(sys.executable, ["python", *arguments], ["--x"]) == expected
    assert replaced.under_command("/bin/sh", ["sh", *arguments], ["--x"]) is None


async def test_what_a_process_records_that_the_program_starts_is_there_when_it_is_over(tmp_path: Path) -> None:
    (tmp_path / "starts.py").write_text(STARTS)
    async with running(tmp_path, "starts.py") as program:
        assert await program.line() == "done"
        assert [(span["service"], span["operation_name"]) for span in await program.spans()] == [
            ("worker", "in another process")
        ]


async def test_the_viewer_alone_keeps_what_it_is_sent_in_a_file(tmp_path: Path) -> None:
    span = {"traceId": "1", "spanId": "2", "name": "sent", "startTimeUnixNano": "1000"}
    message = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    for is_first in (True, False):
        command = ["-m", "tornado_opentracing.viewer", "--port", "0", "--db", "traces.db"]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE
        )
        try:
            assert process.stderr is not None
            line = (await asyncio.wait_for(process.stderr.readline(), 60)).decode()
            viewer, receiver = re.findall(r"http://[^, \n]+", line)
            if is_first:
                headers = {"Content-Type": "application/json"}
                await AsyncHTTPClient().fetch(receiver, method="POST", body=json.dumps(message), headers=headers)
            found: Any = json.loads((await AsyncHTTPClient().fetch(f"{viewer}/1.json")).body)
            assert found["spans"][0]["operation_name"] == "sent"
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 60) == 0
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

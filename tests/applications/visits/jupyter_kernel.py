# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Run code in a kernel of a Jupyter server, at the address given, as a notebook does."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid

from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import websocket_connect

TOKEN = {"Authorization": "token visitor"}


async def main(url: str) -> None:
    client = AsyncHTTPClient()
    started = await client.fetch(
        f"{url}/api/kernels", method="POST", body="{}", headers=TOKEN, request_timeout=60, connect_timeout=60
    )
    kernel = f"{url}/api/kernels/{json.loads(started.body)['id']}"
    channels = kernel.replace("http:", "ws:") + "/channels"
    connection = await websocket_connect(HTTPRequest(channels, headers=TOKEN, connect_timeout=60))
    content = {"code": "1 + 1", "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
    header = {
        "msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "session": "visitor", "username": "",
        "version": "5.3",
    }  # fmt: skip
    message = {"header": header, "parent_header": {}, "metadata": {}, "channel": "shell", "content": content}
    await connection.write_message(json.dumps(message))
    while True:
        received = await connection.read_message()
        if received is None or json.loads(received)["msg_type"] == "execute_reply":
            break
    connection.close()
    await client.fetch(kernel, method="DELETE", headers=TOKEN, request_timeout=60)


asyncio.run(asyncio.wait_for(main(sys.argv[1]), 60))

# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Have a server of Streamlit's, at the address given, run its script, as the browser's page does."""

from __future__ import annotations

import asyncio
import sys

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from tornado.websocket import websocket_connect


async def main(url: str) -> None:
    connection = await websocket_connect(url.replace("http:", "ws:") + "/_stcore/stream")
    run = BackMsg()
    run.rerun_script.query_string = ""
    await connection.write_message(run.SerializeToString(), binary=True)
    while True:
        received = await connection.read_message()
        if received is None or ForwardMsg.FromString(received).WhichOneof("type") == "script_finished":
            break
    connection.close()


asyncio.run(asyncio.wait_for(main(sys.argv[1]), 60))

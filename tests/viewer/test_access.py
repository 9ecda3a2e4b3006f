# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Who may see the traces."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support import Servers
from tornado.web import Application
from tornado.websocket import websocket_connect
from viewer.serving import PREFIX, Plain, get, serve

from tornado_opentracing import init_tracing
from tornado_opentracing.viewer import RecordingTracer, _access, _live, viewer_routes


@pytest.mark.parametrize("allow", [None, lambda _: True])
@pytest.mark.parametrize(
    ("host", "code"),
    [("evil.example", 403), ("shop.localhost:1", 200), ("[::1]:1", 200), ("Shop.example:1", 200), ("127.0.0.1.", 200)],
)
async def test_a_page_of_elsewhere_cannot_have_a_name_of_its_own_lead_here(
    servers: Servers, tracer: RecordingTracer, allow: Any, host: str, code: int, reports: list[Any]
) -> None:
    url = serve(servers, tracer, allow=allow, hosts=["shop.example"])
    response = await get(f"{url}{PREFIX}", headers={"Host": host})
    assert response.code == code
    assert (b"hosts=" in response.body, len(reports)) == (code == 403, code == 403)


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
async def test_in_debug_mode_nobody_sees_it_through_a_proxy_unless_allow_says_so(
    servers: Servers, tracer: RecordingTracer, name: str, reports: list[Any]
) -> None:
    response = await get(f"{serve(servers, tracer)}{PREFIX}", headers={name: "127.0.0.1"})
    assert response.code == 403
    assert b"unless viewer_routes has allow=" in response.body
    assert (await get(f"{serve(servers, tracer, allow=bool)}{PREFIX}", headers={name: "10.0.0.1"})).code == 200


@pytest.mark.parametrize(
    ("address", "may_see"),
    [
        (("127.0.0.9", 1), True),
        (("::1", 1, 0, 0), True),
        (("::ffff:127.0.0.1", 1, 0, 0), True),
        (("10.0.0.7", 1), False),
        (("::ffff:10.0.0.7", 1, 0, 0), False),
        ("", False),
    ],
)
async def test_in_debug_mode_it_is_seen_from_this_machine_only(
    servers: Servers,
    tracer: RecordingTracer,
    address: object,
    may_see: bool,
    monkeypatch: pytest.MonkeyPatch,
    reports: list[Any],
) -> None:
    """Whoever is connected counts: what a request says of itself is somebody's word."""
    is_loopback = _access._is_loopback

    def from_there(request: Any) -> bool:
        request.connection.context.address, request.remote_ip = address, "127.0.0.1"
        return is_loopback(request)

    monkeypatch.setattr(_access, "_is_loopback", from_there)
    assert (await get(f"{serve(servers, tracer)}{PREFIX}")).code == (200 if may_see else 403)


async def test_who_may_see_no_longer_is_sent_nothing_more(
    servers: Servers, tracer: RecordingTracer, monkeypatch: pytest.MonkeyPatch, reports: list[Any]
) -> None:
    monkeypatch.setattr(_live, "_LIVE_INTERVAL_MS", 5)
    welcome = [True]
    url = serve(servers, tracer, allow=lambda _: welcome).replace("http", "ws")
    connection = await websocket_connect(f"{url}{PREFIX}/live")
    await asyncio.wait_for(connection.read_message(), 10)
    tracer.start_span("seen").finish()
    assert '"seen"' in str(await asyncio.wait_for(connection.read_message(), 10))
    welcome.clear()
    tracer.start_span("unseen").finish()
    assert await asyncio.wait_for(connection.read_message(), 10) is None
    assert connection.close_code == 1008
    connection.close()


@pytest.mark.parametrize("hosts", ["shop.example", [b"shop.example"], 1])
def test_hosts_that_are_no_names_are_refused(tracer: RecordingTracer, hosts: Any) -> None:
    with pytest.raises(TypeError, match="hosts"):
        viewer_routes(tracer, hosts=hosts)


async def test_a_route_that_hides_the_viewer_is_told_of_once(
    servers: Servers, tracer: RecordingTracer, reports: list[Any]
) -> None:
    init_tracing(tracer, trace_client=False)
    url = servers.start(Application([("/.*", Plain), *viewer_routes(tracer)], debug=True, autoreload=False))
    for path in ("/", f"{PREFIX}/no/page", f"{PREFIX}/live?a=b", PREFIX):
        await get(url + path)
    assert [report.getMessage() for report in reports] == [
        f"a request for {PREFIX}/live did not reach the trace viewer: put viewer_routes before other routes"
    ]

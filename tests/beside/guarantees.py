# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What holds beside another instrumentation of Tornado, whoever came first: the tests of each peer inherit these."""

from __future__ import annotations

import functools
import inspect
import json
import os
import pathlib
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest
from beside.peer import Peer
from beside.shop import SITUATIONS

import tornado_opentracing

TESTS = pathlib.Path(__file__).parents[1]

#: The steps in which a process gets to what is measured; first those that others are compared with.
BARE = "measure"
ALONE = "peer, measure"
REMOVED = "peer, without peer, measure"
ORDERS = [
    "peer, ours, measure, without ours, measure, ours, measure",
    "ours, peer, measure, without ours, measure, ours, measure",
    "decorated, peer, measure, ours, measure, without ours, measure",
    "decorated, ours, peer, measure, without ours, measure",
]
REMOVALS = [
    "peer, ours, without peer, measure, without ours, measure",
    "ours, peer, without peer, measure, without ours, measure",
    "peer, ours, without ours, without peer, measure",
    "ours, peer, without ours, without peer, measure, ours, without ours, measure",
]
Measurement = dict[str, Any]
Runs = dict[str, list[Measurement]]


def measured(peer: type[Peer], order: str) -> list[Measurement]:
    """Take the steps in a process of its own."""
    module = f"beside.{pathlib.Path(inspect.getfile(peer)).stem}"
    package = pathlib.Path(tornado_opentracing.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "beside.process", module, peer.__name__, *order.split(", ")],
        cwd=TESTS, env={**os.environ, "PYTHONPATH": str(package)},
        check=False, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made: list[Measurement] = json.loads(done.stdout.splitlines()[-1])
    return made


def found(measurement: Measurement, what: str) -> dict[str, Any]:
    """What was found in each situation."""
    return {name: all_found[what] for name, all_found in measurement["situations"].items()}


class Guarantees:
    """Inherit it, and say who the peer is."""

    peer: ClassVar[type[Peer]]

    @classmethod
    def orders(cls) -> list[str]:
        removals = [REMOVED, *REMOVALS] if cls.peer.can_be_removed() else []
        return [*ORDERS, *removals]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test for each measurement, named after the steps that led to it."""
        if "measurement" in metafunc.fixturenames:
            measurements = [
                pytest.param((order, index), id=", ".join(taken[:place]))
                for order in self.orders()
                for taken in [order.split(", ")]
                for index, place in enumerate(place for place, step in enumerate(taken) if step == "measure")
            ]
            metafunc.parametrize("measurement", measurements, indirect=True)

    @pytest.fixture(scope="class")
    @classmethod
    def runs(cls) -> Runs:
        """What was measured in every order."""
        orders = [BARE, ALONE, *cls.orders()]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return dict(zip(orders, pool.map(functools.partial(measured, cls.peer), orders), strict=True))

    @pytest.fixture
    def measurement(self, request: pytest.FixtureRequest, runs: Runs) -> Measurement:
        order, index = request.param
        measurement: Measurement = runs[order][index]
        return measurement

    def is_removed(self, measurement: Measurement) -> bool:
        """Whether the peer was removed as well as it can be: some cannot from beneath somebody else's wrapper."""
        steps = measurement["steps"]
        return self.peer.can_be_removed_beneath or steps[:3] != ["peer", "ours", "without peer"]

    @pytest.fixture
    def without_us(self, measurement: Measurement, runs: Runs) -> Measurement:
        """What comes of the same steps but ours."""
        if measurement["peer"]:
            return runs[ALONE][0]
        return runs[REMOVED if self.peer.can_be_removed() else BARE][0]

    def test_alone_it_breaks_nothing_and_records(self, runs: Runs) -> None:
        """What it is to be like beside us."""
        assert found(runs[ALONE][0], "answer") == found(runs[BARE][0], "answer")
        records = found(runs[ALONE][0], "records")
        assert records["200"]
        assert records["503"]
        assert len(records["fetch by url"]) > 1

    def test_requests_are_answered_as_without_us(self, measurement: Measurement, without_us: Measurement) -> None:
        assert found(measurement, "answer") == found(without_us, "answer")

    def test_each_request_and_each_fetch_has_one_right_span(self, measurement: Measurement) -> None:
        traced = set(SITUATIONS) if measurement["ours"] else {"decorated"} if measurement["decorated"] else set()
        for name, spans in found(measurement, "spans").items():
            assert Counter(map(tuple, spans)) == (SITUATIONS[name].spans if name in traced else Counter()), name
        assert not any(found(measurement, "unfinished").values())

    def test_the_peer_records_what_it_records_without_us(
        self, measurement: Measurement, without_us: Measurement
    ) -> None:
        if self.is_removed(measurement):
            recorded, alone = found(measurement, "records"), found(without_us, "records")
            for name in self.peer.loses:
                assert not Counter(alone.pop(name)) - Counter(recorded.pop(name))
            assert recorded == alone

    def test_nothing_is_logged_that_is_not_logged_without_us(
        self, measurement: Measurement, without_us: Measurement
    ) -> None:
        assert not any(found(measurement, "logged by us").values())
        assert found(measurement, "logged") == found(without_us, "logged")

    def test_where_tracing_was_removed_nothing_of_it_is_at_work(
        self, measurement: Measurement, without_us: Measurement
    ) -> None:
        ours = measurement["replaced by us"]
        if measurement["ours"] or measurement["decorated"]:
            assert ours
            assert measurement["at work"]
            return
        assert not measurement["at work"]
        if self.is_removed(measurement):
            assert sorted({*measurement["replaced"]} - {*ours}) == without_us["replaced"]
        # A peer that was removed after us puts back what it found, which passes through.
        assert not ours or measurement["steps"][-3:-1] == ["without ours", "without peer"]

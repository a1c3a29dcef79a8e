"""Scans of a stream that follow one another, and connections that are cut: no hole, and nothing twice.

In real time, as sockets are, and so by hand: `STREAM_MINUTES=30 STREAM_CUTS=20 pytest -s -n 0
tests/producers/scan/test_hand_over.py` runs scans of a minute each.
"""

from __future__ import annotations

import json
import os
import random
import socket
import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from producers.publisher import Publisher
from producers.scan.scan import SCAN_SECONDS, Scan, ScanError
from producers.settings import SCHEDULED, ScannerSettings, ScanRequest
from producers.sources import create
from tests.producers.fakes import Aws, MakeParts, StrictKinesis
from tests.producers.scan.test_scan import parts as parts_fixture

parts = parts_fixture
MINUTES = int(os.environ.get("STREAM_MINUTES", "0"))
CUTS = int(os.environ.get("STREAM_CUTS", "20"))
PERIOD = 60.0
SETTINGS = ScannerSettings(
    stream_name="stock-quotes",
    scan_table="stock-windows",
    data_bucket="stock-scan-data-123456789012",
    source="coinbase",
    source_mode="stream",
    poll_interval_seconds=1.0,
)


class Exchange:
    """Coinbase's WebSocket (docs.cdp.coinbase.com/exchange/websocket-feed/channels), ten trades a second."""

    def __init__(self) -> None:
        self.connections: list[ServerConnection] = []
        self.most_at_once = 0
        self._open = 0
        self.server = serve(self._serve, "127.0.0.1", 0)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"ws://127.0.0.1:{self.server.socket.getsockname()[1]}"

    def _serve(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        self._open += 1
        self.most_at_once = max(self.most_at_once, self._open)
        try:
            with suppress(ConnectionClosed, OSError):
                product = json.loads(connection.recv())["product_ids"][0]
                while True:
                    at = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
                    price = f"{4388 + random.random():.2f}"
                    connection.send(
                        json.dumps({"type": "ticker", "product_id": product, "price": price, "time": at})
                    )
                    time.sleep(0.1)
        finally:
            self._open -= 1

    def cut(self) -> None:
        """End the newest connection in the middle of a message, as a dying network does."""
        while not self._open:  # between two scans there is none
            time.sleep(0.02)
        with suppress(OSError):
            self.connections[-1].socket.sendall(b"\x81\x7e\x01\x00{")
            self.connections[-1].socket.shutdown(socket.SHUT_RDWR)


def cut_now_and_then(exchange: Exchange, ends: float) -> int:
    rng, pause = random.Random(7), (ends - time.monotonic()) / (CUTS + 1)
    for _ in range(CUTS):
        time.sleep(pause * rng.uniform(0.8, 1.1))
        exchange.cut()
    return CUTS


@pytest.mark.skipif(not MINUTES, reason="takes STREAM_MINUTES, by hand")
def test_cut_connections_and_hand_overs_leave_no_hole_and_double_nothing(
    parts: MakeParts, kinesis: StrictKinesis, aws: Aws
) -> None:
    aws.watch("BTC-USD")
    exchange = Exchange()
    began = time.monotonic()
    cutter = threading.Thread(target=cut_now_and_then, args=(exchange, began + MINUTES * PERIOD), daemon=True)
    cutter.start()
    for number in range(MINUTES):
        time.sleep(max(0.0, began + number * PERIOD - time.monotonic()))
        source = create(
            "coinbase", {"COINBASE_STREAM_URL": exchange.url, "POLL_INTERVAL_SECONDS": "1"}, "stream"
        )
        of = replace(
            parts(f"scan {number}"),
            source=source,
            publisher=Publisher(kinesis.client, "stock-quotes", 4),
            clock_ms=lambda: time.time_ns() // 1_000_000,
            sleep=time.sleep,
        )
        until_ms = time.time_ns() // 1_000_000 + SCAN_SECONDS * 1000
        with suppress(ScanError):
            Scan(of, SETTINGS).run(ScanRequest(source=SCHEDULED), until_ms)
    cutter.join()
    exchange.server.shutdown()
    batches = [batch for batch in kinesis.batches() if batch.symbol]
    times = [batch.ts[0] for batch in batches]
    prices = [batch.price[0] for batch in batches]
    longest = max(b - a for a, b in pairwise(times)) / 1000
    at_hand_overs = [
        b - a
        for a, b in pairwise(times)
        if int((b - times[0]) / 1000 / PERIOD) > int((a - times[0]) / 1000 / PERIOD)
    ]
    print(  # noqa: T201 - what the run by hand is for
        f"{MINUTES} scans, {len(exchange.connections)} connections, {len(times)} samples,"
        f" longest interval {longest:.2f} s, at hand-overs at most {max(at_hand_overs) / 1000:.2f} s"
    )
    assert len(exchange.connections) == MINUTES + CUTS
    assert exchange.most_at_once == 1
    assert longest <= 5.0
    assert times == sorted(set(times))
    assert sum(a == b for a, b in pairwise(prices)) <= 0.1 * len(prices)  # prices of cents may repeat

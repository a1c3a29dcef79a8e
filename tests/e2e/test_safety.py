"""The client's `safe_to_trade` against the running monitor: calm, a misprint, a halt, a stall, a closed market."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from api.client import Monitor as Client
from api.models import SafetyReason
from producers.markets import is_open
from producers.publisher import Publisher
from producers.quote_batch import QuoteBatch
from tests.e2e.monitor import Json, Monitor

pytestmark = pytest.mark.e2e
PAST = 420
HALT, STALL, GONE = 200, 70, 100
"""For how many seconds before now a halt and a stall have gone on, and since when nothing came of one ticker."""
CALM, MISPRINTED, HALTED, VANISHED = "SAFECALM", "SAFEMISP", "SAFEHALT", "SAFEGONE"
STALLED = tuple(f"SAFESTALL{n}" for n in range(5))
"""More than the share of the ten watched tickers that makes a stall of the feed."""


@dataclass
class Walk:
    """A calm ticker, one tick a second."""

    symbol: str
    price: float = 100.0
    rows: list[tuple[int, float, float]] = field(default_factory=list)
    """Time (epoch ms), price and the middle of bid and ask."""

    def __post_init__(self) -> None:
        self._random = random.Random(self.symbol)

    def tick(self, ts_ms: int, *, frozen: bool = False, factor: float = 1.0) -> None:
        """Add a tick: the one before again, or one that was printed `factor` times too high."""
        if not frozen:
            self.price *= math.exp(self._random.gauss(0, 1e-4))
        self.rows.append((ts_ms, round(self.price * factor, 2), round(self.price, 2)))

    def take(self) -> QuoteBatch:
        """Return the ticks that were not taken before."""
        rows, self.rows = self.rows, []
        return QuoteBatch(
            source="simulated",
            symbol=[self.symbol] * len(rows),
            ts=[ts for ts, _, _ in rows],
            price=[price for _, price, _ in rows],
            bid=[round(middle - 0.01, 2) for _, _, middle in rows],
            ask=[round(middle + 0.01, 2) for _, _, middle in rows],
            day_volume=[None] * len(rows),
            quote_ts=[None] * len(rows),
            missing=[],
        )


def past(symbol: str, now_ms: int) -> Walk:
    """The last minutes of a ticker as its name says."""
    walk = Walk(symbol)
    for second in range(PAST):
        left = PAST - second
        frozen = left <= HALT if symbol == HALTED else left <= STALL and symbol in STALLED
        if symbol == VANISHED and left <= GONE:
            break
        factor = 0.1 if symbol == MISPRINTED and left == 1 else 1.0
        walk.tick(now_ms - 1000 * left, frozen=frozen, factor=factor)
    return walk


def test_a_stall_a_misprint_and_a_halt_are_not_safe_until_they_are_over(monitor: Monitor) -> None:
    publisher = Publisher(monitor.client("kinesis"), "stock-quotes", 4)
    walks = {
        symbol: past(symbol, int(time.time() * 1000))
        for symbol in (CALM, MISPRINTED, HALTED, VANISHED, *STALLED)
    }
    publisher.publish([walk.take() for walk in walks.values()])
    with Client(f"{monitor.origin}/api") as client:

        def reasons(ticker: str, max_age_seconds: int | None = 600) -> list[SafetyReason]:
            # Other tests let tickers jump, at times enough of them for an incident of the market, which may go on.
            found = client.safe_to_trade(ticker, max_age_seconds=max_age_seconds).reasons
            return [reason for reason in found if "of the whole market" not in reason.detail]

        def codes(ticker: str) -> set[str]:
            return {reason.code for reason in reasons(ticker)}

        def becomes(ticker: str, *wanted: str) -> None:
            monitor.eventually(lambda: codes(ticker) & {*wanted}, 120, f"{ticker} is not safe: {wanted}")

        becomes(MISPRINTED, "doubtful_quotes")
        # The simulated market has halts of its own: with enough of them it is a stall already.
        becomes(HALTED, "doubtful_quotes", "feed_stalled")
        for ticker in STALLED:
            becomes(ticker, "feed_stalled")
        monitor.eventually(lambda: not codes(CALM), 60, "the calm one is safe")
        calm = client.safe_to_trade(CALM, max_age_seconds=600)
        assert (calm.ticker, calm.origin, reasons(CALM)) == (CALM, "simulated", [])
        # By default a quote holds for 90 s: the last one of this ticker is older.
        assert [reason.code for reason in reasons(VANISHED, max_age_seconds=None)] == ["stale_quote"]
        assert [reason.code for reason in reasons("SAFENONE", max_age_seconds=None)] == ["no_quote"]

        # Quotes move again.
        def safe_again() -> bool:
            for symbol in (MISPRINTED, HALTED, *STALLED):
                walks[symbol].tick(int(time.time() * 1000))
            publisher.publish([walks[symbol].take() for symbol in (MISPRINTED, HALTED, *STALLED)])
            return all(not codes(symbol) for symbol in (MISPRINTED, HALTED, *STALLED))

        monitor.eventually(safe_again, 300, "all are safe again")


@contextmanager
def session_of_the_api(monitor: Monitor, **changes: str) -> Iterator[None]:
    """Run the API with other settings, as a deployment of them would; the version from before comes back."""
    functions, name = monitor.client("lambda"), "stock-api-handler"
    environment = functions.get_function_configuration(FunctionName=name)["Environment"]
    before = functions.get_alias(FunctionName=name, Name="live")["FunctionVersion"]
    other = {"Variables": {**environment["Variables"], **changes}}
    try:
        functions.update_function_configuration(FunctionName=name, Environment=other)
        version = functions.publish_version(FunctionName=name)["Version"]
        functions.update_alias(FunctionName=name, Name="live", FunctionVersion=version)
        yield
    finally:
        functions.update_function_configuration(FunctionName=name, Environment=environment)
        functions.update_alias(FunctionName=name, Name="live", FunctionVersion=before)


def test_a_closed_market_is_not_safe(monitor: Monitor) -> None:
    """New York and Tokyo are never open at once: whenever this runs, a market is closed."""
    markets = {"SAFENY": "XNYS", "SAFETOKYO": "XTKS"}

    def opened() -> dict[str, bool]:
        now = datetime.now(UTC)
        return {ticker: is_open("regular", now, market) for ticker, market in markets.items()}

    listed = ",".join(f"{ticker}={market}" for ticker, market in markets.items())
    with (
        session_of_the_api(monitor, SESSION="regular", MARKETS=listed),
        Client(f"{monitor.origin}/api") as client,
    ):

        def closed() -> dict[str, bool]:
            return {
                ticker: "market_closed" in {reason.code for reason in client.safe_to_trade(ticker).reasons}
                for ticker in markets
            }

        def agrees() -> Json:
            found = closed()
            return {ticker: not is_open for ticker, is_open in opened().items()} == found and found

        assert any(monitor.eventually(agrees, 60, "the API says which market is closed").values())
    with Client(f"{monitor.origin}/api") as client:

        def open_again() -> bool:
            found = [client.safe_to_trade(ticker).reasons for ticker in markets]
            return not any(reason.code == "market_closed" for reasons in found for reason in reasons)

        monitor.eventually(open_again, 60, "no market is closed in the simulation")

"""The named queries answer what is known, on the files of the lake, and are SQL that Athena takes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from sqlglot import exp

from consumers.contracts.anomaly import iso_ms, ms_of_iso
from consumers.lake.queries import QUERIES
from consumers.lake.tables import DAY, TABLES
from producers.origin import origin_of
from stream_infra.operations.alert_quality import precision
from tests.consumers.lake.day import FIRST, SECOND, SECONDS, SENT, START_MS, Day, database, views

SPAN = (FIRST, SECOND)


@pytest.fixture(scope="module")
def day() -> Day:
    played = Day()
    played.consume(SENT)
    played.notify()
    return played


@pytest.fixture(scope="module")
def lake(day: Day, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lake")
    day.run()
    day.write(folder)
    return folder


def answer(lake: Path, name: str, *values: str) -> list[tuple[Any, ...]]:
    views(lake)
    return database().execute(QUERIES[name].sql, list(values)).fetchall()


def test_alerts_by_kind_are_the_messages_with_a_cause(day: Day, lake: Path) -> None:
    made = [message for message in day.alerts.messages if message.cause is not None and message.incident]
    assert made
    counted: Counter[tuple[str, str, str]] = Counter()
    for message in made:
        assert message.cause
        assert message.incident
        when = FIRST if message.made_ms < ms_of_iso(f"{SECOND}T00:00:00.000Z") else SECOND
        counted[when, message.cause.kind, message.incident.origin] += 1
    found = answer(lake, "alerts-by-kind", *SPAN)
    assert {row[:3]: row[3] for row in found} == dict(counted)
    assert {row[4] for row in found} == {0}
    assert [row[0] for row in found] == sorted(row[0] for row in found)


def test_the_worst_spreads_are_those_of_the_bars(day: Day, lake: Path) -> None:
    found = answer(lake, "worst-spreads", *SPAN)
    widest: dict[tuple[str, str, str], float] = {}
    for (origin, ticker, minute_ms), bar in day.memory.bars.items():
        if bar.spread_high is not None:
            when = FIRST if minute_ms < ms_of_iso(f"{SECOND}T00:00:00.000Z") else SECOND
            key = when, ticker, origin_of(origin)
            widest[key] = max(widest.get(key, 0.0), bar.spread_high / bar.close)
    worst = sorted(widest, key=lambda key: (-widest[key], key))[:20]
    assert [row[:3] for row in found] == worst
    for row in found:
        assert row[3] == pytest.approx(widest[row[:3]], abs=1e-6)
        assert row[3:5] == (round(row[3], 6), round(row[4], 6))  # as many digits as a table shows


def test_precision_by_kind_is_what_the_monitor_says(day: Day, lake: Path) -> None:
    said = day.alerts.store.feedback(START_MS, day.now_ms)
    known = {
        one.kind: (one.useful + one.noise, one.useful, one.share) for one in precision(said) if not one.ticker
    }
    found = answer(lake, "precision-by-kind", *SPAN)
    assert {kind: tuple(rest) for kind, *rest in found} == known
    assert known


def test_quotes_around_an_incident_are_the_ticks_of_its_ticker(day: Day, lake: Path) -> None:
    incidents = list(day.alerts.store.incidents(START_MS, day.now_ms))
    incident = next(one for one in incidents if not one.is_wide and one.origin == "live")
    when = iso_ms(incident.opened_ms)[:10]
    found = answer(lake, "quotes-around-incident", incident.id, when)
    low, high = incident.opened_ms - 300_000, incident.last_ms + 300_000
    whole = [START_MS + 1000 * second for second in range(SECONDS)]
    assert [row[0] for row in found] == [ts for ts in whole if low <= ts <= high and iso_ms(ts)[:10] == when]
    assert {row[1] for row in found} == {incident.subject}
    assert [row[0] for row in found if row[6]] == [
        ts for ts in whole if incident.opened_ms <= ts <= incident.last_ms and iso_ms(ts)[:10] == when
    ]


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_is_sql_of_athena_over_columns_that_there_are(name: str) -> None:
    query = QUERIES[name]
    (parsed,) = sqlglot.parse(query.sql, dialect="athena")
    assert isinstance(parsed, exp.Select)
    named = {table.name for table in parsed.find_all(exp.Table)}
    assert named <= set(TABLES)
    there = {column for table in TABLES.values() if table.name in named for column in table.columns} | {DAY}
    made = {alias.alias for alias in parsed.find_all(exp.Alias)}
    assert {column.name for column in parsed.find_all(exp.Column)} <= there | made
    assert len(list(parsed.find_all(exp.Placeholder))) == len(query.parameters)
    wheres = [where for where in parsed.find_all(exp.Where) if where is not None]
    bounds = {column.name for where in wheres for column in where.find_all(exp.Column)}
    assert DAY in bounds, "it would read all days"


def test_athena_takes_the_columns_as_names() -> None:
    """Athena guide, "Reserved keywords in SQL SELECT statements": what is one of these stands in double quotes."""
    for table in TABLES.values():
        columns = ", ".join(f'"{column}"' for column in table.columns)
        sqlglot.parse_one(f'SELECT {columns}, "{DAY}" FROM {table.name}', dialect="athena")  # noqa: S608
        assert DAY not in table.columns
        assert table.order

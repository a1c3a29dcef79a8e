"""What the local AWS forgets and when: each rule as AWS documents it, and a simulated fortnight that stays bounded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ministack.services import cloudwatch, cloudwatch_logs, dynamodb, eventbridge, lambda_svc, s3

from localstack import retention
from localstack.retention import DAY, Version, expired, forget, thinned

NOON = 20_000 * DAY + DAY / 2
"""12:00 UTC of some day."""
MIDNIGHT = 20_001 * DAY
"""The next one."""


def rule(prefix: str = "", *, status: str = "Enabled", **actions: Any) -> dict[str, Any]:
    return {"Status": status, "Filter": {"Prefix": prefix}, **actions}


def expiration(days: int) -> dict[str, Any]:
    return rule("raw/", Expiration={"Days": days})


@pytest.mark.parametrize(
    ("made_s", "due_s"),
    [(NOON, MIDNIGHT + DAY), (MIDNIGHT, MIDNIGHT + DAY), (MIDNIGHT + 1, MIDNIGHT + 2 * DAY)],
)
def test_an_object_expires_a_rules_days_after_it_was_made_rounded_up_to_midnight(
    made_s: float, due_s: float
) -> None:
    """S3 guide, "Lifecycle rules: Based on an object's age"."""
    versions, rules = [Version("null", made_s)], [expiration(1)]
    assert expired("raw/a", versions, rules, due_s - 1) == (False, set())
    assert expired("raw/a", versions, rules, due_s) == (True, set())
    assert expired("other", versions, rules, due_s) == (False, set())
    assert expired("raw/a", versions, [rule(status="Disabled", Expiration={"Days": 1})], due_s) == (
        False,
        set(),
    )


def test_a_version_goes_days_after_its_successor_was_made_and_as_many_newer_ones_stay_as_the_rule_says() -> (
    None
):
    """S3 API, NoncurrentVersionExpiration."""
    versions = [Version(str(n), NOON - (9 - n) * DAY) for n in range(10)]
    rules = [rule(NoncurrentVersionExpiration={"NoncurrentDays": 3})]
    assert expired("a", versions, rules, NOON) == (False, {"0", "1", "2", "3", "4"})
    rules[0]["NoncurrentVersionExpiration"]["NewerNoncurrentVersions"] = 6
    assert expired("a", versions, rules, NOON) == (False, {"0", "1", "2"})


def test_a_delete_marker_goes_when_it_stands_alone() -> None:
    """S3 guide, "Expiring objects", and S3 API, LifecycleExpiration, ExpiredObjectDeleteMarker."""
    marker, rules = Version("m", NOON, is_marker=True), [rule(Expiration={"ExpiredObjectDeleteMarker": True})]
    assert expired("a", [marker], rules, NOON) == (False, {"m"})
    assert expired("a", [Version("v", NOON), marker], rules, NOON) == (False, set())
    assert expired("a", [marker], [rule(Expiration={"Days": 1})], MIDNIGHT + DAY) == (False, {"m"})
    assert expired("a", [marker], [], MIDNIGHT + DAY) == (False, set())


def test_a_size_in_the_filter_counts() -> None:
    sized = {**rule(Expiration={"Days": 1}), "Filter": {"And": {"Prefix": "a", "ObjectSizeGreaterThan": 10}}}
    assert expired("a", [Version("v", NOON, 10)], [sized], MIDNIGHT + DAY) == (False, set())
    assert expired("a", [Version("v", NOON, 11)], [sized], MIDNIGHT + DAY) == (True, set())


POINTS = st.lists(
    st.builds(
        lambda age, value, count: {"Timestamp": NOON - age, "Value": value, "Count": count, "Unit": "None"},
        st.floats(0, 20 * DAY), st.integers(-5, 5).map(float), st.integers(1, 3).map(float),
    ), max_size=30,
)  # fmt: skip


@given(POINTS)
def test_statistics_of_an_hour_stay_when_points_become_one_a_period(points: list[dict[str, Any]]) -> None:
    """CloudWatch API, GetMetricData: points "are aggregated together for long-term storage"."""
    once = thinned(points, NOON)
    assert thinned(once, NOON) == once
    assert len([of for of in once if of["Timestamp"] < NOON - DAY - 3600]) <= 15 * 24 + 1
    oldest = NOON - 15 * DAY
    # An hour that the limit cuts loses its older part.
    for hour in range(int(oldest // 3600) + 1, int(NOON // 3600) + 1):
        before, after = (
            cloudwatch._calc_stats([p for p in of if p["Timestamp"] // 3600 == hour]) for of in (points, once)
        )
        assert after == pytest.approx(before)


def test_a_days_points_stay_as_they_are_for_three_hours_and_are_one_a_minute_after_it() -> None:
    points = [{"Timestamp": MIDNIGHT - n, "Value": 1.0, "Unit": "Count"} for n in range(1, 4 * 3600 + 1)]
    found = thinned(points, MIDNIGHT)
    assert len(found) == 3 * 3600 + 60
    assert sum(of.get("_stat", {"SampleCount": 1})["SampleCount"] for of in found) == len(points)


class Week:
    """MiniStack's services with a clock of their own."""

    def __init__(self, directory: Path) -> None:
        self.now_s, self.directory = float(MIDNIGHT), directory
        s3._create_bucket("data", b"")
        s3._put_bucket_versioning(
            "data", b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
        )
        s3._create_bucket("logs", b"")
        s3._bucket_lifecycle["data"] = [
            rule("raw-data/", Expiration={"Days": 1}),
            rule("lake/", NoncurrentVersionExpiration={"NoncurrentDays": 1}),
            rule(
                Expiration={"ExpiredObjectDeleteMarker": True},
                NoncurrentVersionExpiration={"NoncurrentDays": 1},
                AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1},
            ),
        ]
        s3._bucket_lifecycle["logs"] = [rule(Expiration={"Days": 2})]
        eventbridge._archives["kept"] = {
            "EventSourceArn": "arn:aws:events:us-east-1:000000000000:event-bus/b", "RetentionDays": 2,
        }  # fmt: skip
        eventbridge._event_buses["b"] = {"Name": "b"}

    def iso(self) -> str:
        return f"{datetime.fromtimestamp(self.now_s, UTC):%Y-%m-%dT%H:%M:%S}.000Z"

    def four_hours(self, n: int) -> None:
        """What a monitor leaves behind."""
        for key in (f"raw-data/AAPL/{n}", f"raw-data/MSFT/{n}", "lake/day", "lake/day"):
            assert s3._put_object("data", key, b"x" * 100, {})[0] == 200
        assert s3._put_object("logs", str(n), b"x", {})[0] == 200
        s3._create_multipart_upload("data", "lake/large", {})
        lambda_svc._emit_lambda_logs({"FunctionName": "f"}, str(n), "a line", False, 1)
        cloudwatch_logs._log_groups["/aws/lambda/f"]["retentionInDays"] = 1
        for _ in range(3):
            cloudwatch.record_metric("N", "m", 1.0)
        eventbridge._put_events({"Entries": [{"Source": "s", "DetailType": "d", "EventBusName": "b"}]})
        self.now_s += 4 * 3600

    def sizes(self) -> dict[str, int]:
        return {
            "objects": sum(len(bucket["objects"]) for bucket in s3._buckets.values()),
            "versions": sum(map(len, s3._object_versions.values())),
            "uploads": len(s3._multipart_uploads),
            "files and folders": sum(1 for _ in self.directory.rglob("*")),
            "log streams": len(cloudwatch_logs._log_groups["/aws/lambda/f"]["streams"]),
            "events": len(eventbridge._archives["kept"]["Events"]) + len(eventbridge._events_log_list()),
            "points": sum(len(points) for key, points in cloudwatch._metrics.items() if key[0] == "N"),
        }


@pytest.fixture
def week(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Week]:
    """The services, empty; afterwards as they were."""
    scoped = [
        (module, name)
        for module in (s3, cloudwatch, cloudwatch_logs, eventbridge)
        for name, value in vars(module).items()
        if isinstance(value, s3.AccountScopedDict | s3.AccountRegionScopedDict)
    ]
    before = {(module, name): dict(getattr(module, name)._data) for module, name in scoped}
    for module, name in scoped:
        getattr(module, name)._data.clear()
    monkeypatch.setattr(s3, "DATA_DIR", str(tmp_path))
    monkeypatch.setattr(s3, "S3_PERSIST", True)
    made = Week(tmp_path)
    monkeypatch.setattr(s3, "now_iso", made.iso)
    clock = SimpleNamespace(time=lambda: made.now_s)
    for module in (cloudwatch, cloudwatch_logs, eventbridge, lambda_svc):
        monkeypatch.setattr(module, "time", clock)
    yield made
    for module, name in scoped:
        getattr(module, name)._data.clear()
        getattr(module, name)._data.update(before[module, name])


def test_two_weeks_take_no_more_than_three_days_did(week: Week) -> None:
    of_days = []
    for day in range(14):
        for hour in range(6):
            week.four_hours(day * 6 + hour)
            for _ in forget(week.now_s):
                pass
        of_days.append(week.sizes())
    points = [of.pop("points") for of in of_days]
    assert of_days[3] == of_days[6] == of_days[13]
    assert min(of_days[3].values()) > 0
    # By the hour: one for each in which there were any.
    assert points[13] - points[6] == 7 * 6
    # Current are the raw data and days of the lake of less than two days; what is forgotten leaves no folder.
    assert of_days[3]["objects"] < 2 * 2 * 6 + 1 + 3 * 6
    data = {path for path in week.directory.rglob("*") if path.is_dir() and not any(path.iterdir())}
    assert data == set()


def test_what_is_left_is_there_after_a_restart_and_what_expired_is_not(week: Week) -> None:
    s3._put_object("data", "raw-data/old", b"old", {})
    week.now_s += 2 * DAY
    s3._put_object("data", "raw-data/new", b"new", {})
    for _ in forget(week.now_s):
        pass
    before = sorted(s3._buckets["data"]["objects"]), {key: len(of) for key, of in s3._object_versions.items()}
    assert before == (["raw-data/new"], {("data", "raw-data/old"): 2, ("data", "raw-data/new"): 1})
    for scoped in (s3._buckets, s3._object_versions):
        scoped._data.clear()
    s3._load_persisted_data()
    after = sorted(s3._buckets["data"]["objects"]), {key: len(of) for key, of in s3._object_versions.items()}
    assert after == before
    versions = s3._object_versions["data", "raw-data/old"]
    assert s3._version_body(s3._buckets["data"], "data", "raw-data/old", versions[0]) == b"old"


def test_an_item_goes_after_its_time_to_live_and_no_other() -> None:
    """DynamoDB guide, "Using time to live": items go "within a few days" of the epoch second in the attribute."""
    name, items = "ttl", {"old": NOON - 1, "young": NOON + 1}
    dynamodb._tables.pop(name, None)
    schema = {"TableName": name, "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}]}
    kinds = [{"AttributeName": "pk", "AttributeType": "S"}]
    dynamodb._create_table({**schema, "AttributeDefinitions": kinds, "BillingMode": "PAY_PER_REQUEST"})
    ttl = {"AttributeName": "expires_at", "Enabled": True}
    dynamodb._update_ttl({"TableName": name, "TimeToLiveSpecification": ttl})
    for pk, at in items.items():
        item = {"pk": {"S": pk}, "expires_at": {"N": str(at)}}
        assert dynamodb._put_item({"TableName": name, "Item": item})[0] == 200
    dynamodb._put_item({"TableName": name, "Item": {"pk": {"S": "without"}}})
    passes: list[Callable[[], None]] = [lambda: None]

    def sleep(_: float) -> None:
        if not passes:
            raise SystemExit
        passes.pop()()

    clock = SimpleNamespace(time=lambda: NOON, sleep=sleep)
    with pytest.raises(SystemExit):
        FunctionType(dynamodb._ttl_reaper.__code__, {**vars(dynamodb), "time": clock})()
    status, _, body = dynamodb._scan({"TableName": name})
    assert status == 200
    assert sorted(item["pk"]["S"] for item in json.loads(body)["Items"]) == ["without", "young"]
    dynamodb._tables.pop(name)


def test_requests_are_answered_while_much_is_forgotten(week: Week, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "S3_PERSIST", False)
    for n in range(500):
        s3._put_object("data", f"raw-data/{n}", b"", {})
    week.now_s += 2 * DAY
    pieces = 0

    async def work() -> None:
        nonlocal pieces
        for _ in forget(week.now_s):
            pieces += 1
            await asyncio.sleep(0)

    asyncio.run(work())
    assert pieces > 4
    assert not s3._buckets["data"]["objects"]


def test_a_part_of_a_form_that_is_not_known_keeps_none_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    done = asyncio.Event()

    def broken(_now_s: float) -> Iterator[None]:
        raise KeyError("retentionInDays")

    def sound(_now_s: float) -> Iterator[None]:
        done.set()
        yield

    monkeypatch.setattr(retention, "_PARTS", (broken, sound))
    monkeypatch.setattr(retention, "FIRST_SECONDS", 0.0)

    async def run() -> None:
        forgetting = asyncio.create_task(retention.forget_regularly())
        await asyncio.wait_for(done.wait(), 30)
        forgetting.cancel()

    asyncio.run(run())

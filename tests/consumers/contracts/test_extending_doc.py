"""docs/extending.md, "A detector": one file added is a kind everywhere, from the threshold to the API."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.extending import added_file, check_types, example, install, outcome, run
from tests.json_types import Json

ROOMS = ("producers", "consumers", "api", "stream_infra")

PROGRAM = """
import json, os, sys
from pathlib import Path
import boto3
import numpy as np
from moto import mock_aws

kind = os.environ["KIND"]
PARAMETER = "/stock-tracker/threshold"
with mock_aws():
    from api import contract
    from api.anomalies import AnomalyStore
    from api.app import create_app
    from api.event import normalized
    from api.services import Services
    from consumers.contracts import events, kinds, schema
    from consumers.detector.effects import anomaly_of
    from consumers.detectors.engine import engine
    from consumers.stores.anomalies import AnomalyTable
    from consumers.stream.rows import Rows
    from consumers.stream.thresholds import Threshold
    from jsonschema import Draft202012Validator
    from producers.simulation.distortion import from_text, to_text
    from producers.sources.simulated import SimulatedSource
    from stream_infra.operations.offline.history import RecordedHistory
    from stream_infra.operations.recovery.parameters import problem_of

    from stream_infra.config import Config

    packages = tuple(filter(None, [os.environ.get("PACKAGE")]))
    assert Config(threshold=json.dumps({"kinds": {kind: 2.4}}), packages=packages).threshold
    threshold = Threshold.parse(json.dumps({"kinds": {kind: 2.4}}))
    # The scanner gets the distortions as text.
    market = SimulatedSource(distortions=from_text(to_text(kinds.distortions())))
    start, symbol = 1_763_996_400_000, "XYZ"
    shown = [e for e in market.injected_events([symbol], start, start + 86_400_000) if e.kind == kind]
    begin = shown[0].start_ms - 1_800_000
    lines = []
    for ts in range(begin, shown[0].end_ms + 30_000, 5_000):
        quote = market.quote(symbol, ts)
        if quote is not None:
            lines.append(f"{ts},{symbol},{quote.price},{quote.bid},{quote.ask},{quote.day_volume}")
    Path("ticks.csv").write_text("ts,symbol,price,bid,ask,volume\\n" + "\\n".join(lines) + "\\n")
    history = RecordedHistory([Path("ticks.csv")], threshold, print)
    found = [event for event in history.changes() if event.anomaly.kind == kind and event.change == "detected"]
    anomaly = found[0].anomaly

    from stream_infra.operations.offline.dry_run import DryRun
    from consumers.alerts.event import AlertEvent
    from consumers.alerts.rendering.texts import content

    alerts = DryRun()
    alerts.live_through([AlertEvent.of(*event) for event in found], 86_400_000)

    client = boto3.client("dynamodb")
    names = ("ticker", "timestamp", "date", "severity")
    index = lambda name, key: {"IndexName": name, "Projection": {"ProjectionType": "ALL"}, "KeySchema": [
        {"AttributeName": key, "KeyType": "HASH"}, {"AttributeName": "timestamp", "KeyType": "RANGE"}]}
    client.create_table(
        TableName="stock-anomalies",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "ticker", "KeyType": "HASH"}, {"AttributeName": "timestamp", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in names],
        GlobalSecondaryIndexes=[index("DateIndex", "date"), index("SeverityIndex", "severity")],
    )
    AnomalyTable(client, "stock-anomalies").put([anomaly])
    services = Services(
        anomalies=AnomalyStore(client, "stock-anomalies"), alerts=None, charts=None, archive=None, rules=None,
        depth=None, thresholds=None, watch_list=None, editor=None, alert_settings=None,
        send_events=None, source=anomaly.source,
        now_ms=lambda: shown[0].end_ms + 60_000,
        writes_open=True,
    )
    app = create_app(services)

    def get(path, **query):
        event = normalized({"path": path, "httpMethod": "GET", "headers": None, "body": None,
                            "requestContext": None, "queryStringParameters": query or None})
        answer = app.resolve(event, None)
        return answer["statusCode"], json.loads(answer["body"])

    detail = events.detected(anomaly).detail
    document = schema.published("events")
    event_schema = {**document, "$ref": "#/$defs/AnomalyDetected"}
    print("FOUND" + json.dumps({
        "kinds": kinds.KINDS,
        "numpy_in_the_contract": "numpy" in os.popen(
            f"{sys.executable} -c 'import consumers.contracts.kinds, sys; print(*sys.modules)'").read().split(),
        "anomaly": anomaly.explanation,
        "window": anomaly.window,
        "message": str(content(alerts.messages[0], "", "UTC")),
        "page": get("/kinds"),
        "api": get(f"/anomalies/{symbol}", kind=kind, source=anomaly.source),
        "one": get(f"/anomalies/{symbol}/{anomaly.id}")[0],
        "doctor": [problem_of(PARAMETER, json.dumps({"kinds": {name: 3}})) for name in (kind, "no_such_kind")],
        "openapi": kind in json.dumps(contract.document()),
        "served": kind in json.dumps(get("/openapi.json")),
        "in_schema": kind in json.dumps(document),
        "event_errors": [error.message for error in Draft202012Validator(event_schema).iter_errors(detail)],
        "fields": [name for name in engine.STATE_FIELDS if name.startswith(kind)],
    }))
"""


def added(tmp_path: Path) -> tuple[str, Path]:
    """Write the document's example to the one file that it names, in a copy of the rooms; return its kind too."""
    text = example("consumers/detectors")
    return re.findall(r'kind="([^"]+)"', text)[0], added_file(text, ROOMS, tmp_path)


def is_a_kind_everywhere(found: Json, kind: str, label: str) -> None:
    assert kind in found["kinds"]
    assert not found["numpy_in_the_contract"]
    assert "in one tick and came back in the next" in found["anomaly"]
    assert found["window"]["unit"] == "return"
    assert found["anomaly"].partition("; severity")[0] in found["message"]
    status, page = found["page"]
    assert status == 200
    assert {"kind": kind, "label": label} in [{k: of[k] for k in ("kind", "label")} for of in page["kinds"]]
    status, listed = found["api"]
    assert (status, found["one"]) == (200, 200)
    assert [anomaly["kind"] for anomaly in listed["anomalies"]] == [kind]
    fine, wrong = found["doctor"]
    assert not fine
    assert kind in wrong  # what the doctor says of another kind names this one
    assert found["openapi"]
    assert found["served"]
    assert found["in_schema"]
    assert found["event_errors"] == []
    assert found["fields"]


def test_one_added_file_is_a_kind_from_the_threshold_to_the_api(tmp_path: Path) -> None:
    kind, _ = added(tmp_path)
    is_a_kind_everywhere(outcome(run([sys.executable, "-c", PROGRAM], tmp_path, KIND=kind)), kind, "Whipsaw")


def test_the_same_under_another_name(tmp_path: Path) -> None:
    _, path = added(tmp_path)
    text = path.read_text().replace("whipsaw", "swing_180").replace("Whipsaw", "Swing")
    path.unlink()
    path.with_name("swing_180.py").write_text(text)
    found = outcome(run([sys.executable, "-c", PROGRAM], tmp_path, KIND="swing_180"))
    is_a_kind_everywhere(found, "swing_180", "Swing")


def test_a_package_adds_one_by_an_entry_point(tmp_path: Path) -> None:
    kind, path = added(tmp_path)
    path.rename(tmp_path / "my_detectors.py")
    install("my-detectors", "stock_monitor.detectors", f"{kind} = my_detectors:DETECTOR", tmp_path)
    found = outcome(run([sys.executable, "-c", PROGRAM], tmp_path, KIND=kind, PACKAGE="my-detectors"))
    is_a_kind_everywhere(found, kind, "Whipsaw")


HALVES = [
    (
        "DETECTOR = DetectorSpec(",
        "SPEC = DetectorSpec(",
        "DETECTOR is missing; must be a DetectorSpec with kind, label,",
    ),
    (
        '    over="moves are of usual size again",\n',
        "",
        "DetectorSpec is missing 1 required keyword-only argument: 'over'",
    ),
    ('kind="whipsaw",\n', 'kind="Whip Saw",\n', "kind is 'Whip Saw'; must be 2 to 32 of a-z 0-9 _"),
    ('kind="whipsaw",\n', 'kind="gap",\n', "distortion"),
    ('kind="whipsaw"', 'kind="rule"', "kind 'rule' is that of a person's own rules"),
    ('kind="whipsaw"', 'kind="gap"', "kind 'gap' is taken by"),
    ('"whipsaw_change": "ret', '"class": "ret', "must be names of fields with what they mean"),
    (
        '"whipsaw_change": "ret',
        '"pause_high": "ret',
        "field 'pause_high' is taken by consumers/detectors/gap.py",
    ),
    (
        '"whipsaw_change": "ret',
        '"pace": "ret',
        "field 'pace' is the engine's; must be a name that the engine does not use",
    ),
    ('move="jump"', 'move="sideways"', "move is 'sideways'; must be one of none, jump, shift"),
    ("score=score", "score=lambda s, x: score(s, x)", "must be a function (s, x) of its file"),
    ("window=window", "window=_sentence", "window is"),
    (
        '{"unit": "return", ',
        '{"unit": "standard deviations", ',
        "must be a dict with a text of at most 16 char",
    ),
    (
        '{"unit": "return", ',
        '{"units": "return", ',
        "must be a dict with a text of at most 16 characters called unit",
    ),
    ("int(min(x.age, 240.0))", "np.int64(3)", "window, sentence or note fails: NameError"),
    ('"ticks": int(', '"ticks": float("nan") * (', "window, sentence or note fails: ValueError"),
    ('return f"{moved', 'f"{moved', "sentence is None; must be a function that returns a text"),
    ("DetectorSpec(\n", "DetectorSpec(\n    is_first='no',\n", "is_first is 'no'; must be True or False"),
    (
        "DetectorSpec(\n",
        "DetectorSpec(\n    concerns='print', is_feigned_by_misprints=True,\n",
        "is_feigned_by_misprints is True; must be left out of what concerns the print",
    ),
    ('fields={"whipsaw_change": "return of the tick before"}', "fields={}", "score fails: AttributeError"),
    ("return kept / x.scale", "return kept - 1.0", "finite numbers, of which the score is at least 0"),
    (
        "before if opposite else 0.0, 0.0, x.scale",
        "0.0, x.scale",
        "score returns 3 numbers; must be four",
    ),
    ('"""Return (score', 'import nowhere  # noqa\n    """', "score fails: ModuleNotFoundError"),
    (
        "from consumers.contracts.wording",
        "from consumers.contracts.words",
        "cannot be loaded: ModuleNotFoundError",
    ),
]


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return added(tmp_path_factory.mktemp("rooms"))[1]


@pytest.mark.parametrize(("part", "instead", "named"), HALVES)
def test_half_a_declaration_does_not_start(copied: Path, part: str, instead: str, named: str) -> None:
    text = copied.read_text()
    assert part in text
    copied.write_text(text.replace(part, instead))
    try:
        done = run([sys.executable, "-c", "import consumers.detectors.engine.engine"], copied.parents[2])
    finally:
        copied.write_text(text)
    assert done.returncode
    last = [line for line in done.stderr.splitlines() if "DetectorSpecError: " in line and named in line][-1]
    assert "consumers/detectors/whipsaw.py" in last


def test_the_example_is_typed(tmp_path: Path) -> None:
    _, path = added(tmp_path)
    check_types(path, tmp_path, "--explicit-package-bases")

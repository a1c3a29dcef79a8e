"""Every change that the API makes is a line of the log: who, before, after; when is the line's own time."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from api.services import Services
from consumers.alerts import links
from consumers.contracts.anomaly import Anomaly
from tests.api.client import NOW_MS, Api
from tests.api.test_alerts import LATER, anomaly, notified, token  # noqa: F401  fixtures

INCIDENT = f"simulated-TSLA-{NOW_MS - 1000}"
RULE = {"id": "r", "ticker": "AAPL", "when": "above", "value": 300, "repeat": "once", "severity": "high"}
UNTIL = {"until": LATER, "reason": "mine"}
SILENCE = {"ticker": "TSLA"}
DOCUMENT = Path(__file__).parents[2] / "api" / "openapi.json"


@pytest.mark.usefixtures("notified")
def test_every_write_is_in_the_log(
    services: Services,
    anomaly: Anomaly,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    acknowledgement = f"/anomalies/TSLA/{anomaly.id}/acknowledgement"
    written: set[tuple[str, str]] = set()
    api = Api(services)

    def change(method: str, path: str, body: object = None, **query: str) -> tuple[str, Any, Any]:
        caplog.clear()
        reply = api.send(method, path, body, **query)
        assert reply.status == 200, reply.text
        (line,) = [one for one in caplog.records if one.getMessage().endswith(" changed")]
        said = vars(line)
        json.dumps([said["before"], said["after"]])
        assert said["by"] == ("a link sent to desk" if path == "/links" else "somebody")
        written.add((method, path))
        return line.getMessage().removesuffix(" changed"), said["before"], said["after"]

    what, before, after = change("PUT", "/tickers", {"tickers": ["AAPL", "TSLA"], "unchecked": True})
    assert (what, before["removed"], after["added"]) == ("watch list", ["MSFT"], ["TSLA"])
    what, before, after = change("PUT", "/thresholds", {"value": 4, "ticker": "", "kind": "gap"})
    assert (what, before["kinds"], after["kinds"]) == ("threshold", {}, {"gap": 4})
    what, before, after = change("POST", "/rules", RULE)
    assert (what, before, after["id"], after["value"]) == ("rule", None, "r", 300)
    assert change("DELETE", "/rules/r") == ("rule", after, None)
    what, before, after = change("PUT", "/alerts/routes", {"routes": [{"notify": "digest"}]})
    assert (what, before["routes"], len(after["routes"])) == ("routes", [], 1)
    what, before, after = change("PUT", "/alerts/silences", UNTIL, **SILENCE)
    assert (what, before, after["reason"]) == ("silence", None, "mine")
    assert services.alerts.silences()[0].by == "somebody"
    assert change("DELETE", "/alerts/silences", **SILENCE) == ("silence", after, None)
    for method, path in (("PUT", acknowledgement), ("POST", f"/incidents/{INCIDENT}/acknowledge")):
        what, before, after = change(method, path, UNTIL)
        assert (what, before, after["reason"], after["by"]) == ("acknowledgement", None, "mine", "somebody")
        assert change("DELETE", path) == ("acknowledgement", after, None)
    what, before, after = change("POST", f"/incidents/{INCIDENT}/feedback", {"useful": True})
    assert (what, after["useful"]) == ("feedback", True)
    actions: dict[links.Action, str] = {
        "silence": "silence",
        "acknowledge": "acknowledgement",
        "noise": "feedback",
    }
    for action, of in actions.items():
        what, before, after = change("POST", "/links", {"token": token(services, action)})
        assert (what, before) == (of, None)
        assert after
    assert change("POST", "/alerts/test")[0] == "test of the channels"
    documented = {
        (method.upper(), re.sub(r"\{\w+\}", "[^/]+", path))
        for path, methods in json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"].items()
        for method in methods
        if method != "get"
    }
    missing = {
        (method, path)
        for method, path in documented
        if not any(method == m and re.fullmatch(path, p) for m, p in written)
    }
    assert missing == set()

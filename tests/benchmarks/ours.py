"""The detector, from the text of a Lambda event on: `python ours.py NAME TICKS`.

`full` is the handler that is deployed. `charted` is the same with the z-score of all contenders for a detector,
`committed` keeps no charts, and `zscore` leaves out all that persists, as the peers do.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import boto3
import workload
import zscore_engine
from aws_stub import AwsStub
from contender import FedContender, run

from consumers.detector import commit, effects
from consumers.detector.invocation import Consumer
from consumers.detector.ports import Ports
from consumers.stream.thresholds import ThresholdHistory, ThresholdVersion
from consumers.windows import bars, partition, snapshot, state
from producers.publisher import Publisher
from producers.quote_batch import QuoteBatch

if TYPE_CHECKING:
    from mypy_boto3_kinesis.client import KinesisClient

Json = dict[str, Any]

PARTITIONS = int(os.environ.get("PARTITIONS", "4"))
STREAM = "stock-quotes"


class _Stream:
    """Takes what a publisher puts on the stream."""

    def __init__(self) -> None:
        self.entries: list[Json] = []

    def put_records(self, *, Records: list[Json], **_: object) -> Json:  # noqa: N803
        self.entries += Records
        return {"FailedRecordCount": 0, "Records": [{"SequenceNumber": "0"} for _ in Records]}


class _Producer:
    """Puts polls on a stream with one shard, as the scanner does, and cuts it into Lambda events."""

    def __init__(self) -> None:
        self._sequence = 10**20
        self.stream_bytes = 0

    def events(self, ticks: workload.Ticks, invocation_polls: int) -> list[str]:
        stream = _Stream()
        publisher = Publisher(cast("KinesisClient", stream), STREAM, PARTITIONS)
        texts = []
        for start in range(0, len(ticks.ts), invocation_polls):
            records = []
            for poll in range(start, min(start + invocation_polls, len(ticks.ts))):
                stream.entries = []
                publisher.publish([_batch(ticks.polls(poll, poll + 1))])
                records += [self._record(entry, int(ticks.ts[poll]) + 20) for entry in stream.entries]
            texts.append(json.dumps({"Records": records}))
        return texts

    def _record(self, entry: Json, arrival_ms: int) -> Json:
        self._sequence += 1
        self.stream_bytes += len(entry["Data"])
        return {
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": entry["PartitionKey"],
                "sequenceNumber": str(self._sequence),
                "data": base64.b64encode(entry["Data"]).decode(),
                "approximateArrivalTimestamp": arrival_ms / 1000,
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": f"shardId-000000000000:{self._sequence}",
            "eventName": "aws:kinesis:record",
            "awsRegion": "us-east-1",
            "eventSourceARN": f"arn:aws:kinesis:us-east-1:000000000000:stream/{STREAM}",
        }


def _batch(poll: workload.Ticks) -> QuoteBatch:
    count = len(poll.symbols)
    return QuoteBatch(
        "alpaca",
        poll.symbols,
        poll.ts.tolist() * count,
        poll.price[0].tolist(),
        poll.bid[0].tolist(),
        poll.ask[0].tolist(),
        poll.day_volume[0].tolist(),
        [None] * count,
        [],
    )


class Full(FedContender):
    """The deployed handler on an AWS inside the process."""

    def __init__(self) -> None:
        super().__init__()
        os.environ.update(
            AWS_ACCESS_KEY_ID="x",
            AWS_SECRET_ACCESS_KEY="x",
            AWS_DEFAULT_REGION="us-east-1",
            PARTITIONS=str(PARTITIONS),
            ANOMALIES_TABLE="anomalies",
            WINDOWS_TABLE="windows",
            CHARTS_TABLE="charts",
            DATA_BUCKET="data",
            BUS_NAME="stock-market",
            POWERTOOLS_SERVICE_NAME="stock-detector",
            POWERTOOLS_METRICS_NAMESPACE="StockMonitor",
            POWERTOOLS_LOG_LEVEL="ERROR",
        )
        os.environ.pop("AWS_ENDPOINT_URL", None)
        self._stub = AwsStub()
        self._producer = _Producer()
        self._ticks = 0
        boto3.setup_default_session()
        boto3.DEFAULT_SESSION.events.register("before-send", self._stub)  # type: ignore[union-attr, arg-type]
        self._note_anomalies()
        from consumers.detector.handler import handler

        self._handler = handler
        self._context = SimpleNamespace(
            function_name="stock-detector",
            memory_limit_in_mb=1769,
            invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:stock-detector",
            aws_request_id="0",
            get_remaining_time_in_millis=lambda: 600_000,
        )

    def _note_anomalies(self) -> None:
        made = effects.anomaly_of

        def noting(transition: Any, rows: Any, *, late: bool) -> Any:
            if transition.change == "opened":
                self.found.append((rows.key_of(transition.row), transition.opened_ts))
            return made(transition, rows, late=late)

        effects.anomaly_of = noting

    def prepare(self, ticks: workload.Ticks, invocation_polls: int) -> list[str]:
        self._stub.meter = type(self._stub.meter)()
        self._producer.stream_bytes, self._ticks = 0, len(ticks)
        return self._producer.events(ticks, invocation_polls)

    def feed(self, prepared: list[str]) -> None:
        for text in prepared:
            answer = self._handler(json.loads(text), self._context)
            if answer != {"batchItemFailures": []}:
                raise RuntimeError(f"the detector did not take all: {answer}")

    def off_the_clock(self) -> float:
        return self._stub.meter.stub_cpu

    def counted(self) -> Json:
        counted = self._stub.meter.as_dict()
        if self._ticks:
            counted["stream_bytes_a_tick"] = self._producer.stream_bytes / self._ticks
        return counted


def _use_zscore() -> None:
    for module in (state, partition, snapshot):
        module.engine = zscore_engine  # type: ignore[attr-defined]


def _leave_out_charts() -> None:
    left_out = SimpleNamespace(new_minutes=bars.new_minutes, advance=lambda *_: [])
    state.bars = left_out  # type: ignore[attr-defined, assignment]
    commit.Partitions._put_quotes = lambda *_: None  # type: ignore[method-assign]


class Charted(Full):
    """The same handler with the z-score for a detector."""

    def __init__(self) -> None:
        _use_zscore()
        super().__init__()


class Committed(Charted):
    """The same without minute bars and last quotes, which are for the dashboard: no peer has them."""

    def __init__(self) -> None:
        _leave_out_charts()
        super().__init__()


class _Nothing:
    """In place of what persists: nothing is there, and nothing is kept."""

    def last(self, *_: object) -> None:
        return None

    def after(self, *_: object) -> tuple[()]:
        return ()

    def put(self, *_: object) -> None:
        return None

    def begin(self, *_: object) -> int:
        return 1

    end = put

    def history(self) -> ThresholdHistory:
        return ThresholdHistory([ThresholdVersion(1, 0, "2.5")])


class Zscore(Full):
    """The consumer with the z-score, from the event to the anomalies: nothing is packed, charted or kept."""

    def __init__(self) -> None:
        super(Full, self).__init__()
        _use_zscore()
        _leave_out_charts()
        state.codec = SimpleNamespace(pack=lambda *_: b"")  # type: ignore[attr-defined, assignment]
        commit.Partitions._save_snapshot = lambda *_: None  # type: ignore[method-assign]
        self._stub, self._producer, self._ticks = AwsStub(), _Producer(), 0
        self._note_anomalies()
        nothing: Any = _Nothing()
        self._consumer = Consumer(PARTITIONS, Ports(*[nothing] * len(Ports._fields)), lambda: 0)

    def feed(self, prepared: list[str]) -> None:
        for text in prepared:
            report = self._consumer.consume(json.loads(text), 1)
            if report.failed_sequence is not None:
                raise RuntimeError(f"the consumer stopped at {report.failed_sequence}")


CONTENDERS = {"zscore": Zscore, "committed": Committed, "charted": Charted, "full": Full}

if __name__ == "__main__":
    logging.getLogger().setLevel(logging.ERROR)
    run(CONTENDERS[sys.argv[1]](), Path(sys.argv[2]))

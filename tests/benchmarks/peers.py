"""What people would pick instead, each with the same z-score: `python peers.py NAME TICKS` (in build/peers).

Bytewax, Quix Streams and river get the JSON messages as a client of the stream would hand them over; the batch
processor of Powertools gets the text of Lambda events, a record a tick.
"""

from __future__ import annotations

import base64
import contextvars
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast
from unittest.mock import MagicMock

import workload
import zscore
from contender import Contender, FedContender, run

Anomaly = tuple[str, tuple[int, bool]]
"""Symbol, and ts and verdict of a tick."""
Json = dict[str, Any]

BATCH_SIZE = 1000
# Kinesis event source mappings hand over at most so many records at once.
MAX_RECORDS = 10_000


class Bytewax(Contender):
    """A dataflow that runs for as long as the worker: its source waits for the next round."""

    def prepare(self, ticks: workload.Ticks, invocation_polls: int) -> list[list[bytes]]:
        del invocation_polls
        messages = ticks.messages()
        return [messages[i : i + BATCH_SIZE] for i in range(0, len(messages), BATCH_SIZE)]

    def serve(self, rounds: Iterator[Any]) -> None:
        import bytewax.operators as op
        from bytewax.dataflow import Dataflow
        from bytewax.inputs import DynamicSource, StatelessSourcePartition
        from bytewax.outputs import DynamicSink, StatelessSinkPartition
        from bytewax.testing import run_main

        batches = (batch for prepared in rounds for batch in prepared)
        found = self.found

        class Partition(StatelessSourcePartition[bytes]):
            def next_batch(self) -> list[bytes]:
                return next(batches)

        class Source(DynamicSource[bytes]):
            def build(self, step_id: str, worker_index: int, worker_count: int) -> Partition:
                del step_id, worker_index, worker_count
                return Partition()

        class Found(StatelessSinkPartition[Anomaly]):
            def write_batch(self, items: list[Anomaly]) -> None:
                found.extend((key, ts) for key, (ts, _) in items)

        class Sink(DynamicSink[Anomaly]):
            def build(self, step_id: str, worker_index: int, worker_count: int) -> Found:
                del step_id, worker_index, worker_count
                return Found()

        def keyed(message: bytes) -> tuple[str, tuple[float, int]]:
            tick = json.loads(message)
            return tick["symbol"], (tick["price"], tick["ts"])

        def judge(
            state: zscore.Rolling | None, value: tuple[float, int]
        ) -> tuple[zscore.Rolling, tuple[int, bool]]:
            price, ts = value
            if state is None:
                state = zscore.Rolling(price)
            return state, (ts, state.is_anomaly(price))

        flow = Dataflow("zscore")
        ticks = op.map("decode", op.input("ticks", flow, Source()), keyed)
        judged = op.stateful_map("zscore", ticks, judge)
        op.output("found", op.filter("anomalies", judged, lambda item: item[1][1]), Sink())
        run_main(flow)


class Quix(FedContender):
    """The composed pipeline with its own state manager and memory store, without a broker; a checkpoint a round."""

    def __init__(self) -> None:
        super().__init__()
        from quixstreams.dataframe import StreamingDataFrame
        from quixstreams.dataframe.registry import DataFrameRegistry
        from quixstreams.models.topics import Topic, TopicConfig, TopicManager
        from quixstreams.processing import ProcessingContext
        from quixstreams.state.manager import StateStoreManager
        from quixstreams.state.memory import MemoryStore

        states = StateStoreManager(group_id="bench", default_store_type=MemoryStore)
        topics = TopicManager(topic_admin=MagicMock(), consumer_group="bench", timeout=1)
        topic = Topic(name="ticks", value_deserializer="json", key_deserializer="str")
        topic.broker_config = TopicConfig(
            num_partitions=1,
            replication_factor=1,
            extra_config={"retention.ms": "-1", "cleanup.policy": "delete", "retention.bytes": "-1"},
        )
        registry = DataFrameRegistry()
        self._processing = ProcessingContext(
            producer=MagicMock(),
            consumer=MagicMock(),
            commit_interval=0,
            state_manager=states,
            sink_manager=MagicMock(),
            dataframe_registry=registry,
        )
        frame = StreamingDataFrame(
            topic, topic_manager=topics, registry=registry, processing_context=self._processing
        )
        registry.register_root(frame)

        def judge(tick: Json, state: Any) -> Any:
            values = state.get("z") or zscore.new_values(tick["price"])
            found = zscore.as_values(values, tick["price"])
            state.set("z", values)
            return tick["symbol"], tick["ts"], found

        frame = frame.apply(judge, stateful=True).filter(lambda judged: judged[2])
        states.on_partition_assign(stream_id=frame.stream_id, partition=0, committed_offsets={"ticks": -1001})
        composed = frame.compose(sink=lambda judged, *_: self.found.append((judged[0], judged[1])))
        self._pipeline = next(iter(composed.values()))
        self._offset = 0

    def prepare(self, ticks: workload.Ticks, invocation_polls: int) -> list[list[bytes]]:
        messages = ticks.messages()
        size = invocation_polls * len(ticks.symbols)
        return [messages[i : i + size] for i in range(0, len(messages), size)]

    def feed(self, prepared: list[list[bytes]]) -> None:
        from quixstreams.context import set_message_context
        from quixstreams.models import MessageContext

        for messages in prepared:
            self._processing.init_checkpoint()
            context = contextvars.copy_context()
            context.run(set_message_context, MessageContext("ticks", 0, self._offset, 100))
            for message in messages:
                tick = json.loads(message)
                context.run(self._pipeline, tick, tick["symbol"].encode(), 0, None)
            self._offset += len(messages)
            for transaction in self._processing.checkpoint._store_transactions.values():
                transaction.prepare({"ticks": self._offset})
                transaction.flush()


class River(FedContender):
    """Its rolling mean and variance."""

    def __init__(self) -> None:
        super().__init__()
        from river import stats, utils

        self._new = lambda: [
            utils.Rolling(stats.Mean(), window_size=zscore.WINDOW),
            utils.Rolling(stats.Var(ddof=0), window_size=zscore.WINDOW),
            0,
        ]
        self._states: dict[str, list[Any]] = {}

    def prepare(self, ticks: workload.Ticks, invocation_polls: int) -> list[bytes]:
        del invocation_polls
        return ticks.messages()

    def feed(self, prepared: list[bytes]) -> None:
        states = self._states
        for message in prepared:
            tick = json.loads(message)
            symbol, price = tick["symbol"], tick["price"]
            state = states.get(symbol)
            if state is None:
                state = states[symbol] = self._new()
            mean, variance, count = state
            if count >= zscore.WINDOW:
                spread = variance.get()
                if spread > zscore.LEAST_VARIANCE and abs(price - mean.get()) / spread**0.5 > zscore.LIMIT:
                    self.found.append((symbol, tick["ts"]))
            mean.update(price)
            variance.update(price)
            state[2] += 1


def record_events(ticks: workload.Ticks, records: int) -> list[str]:
    """Lambda events with a record a tick, as text."""
    symbols = ticks.symbols
    all_of_them = [
        _record(symbols[i % len(symbols)], i, message) for i, message in enumerate(ticks.messages())
    ]
    return [
        json.dumps({"Records": all_of_them[i : i + records]}) for i in range(0, len(all_of_them), records)
    ]


def _record(key: str, number: int, data: bytes) -> Json:
    sequence = str(10**20 + number)
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": key,
            "sequenceNumber": sequence,
            "data": base64.b64encode(data).decode(),
            "approximateArrivalTimestamp": 1.79e9,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"shardId-000000000000:{sequence}",
        "eventName": "aws:kinesis:record",
        "awsRegion": "us-east-1",
        "eventSourceARN": "arn:aws:kinesis:us-east-1:000000000000:stream/stock-quotes",
    }


class Powertools(FedContender):
    """The batch processor with a handler for each record; state in a dict."""

    def __init__(self) -> None:
        super().__init__()
        from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType

        self._processor = BatchProcessor(event_type=EventType.KinesisDataStreams)
        self._states: dict[str, zscore.Rolling] = {}

    def prepare(self, ticks: workload.Ticks, invocation_polls: int) -> list[str]:
        return record_events(ticks, min(MAX_RECORDS, invocation_polls * len(ticks.symbols)))

    def feed(self, prepared: list[str]) -> None:
        from aws_lambda_powertools.utilities.batch import process_partial_response

        for text in prepared:
            process_partial_response(
                event=json.loads(text), record_handler=self._judge, processor=self._processor, context=None
            )

    def _judge(self, record: Any) -> None:
        tick = record.kinesis.data_as_json()
        symbol, price = tick["symbol"], tick["price"]
        state = self._states.get(symbol)
        if state is None:
            state = self._states[symbol] = zscore.Rolling(price)
        if state.is_anomaly(price):
            self.found.append((symbol, tick["ts"]))


class Naive(FedContender):
    """A read and a write of DynamoDB for each tick, as the table resource of boto3 makes it easy."""

    def __init__(self) -> None:
        super().__init__()
        import boto3
        from aws_stub import AwsStub

        os.environ.update(AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x", AWS_DEFAULT_REGION="us-east-1")
        self._stub = AwsStub()
        session = boto3.Session()
        session.events.register("before-send", self._stub)  # type: ignore[arg-type]
        self._table = session.resource("dynamodb").Table("naive")

    def prepare(self, ticks: workload.Ticks, invocation_polls: int) -> list[str]:
        self._stub.meter = type(self._stub.meter)()
        return record_events(ticks, min(MAX_RECORDS, invocation_polls * len(ticks.symbols)))

    def feed(self, prepared: list[str]) -> None:
        from decimal import Decimal

        for text in prepared:
            for record in json.loads(text)["Records"]:
                tick = json.loads(base64.b64decode(record["kinesis"]["data"]), parse_float=Decimal)
                item = self._table.get_item(Key={"pk": tick["symbol"]}).get("Item")
                prices = cast("list[Decimal]", item["prices"]) if item else []
                if len(prices) == zscore.WINDOW:
                    values = [float(price) for price in prices]
                    mean = sum(values) / zscore.WINDOW
                    variance = sum((value - mean) ** 2 for value in values) / zscore.WINDOW
                    if (
                        variance > zscore.LEAST_VARIANCE
                        and abs(float(tick["price"]) - mean) / variance**0.5 > zscore.LIMIT
                    ):
                        self.found.append((tick["symbol"], tick["ts"]))
                prices = [*prices, tick["price"]][-zscore.WINDOW :]
                self._table.put_item(Item={"pk": tick["symbol"], "prices": prices})

    def off_the_clock(self) -> float:
        return self._stub.meter.stub_cpu

    def counted(self) -> Json:
        return self._stub.meter.as_dict()


CONTENDERS: dict[str, Callable[[], Contender]] = {
    "bytewax": Bytewax,
    "quix": Quix,
    "river": River,
    "powertools": Powertools,
    "naive": Naive,
}

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    os.environ.update(
        POWERTOOLS_TRACE_DISABLED="1", POWERTOOLS_SERVICE_NAME="bench", POWERTOOLS_LOG_LEVEL="ERROR"
    )
    run(CONTENDERS[sys.argv[1]](), Path(sys.argv[2]))

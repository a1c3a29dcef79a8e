"""One invocation: decode, apply partition by partition, say from where to deliver again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from consumers.contracts.errors import IOFailedError
from consumers.detector.commit import InvocationReport, Partitions
from consumers.stream.decode import Decoder
from consumers.stream.records import KinesisRecord, records_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from consumers.detector.ports import Ports

MAX_CRASHES = 5

logger = logging.getLogger(__name__)


class Consumer:
    """Handles invocations one after the other; the states that it has in memory are a cache of the blocks.

    Parameters
    ----------
    partitions
        Over how many partitions the symbols are spread.
    outside
        Where to read and write.
    now_ms
        The time, in epoch milliseconds.
    """

    def __init__(self, partitions: int, ports: Ports, now_ms: Callable[[], int]) -> None:
        self._ports = ports
        self._now_ms = now_ms
        self._decoder = Decoder(partitions)
        self._partitions = Partitions(ports, now_ms)
        # Whether the last invocation may have crashed: a new process cannot tell.
        self._may_have_crashed = True

    def consume(self, event: Any, until_ms: int) -> InvocationReport:
        """Apply the records of a Lambda event; what is not begun by `until_ms` is left for the next delivery.

        Raises
        ------
        msgspec.ValidationError
            If the event is not one of a Kinesis stream.
        """
        records = records_of(event)
        report = InvocationReport(records=len(records))
        if not records:
            return report
        counted = len(records) == 1 and self._may_have_crashed
        self._may_have_crashed = True
        try:
            crashed = self._crashed(records[0]) if counted else None
            self._apply(records, crashed, until_ms, report)
        except IOFailedError as error:
            logger.warning("batch stopped", extra={"reason": str(error)})
            report.failed_sequence = report.failed_sequence or records[0].sequence
        if counted:
            self._end(records[0])
        self._may_have_crashed = False
        report.iterator_age_ms = max(0, self._now_ms() - records[-1].arrival_ms)
        return report

    def _crashed(self, record: KinesisRecord) -> str | None:
        """Return why a record must not be read any more: each crash on it alone left an attempt begun, none ended."""
        begun = self._ports.attempts.begin(record.shard, record.sequence)
        return f"crashed the function {MAX_CRASHES} times, alone" if begun > MAX_CRASHES else None

    def _end(self, record: KinesisRecord) -> None:
        """Record that the attempt ended. An I/O error is not a crash; if recording that fails too, ignore it."""
        try:
            self._ports.attempts.end(record.shard, record.sequence)
        except IOFailedError as error:
            logger.warning("attempts not ended", extra={"reason": str(error)})

    def _apply(
        self, records: Sequence[KinesisRecord], crashed: str | None, until_ms: int, report: InvocationReport
    ) -> None:
        history = self._ports.thresholds.history()
        decoded = self._decoder.decode(records, crashed)
        stopped: list[int] = []
        for partition, rows in decoded.rows.items():
            quarantined = [entry for entry in decoded.quarantined if entry.partition == partition]
            stop = self._partitions.apply(
                partition, rows, quarantined=quarantined, history=history, until_ms=until_ms, report=report
            )
            if stop is not None:
                ordinal = int(rows.record[stop.row])
                stopped.append(ordinal)
                where = {"partition": partition, "sequence": records[ordinal].sequence}
                logger.warning("partition stopped", extra={**where, "reason": stop.reason})
        report.stopped_partitions = len(stopped)
        if stopped:
            report.failed_sequence = records[min(stopped)].sequence

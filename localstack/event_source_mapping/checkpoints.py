"""Where each shard of each mapping is to be read from, kept in a file that survives a restart."""

import json
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from localstack.files import write_atomically
from producers.errors import MonitorError

_VERSION = 1


class StateFileError(MonitorError, ValueError):
    """The state file cannot be used: the message names the file and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Offset:
    """A place in a shard.

    `after` a sequence number, `at` an epoch time in seconds, from the `start` (TRIM_HORIZON), from the
    `latest` record on, or `ended`: the shard is closed and read to its end.
    """

    kind: Literal["after", "at", "start", "latest", "ended"]
    sequence_number: str = ""
    timestamp: float = 0.0


class Checkpoints:
    """Offsets by mapping and shard; thread safe.

    Written whole and put in place by a rename, so that a crash leaves the old file or the new one. What was
    done after the last write is delivered again after a crash: Lambda's promise is at least once, too.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._changed = False
        self._offsets = _read(path) if path and path.exists() else {}

    def known(self, mapping_uuid: str) -> bool:
        """Whether the mapping was seen before: then its starting position has had its effect."""
        with self._lock:
            return mapping_uuid in self._offsets

    def shards(self, mapping_uuid: str) -> dict[str, Offset]:
        """Return the offsets of a mapping by shard id."""
        with self._lock:
            return dict(self._offsets.get(mapping_uuid, {}))

    def put(self, mapping_uuid: str, shard_id: str, offset: Offset) -> None:
        """Remember an offset (in memory, until `save`)."""
        with self._lock:
            shards = self._offsets.setdefault(mapping_uuid, {})
            if shards.get(shard_id) != offset:
                shards[shard_id] = offset
                self._changed = True

    def forget_shards(self, mapping_uuid: str, shard_ids: set[str]) -> None:
        """Drop offsets of shards that no longer exist."""
        with self._lock:
            for shard_id in shard_ids:
                self._changed |= self._offsets.get(mapping_uuid, {}).pop(shard_id, None) is not None

    def forget_mapping(self, mapping_uuid: str) -> None:
        """Drop a mapping that was deleted."""
        with self._lock:
            self._changed |= self._offsets.pop(mapping_uuid, None) is not None

    def mappings(self) -> set[str]:
        """Return the mappings with an offset."""
        with self._lock:
            return set(self._offsets)

    def save(self) -> None:
        """Write the file if something changed since it was written; an OSError leaves the file before it."""
        with self._lock:
            if not self._changed or self._path is None:
                return
            document = {
                "version": _VERSION,
                "mappings": {
                    uuid: {shard: asdict(offset) for shard, offset in shards.items()}
                    for uuid, shards in self._offsets.items()
                },
            }
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path, json.dumps(document, indent=1))
            self._changed = False


def _read(path: Path) -> dict[str, dict[str, Offset]]:
    try:
        document: dict[str, Any] = json.loads(path.read_text())
        if document["version"] != _VERSION:
            raise StateFileError(f"{path}: version {document['version']!r}, this program writes {_VERSION}")
        return {
            uuid: {shard: Offset(**offset) for shard, offset in shards.items()}
            for uuid, shards in document["mappings"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateFileError(f"{path} is not a state file of this program: {error}") from error

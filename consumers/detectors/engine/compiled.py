"""The loop over the ticks, compiled: gets the arrays of a call, and callbacks for detectors that are not compiled."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np

from consumers.contracts.kinds import REGISTRY
from consumers.detectors.engine.check import score_of
from consumers.detectors.engine.signals import Signals
from consumers.detectors.engine.state import FIELDS, STATE_FIELDS
from consumers.detectors.engine.ticks import Floats, Integers, Ticks
from consumers.stream.library import Library

_KINDS = len(REGISTRY)
_Readings, _Changes = ctypes.c_double * (4 * _KINDS), ctypes.c_double * (3 * _KINDS)
_FAILED = -1


class EpisodeChange(NamedTuple):
    """A tick that changed an episode."""

    row: int
    changes: Sequence[Sequence[float]]
    """Of each kind: what changed (see `episodes`; 0 for nothing), the level, and the ms at which it opened."""
    readings: Sequence[Sequence[float]]
    s: Any
    x: Any


class _Call(ctypes.Structure):
    """As `Call` in loop.c."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("count", "fields", "kinds")),
        *((name, ctypes.c_void_p) for name in ("order", *Ticks._fields)),
        *((name, ctypes.c_void_p) for name in ("states", "thresholds")),
        *((name, ctypes.c_int64) for name in ("kind_stride", "threshold_stride")),
        ("scores", ctypes.c_void_p),
        ("score_stride", ctypes.c_int64),
        *((n, ctypes.c_void_p) for n in ("detectors", "rearm_ticks", "signals", "readings", "changes")),
    )


class _Signals(ctypes.Structure):
    __slots__ = ()  # what is no signal cannot be set, as in `Signals`
    _fields_ = tuple(
        (each.name, ctypes.c_bool if each.type == "bool" else ctypes.c_double) for each in fields(Signals)
    )


class Loop:
    """The loop of a library, with the detectors of the registry.

    Parameters
    ----------
    library
        It has the loop, and the scores of all kinds or of some.
    """

    def __init__(self, library: Library) -> None:
        own = [name for name in FIELDS if name not in library.fields]
        names = [*library.fields, *own, *STATE_FIELDS[len(FIELDS) :]]
        self._run = library.code.run
        self._state: type[ctypes.Structure] = type(
            "State",
            (ctypes.Structure,),
            {"__slots__": (), "_fields_": [(name, ctypes.c_double) for name in names]},
        )
        rows = np.array([STATE_FIELDS.index(name) for name in names])
        self._rows = slice(None) if (np.diff(rows) == 1).all() else rows
        self._rearm_ticks = np.array([float(each.spec.rearm_ticks) for each in REGISTRY.values()])
        called = ctypes.CFUNCTYPE(
            ctypes.c_int,
            ctypes.POINTER(self._state),
            ctypes.POINTER(_Signals),
            ctypes.POINTER(ctypes.c_double),
        )
        self._errors: list[BaseException] = []
        self._scores = [
            getattr(library.code, f"score_{kind}")
            if kind in library.kinds
            else called(self._python(score_of(of)))
            for kind, of in REGISTRY.items()
        ]
        self._detectors = (ctypes.c_void_p * _KINDS)(
            *(ctypes.cast(score, ctypes.c_void_p).value for score in self._scores)
        )

    def _python(self, score: Callable[..., Sequence[float]]) -> Callable[..., int]:
        """Return what the loop calls for a detector that is not compiled; a callback cannot raise."""

        def called(s: Any, x: Any, reading: Any) -> int:
            try:
                reading[0], reading[1], reading[2], reading[3] = score(s.contents, x.contents)
            except BaseException as error:  # noqa: BLE001 - raised by `run`
                self._errors.append(error)
                return 1
            return 0

        return called

    def run(
        self, states: Floats, ticks: Ticks, order: Integers, thresholds: Floats, scores: Floats | None
    ) -> Iterator[EpisodeChange]:
        """Run the ticks in `order`, symbol after symbol; yield those that changed an episode."""
        x, readings, changes = _Signals(), _Readings(), _Changes()
        columns = [np.ascontiguousarray(column) for column in (order, *ticks)]
        # The states themselves, if they lie as `new_states` makes them.
        held = np.ascontiguousarray(states[self._rows].T)
        kind_stride, threshold_stride = (stride // thresholds.itemsize for stride in thresholds.strides)
        call = _Call(
            len(order), len(FIELDS), _KINDS, *(column.ctypes.data for column in columns), held.ctypes.data,
            thresholds.ctypes.data, kind_stride, threshold_stride,
            None if scores is None else scores.ctypes.data, 0 if scores is None else scores.strides[0] // 8,
            ctypes.addressof(self._detectors), self._rearm_ticks.ctypes.data,
            ctypes.addressof(x), ctypes.addressof(readings), ctypes.addressof(changes),
        )  # fmt: skip
        at = 0
        while (at := self._run(ctypes.byref(call), ctypes.c_int64(at))) < len(order):
            if at == _FAILED:
                raise self._errors.pop()
            row = int(order[at])
            s = self._state.from_address(held[ticks.slot[row]].ctypes.data)
            changed = [changes[3 * kind : 3 * kind + 3] for kind in range(_KINDS)]
            read = [readings[4 * kind : 4 * kind + 4] for kind in range(_KINDS)]
            yield EpisodeChange(row, changed, read, s, x)
            at += 1
        if not np.shares_memory(held, states):
            states[self._rows] = held.T

"""volume_burst: the volume of one, three and ten ticks against its usual size and its own heavy tail.

The square root tames the tail of volumes. Only ticks that trade are counted: many ticks of a quiet instrument do
not, and zeros say nothing of how large a volume may be. The limit of each span is learned (see `tail`), and what is
usual in the last hours before a session ends is learned over days.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any

from consumers.contracts.detector import DetectorSpec, Facts
from consumers.contracts.wording import number, times
from consumers.detectors.engine.signals import DAY_MS, VOLUME_TICKS
from consumers.detectors.engine.tail import ASSUMED_TICKS, learned
from producers.simulation.distortion import Distortion

if TYPE_CHECKING:
    from consumers.detectors.engine.signals import Signals
    from consumers.detectors.engine.state import State

# Of one, three and ten ticks: the reach, the least limit, and the quantile and excess that are assumed before any is
# learned, which are usual for minutes of shares. Single ticks are loud more often than several in a row.
ONE, THREE, TEN = (5.7, 1.5, 2.24, 0.57), (4.5, 1.5, 1.92, 0.35), (4.8, 1.5, 1.68, 0.2)
CLIP = 1.75  # a square root teaches the mean at most this many means
LEAST_ROOT = 1e-9
# Minutes before the time of day at which the last session ended: volumes grow towards it.
CLOSE_1, CLOSE_2, CLOSE_3, CLOSE_4 = 5.0 * 60_000.0, 20.0 * 60_000.0, 60.0 * 60_000.0, 160.0 * 60_000.0
AFTER_CLOSE, HALF_DAY = -60_000.0, 0.5 * DAY_MS
WORTH_NAMING = 0.7  # part of the limit
CLOSE_GAIN, CLOSE_CLIP = 0.02, 4.0


def score(s: State, x: Signals) -> tuple[float, float, float, float]:
    """Return (score, shares a tick over the rarest span, usual shares a tick, how many more are still normal)."""
    # In the geometric mean of a slow and a fast mean both the usual day and the last ticks have a say.
    usual = max(sqrt(s.volume * s.volume_fast), LEAST_ROOT)
    s.close_time = s.tick_time if x.new_session else s.close_time
    s.tick_time = x.time + 1.0
    left = s.close_time - s.tick_time
    left = left + DAY_MS if left < -HALF_DAY else left
    if (s.close_time > 0.0) & (left >= AFTER_CLOSE) & (left < CLOSE_4):
        usual = _at_the_close(s, x, left, usual)

    one, three, ten = x.volume_one / usual, x.volume_three / usual, x.volume_ten / usual
    fell, count = x.fell_volume, s.volumes + ASSUMED_TICKS
    limit_1, s.one_high, s.one_excess = learned(one, (s.one_high, s.one_excess, *ONE), fell, count)
    limit_3, s.three_high, s.three_excess = learned(
        three, (s.three_high, s.three_excess, *THREE), fell, count
    )
    limit_10, s.ten_high, s.ten_excess = learned(ten, (s.ten_high, s.ten_excess, *TEN), fell, count)
    rarity_1, rarity_3, rarity_10 = one / limit_1, three / limit_3, ten / limit_10
    # Of the three spans the rarest counts; what is far from rare is described by three ticks.
    rarity = max(rarity_1, rarity_3, rarity_10)
    ratio, limit, x.over_volumes = three, limit_3, 3.0
    if rarity > WORTH_NAMING:
        is_one, is_ten = rarity_1 == rarity, rarity_10 == rarity
        ratio = one if is_one else ten if is_ten else three
        limit = limit_1 if is_one else limit_10 if is_ten else limit_3
        x.over_volumes = 1.0 if is_one else 10.0 if is_ten else 3.0

    cap = CLIP * s.volume + x.open_volume
    s.volume += x.gain_volume * (min(x.volume_root, cap) - s.volume)
    cap = CLIP * s.volume_fast + x.open_volume
    s.volume_fast += x.gain_volume_fast * (min(x.volume_root, cap) - s.volume_fast)
    # A tick that comes after a silence carries the volume of several.
    judged = (rarity if x.volume_warm else 0.0) / x.root_lapse
    value, expected = ratio * usual, usual * usual
    return judged * 2.5, value * value, expected, expected * (limit * limit - 1.0)


def _at_the_close(s: State, x: Signals, left: float, usual: float) -> float:
    """Return the usual root so long before the close; learn how much larger it is then."""
    first, second, third = left < CLOSE_1, left < CLOSE_2, left < CLOSE_3
    grown = s.close_1 if first else s.close_2 if second else s.close_3 if third else s.close_4
    taught = min(x.volume_root / usual, CLOSE_CLIP) - 1.0 - grown
    moved = grown + (taught * CLOSE_GAIN if x.traded & (s.volume > 0.0) else 0.0)
    if first:
        s.close_1 = moved
    elif second:
        s.close_2 = moved
    elif third:
        s.close_3 = moved
    else:
        s.close_4 = moved
    return usual * (1.0 + max(grown, 0.0))


def window(s: State, x: Signals) -> dict[str, Any]:
    """Return what the volume was compared with."""
    del s
    return {"unit": "shares", "ticks": int(min(x.age, VOLUME_TICKS)), "over_ticks": int(x.over_volumes)}


def _sentence(facts: Facts) -> str:
    over, of = facts.window["over_ticks"], facts.window["ticks"]
    span = "in one tick" if over == 1 else f"a tick over {over} ticks"
    return (
        f"traded a volume of {number(facts.value)} {span}, {times(facts)} the usual"
        f" {number(facts.expected)} of the last {of} ticks"
    )


DETECTOR = DetectorSpec(
    kind="volume_burst",
    label="Volume burst",
    summary="the volume of one, three and ten ticks against its usual size and its own heavy tail",
    score=score,
    window=window,
    sentence=_sentence,
    over="volume is usual again",
    distortion=Distortion(kind="volume_burst", seconds=30.0, volume_factor=40.0),
    fields={
        "volume": "mean square root of a tick's volume over some 150 ticks that traded",
        "volume_fast": "the same over some 20",
        "one_high": "98 % quantile of the ratio to that mean, less its first value",
        "one_excess": "mean excess over it, less its first value",
        "three_high": "the same of the mean of three ticks",
        "three_excess": "mean excess over it, less its first value",
        "ten_high": "the same of the mean of ten ticks",
        "ten_excess": "mean excess over it, less its first value",
        "tick_time": "ms of the UTC day of the last tick, plus one",
        "close_time": "ms of the UTC day of the last tick of the last session, plus one",
        "close_1": "how much larger volumes are in the last 5 minutes before that time, less one",
        "close_2": "in the last 20",
        "close_3": "in the last 60",
        "close_4": "in the last 160",
    },
    may_follow_halt=True,
)

"""vol_shift: recent moves are larger than usual, all of them and not just one.

One-sided CUSUM (Page 1954) of the square root of |r| relative to its mean, over moves only (many ticks of a
liquid stock change nothing), each clipped at four times the usual size: robust against single jumps. The slack
is in units of the mean absolute deviation, so that heavy-tailed symbols need more.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any

from consumers.contracts.detector import DetectorSpec, Facts
from consumers.contracts.wording import percent, times
from consumers.detectors.engine.signals import FIRST_MOST
from producers.simulation.distortion import Distortion

if TYPE_CHECKING:
    from consumers.detectors.engine.signals import Signals
    from consumers.detectors.engine.state import State

OPERATING_SUM = 8.0
SLACK = 0.6
# Where volatility comes in waves, the sum itself is often high: the limit is at least so many times the value that it
# exceeds on one move of fifty. A sum beyond the limit teaches nothing of what is usual.
USUAL_SUMS, STEP, RARE = 4.0, 0.05, 0.02
MOST = 4.0  # limits
USUAL_MOVES, DEVIATION_MOVES, RECENT_MOVES = 300.0, 100.0, 12.0
CLIP = 3.0  # square roots: nine times the usual size
WARMUP_MOVES, UNCLIPPED_MOVES = 60.0, 20.0
FIRST_ROOT = sqrt(FIRST_MOST)
LEAST_DEVIATION, PRIOR_DEVIATION = 0.4, 0.3
LEAST_ROOT = 1e-6


def score(s: State, x: Signals) -> tuple[float, float, float, float]:
    """Return (score, size of recent moves, of usual moves, how much larger is still normal)."""
    # Half of it from the middle of the quotes, which does not bounce between them as trades do.
    middle = abs(x.middle_change) / x.root_lapse
    size = (middle + x.size_paced) * 0.5 if x.tracked else x.size_paced
    root = sqrt(size)
    usual = max(s.root, LEAST_ROOT)
    one = 1.0 if size > 0.0 else 0.0
    learned = one if s.moves > UNCLIPPED_MOVES else 0.0
    relative = min(root / usual, CLIP) - 1.0
    allowed = LEAST_DEVIATION + PRIOR_DEVIATION + s.root_spread
    limit = max(s.rise_high * USUAL_SUMS, OPERATING_SUM)
    rise = min(max(s.rise + learned * (relative / allowed - SLACK), 0.0), MOST * limit)
    within = learned * (0.0 if x.opening | (rise >= limit) else STEP)
    s.rise_high = max(s.rise_high + within * ((1.0 if rise > s.rise_high else 0.0) - RARE), 0.0)
    s.rise = 0.0 if x.opening else rise
    s.root_fast += learned * (relative - s.root_fast) * (1.0 / RECENT_MOVES)
    judged = s.rise if x.warm & (s.moves >= WARMUP_MOVES) else 0.0

    deviation = abs(relative) - PRIOR_DEVIATION
    s.root_spread += learned * (deviation - s.root_spread) * (1.0 / DEVIATION_MOVES)
    taught = min(root, CLIP * s.root if s.moves > UNCLIPPED_MOVES else FIRST_ROOT)
    s.root += one * (taught - s.root) / min(s.moves + 1.0, USUAL_MOVES)
    expected = usual * usual
    recent = 1.0 + s.root_fast
    beyond = 1.0 + SLACK * allowed
    return (
        judged / limit * 2.5,
        recent * recent * expected,
        expected,
        expected * (beyond * beyond - 1.0),
    )


def window(s: State, x: Signals) -> dict[str, Any]:
    """Return what the recent moves were compared with."""
    del x
    return {"unit": "return", "moves": int(min(s.moves, USUAL_MOVES)), "over_moves": int(RECENT_MOVES)}


def _sentence(facts: Facts) -> str:
    over, of = facts.window["over_moves"], facts.window["moves"]
    return (
        f"moves {times(facts)} as much as usual: {percent(facts.value)} a move over {over} moves,"
        f" against {percent(facts.expected)} over {of}"
    )


DETECTOR = DetectorSpec(
    kind="vol_shift",
    label="Volatility shift",
    summary="recent moves against their usual size, all of them and not just one",
    score=score,
    window=window,
    sentence=_sentence,
    over="moves are of usual size again",
    distortion=Distortion(kind="vol_shift", seconds=128.0, move="shake"),
    fields={
        "root": "mean square root of the size of a move",
        "root_fast": "the same over some 12 moves, relative, less one",
        "rise": "CUSUM of the relative square root",
        "rise_high": "98 % quantile of that CUSUM",
        "root_spread": "mean absolute deviation of the relative square root",
    },
    is_feigned_by_misprints=True,
)

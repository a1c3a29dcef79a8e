"""Whether incidents were useful: what counts, and thresholds that never cost a useful one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from consumers.alerts.feedback import Feedback
from stream_infra.operations.alert_quality import ENOUGH, newest, precision, proposals

_SAID = st.builds(
    Feedback,
    incident=st.sampled_from(["live-A-1", "live-B-2", "live-C-3"]),
    anomaly=st.integers(0, 30).map(str),
    ticker=st.sampled_from(["A", "B"]),
    kind=st.sampled_from(["price_spike", "gap"]),
    severity=st.just("high"),
    useful=st.booleans(),
    by=st.sampled_from(["me", "you"]),
    at_ms=st.integers(0, 20),
)


@given(st.lists(_SAID, max_size=30))
def test_the_newest_of_an_anomaly_counts_once_and_kinds_are_the_sum_of_their_tickers(
    said: list[Feedback],
) -> None:
    counted = newest(said)
    assert len(counted) == len({(one.incident, one.anomaly) for one in said})
    for one in counted:
        same = [other for other in said if (other.incident, other.anomaly) == (one.incident, one.anomaly)]
        assert one.at_ms == max(other.at_ms for other in same)
    rows = precision(said)
    for row in rows:
        if not row.ticker:
            tickers = [one for one in rows if one.kind == row.kind and one.ticker]
            assert (row.useful, row.noise) == (
                sum(one.useful for one in tickers),
                sum(one.noise for one in tickers),
            )
    assert sum(one.useful + one.noise for one in rows if not one.ticker) == len(counted)


@given(
    st.lists(st.tuples(st.floats(2.5, 20), st.booleans()), max_size=30),
    st.lists(st.floats(2.5, 20), max_size=30),
)
def test_a_threshold_keeps_every_useful_anomaly_and_leaves_noise_out(
    judged: list[tuple[float, bool]], others: list[float]
) -> None:
    said = [
        Feedback(f"live-A-{n}", str(n), "A", "price_spike", "high", useful, "me", n)
        for n, (_, useful) in enumerate(judged)
    ]
    scores = [score for score, _ in judged] + others
    found = {"price_spike": [(str(n), score, 2.5) for n, score in enumerate(scores)]}
    for one in proposals(said, found):
        assert one.threshold > one.now == 2.5
        assert all(score >= one.threshold for score, useful in judged if useful)
        assert one.noise_gone == sum(score < one.threshold for score, useful in judged if not useful) > 0
        assert one.anomalies_gone == sum(score < one.threshold for score in scores)
        assert (one.noise + one.useful, one.anomalies) == (len(judged), len(scores))
        assert len(judged) >= ENOUGH

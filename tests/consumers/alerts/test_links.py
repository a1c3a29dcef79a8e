"""Links in messages: signed, for a day, for one use."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.alerts import links
from consumers.alerts.links import ACTIONS, Grant, LinkError
from consumers.alerts.model import Acknowledgement, Silence
from consumers.alerts.table import ConflictError
from tests.consumers.alerts.bench import HOUR_MS, T0_MS, Bench, opened

KEY = b"k" * links.KEY_BYTES
_GRANTS = st.builds(
    Grant,
    st.sampled_from(ACTIONS),
    st.text("ABC-01", min_size=1, max_size=40),
    st.text("ABC-01#", min_size=1, max_size=40),
    st.text("abc", min_size=1, max_size=10),
    st.integers(1, 10**10),
)


@given(_GRANTS)
def test_a_token_allows_what_it_was_made_for_until_it_expires(allowed: Grant) -> None:
    token = links.sign(KEY, allowed)
    assert len(token) < links.TOKEN_CHARACTERS
    assert links.verify(KEY, token, allowed.until_s * 1000 - 1) == allowed
    with pytest.raises(LinkError, match="has expired"):
        links.verify(KEY, token, allowed.until_s * 1000)
    with pytest.raises(LinkError, match="not of this monitor"):
        links.verify(b"another" + KEY, token, 0)


@given(_GRANTS, st.data())
def test_nothing_of_a_token_can_be_changed(allowed: Grant, data: st.DataObject) -> None:
    token = links.sign(KEY, allowed)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(codec="utf-8"))
    changed = token[:place] + other + token[place + 1 :]
    try:
        links.verify(KEY, changed, 0)
    except LinkError:
        return
    assert changed == token


@given(st.text(max_size=100))
def test_any_text_is_rejected_in_words(text: str) -> None:
    with pytest.raises(LinkError, match="must be one that a message of the last day holds"):
        links.verify(KEY, text, 0)


def test_a_link_is_of_one_use_in_whatever_channel(bench: Bench) -> None:
    event = opened(severity="high")
    bench.take(event)
    (message,) = bench.sent()
    used = links.grant("acknowledge", message, "desk").use
    assert used == links.grant("acknowledge", message, "sns").use
    known = Acknowledgement("a link", bench.now_ms + HOUR_MS, 0)
    incident = bench.incident(event)
    after = bench.store.acknowledge(incident.id, known, bench.now_ms, used)
    assert after is not None
    assert after.acknowledgement == replace(known, rank=2)
    bench.store.acknowledge(incident.id, None, bench.now_ms)
    with pytest.raises(LinkError, match="was used"):
        bench.store.acknowledge(incident.id, known, bench.now_ms, used)
    assert bench.incident(event).state(bench.now_ms) == "open"

    silence = Silence(bench.now_ms + HOUR_MS, "AAPL")
    bench.store.put_silence(silence, links.grant("silence", message, "sns").use)
    bench.store.delete_silence(silence.scope)
    with pytest.raises(LinkError, match="was used"):
        bench.store.put_silence(silence, links.grant("silence", message, "desk").use)
    assert bench.store.silences() == []


def test_the_key_is_made_once(bench: Bench) -> None:
    key = bench.store.link_key(T0_MS, bytes)
    assert len(key) == links.KEY_BYTES
    assert bench.store.link_key(T0_MS, lambda size: b"x" * size) == key


def test_an_incident_that_changes_meanwhile_is_acknowledged_as_it_is_then(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = opened(severity="high")
    bench.take(event)
    id_ = bench.incident(event).id
    known = Acknowledgement("me", bench.now_ms + HOUR_MS, 0)
    write, clashes = bench.table.write, [ConflictError("changed")] * 2

    def sometimes(writes: object) -> None:
        if clashes:
            raise clashes.pop()
        write(writes)  # type: ignore[arg-type]

    monkeypatch.setattr(bench.table, "write", sometimes)
    after = bench.store.acknowledge(id_, known, bench.now_ms)
    assert after is not None
    assert after.state(bench.now_ms) == "acknowledged"
    clashes = [ConflictError("changed")] * 9
    with pytest.raises(ConflictError, match="all the while"):
        bench.store.acknowledge(id_, known, bench.now_ms)
    assert bench.store.acknowledge("live-KO-1", known, bench.now_ms) is None

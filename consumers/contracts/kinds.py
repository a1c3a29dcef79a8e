"""The nine kinds of anomaly, in the order of every table of scores and thresholds."""

KINDS: tuple[str, ...] = (
    "price_spike",
    "level_shift",
    "bad_tick",
    "volume_burst",
    "spread_blowout",
    "frozen_feed",
    "gap",
    "vol_shift",
    "slow_drift",
)

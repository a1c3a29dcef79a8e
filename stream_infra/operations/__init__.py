"""What operators and quants do with a monitor: health, recovery, replay, backtests and cost."""

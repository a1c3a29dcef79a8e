"""What the emulator goes by when the machine's clock is set back, while it runs or between two runs.

MiniStack compares times that it noted with the time of now. What it noted before a clock was set back is of the future
then: until it has come, rules do not run, the API answers 429, and messages of queues are not seen. AWS's clocks are
not set back, so what is of the future is taken for what is of now.
"""

from __future__ import annotations

import time

from ministack.services import apigateway_v1, cloudwatch_logs, eventbridge, lambda_svc, sqs


def follow_a_clock_that_is_set_back() -> None:
    """Look for times of the future whenever MiniStack looks which rules are due."""
    tick = eventbridge._tick_scheduled_rules

    def ticked() -> None:
        forget_the_future(time.time())
        tick()

    eventbridge._tick_scheduled_rules = ticked


def forget_the_future(now_s: float) -> None:
    """Let nothing that the emulator noted be later than now (seconds since the epoch)."""
    for rule in list(eventbridge._rules._data.values()):
        rule["CreationTime"] = min(rule.get("CreationTime", now_s), now_s)
    for key, fired_s in list(eventbridge._rule_last_fired.items()):
        eventbridge._rule_last_fired[key] = min(fired_s, now_s)
    for slot, (_, taken_s) in list(apigateway_v1._throttle_state.items()):
        if taken_s > now_s:
            apigateway_v1._throttle_state.pop(slot, None)
    for mapping, until_s in list(lambda_svc._esm_backoff_until._data.items()):
        if until_s > now_s + lambda_svc._ESM_BACKOFF_SECONDS:
            lambda_svc._esm_backoff_until._data.pop(mapping, None)
    for queue in list(sqs._queues._data.values()):
        for message in list(queue["messages"]):
            ahead_s = message["sent_at"] - now_s
            if ahead_s > 0:  # it keeps its delay, or the rest of its visibility timeout
                message["sent_at"] -= ahead_s
                message["visible_at"] -= ahead_s
    _forget_lines_of_the_future(round(now_s * 1000))


def _forget_lines_of_the_future(now_ms: int) -> None:
    """Let no log's last line be later than now (epoch ms): by it one judges when a function ran last."""
    for group in list(cloudwatch_logs._log_groups._data.values()):
        for stream in list(group["streams"].values()):
            stream["lastEventTimestamp"] = min(stream["lastEventTimestamp"] or 0, now_ms) or None

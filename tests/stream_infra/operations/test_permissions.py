"""What the policy simulators answer, and what the doctor makes of it."""

from __future__ import annotations

import pytest

from stream_infra.operations.permissions import denied
from tests.json_types import Json

STATEMENT = {"SourcePolicyId": "Boundary", "SourcePolicyType": "IAM Policy"}
"""As in the example answer of SimulatePrincipalPolicy in the IAM API reference."""


class Simulator:
    def __init__(self, result: Json) -> None:
        self.result = result

    def simulate_principal_policy(self, *, ActionNames: list[str], **_: object) -> Json:  # noqa: N803  AWS's name
        return {"EvaluationResults": [{"EvalActionName": ActionNames[0], **self.result}]}


@pytest.mark.parametrize(
    ("result", "refused"),
    [
        ({"EvalDecision": "allowed", "MatchedStatements": [STATEMENT]}, False),
        ({"EvalDecision": "implicitDeny", "MatchedStatements": []}, True),
        ({"EvalDecision": "explicitDeny", "MatchedStatements": [STATEMENT]}, True),
        ({"EvalDecision": "explicitDeny"}, False),  # LocalStack 4.9.2, of any policy with a pattern
    ],
)
def test_only_an_answer_that_says_something_counts(result: Json, refused: bool) -> None:
    found = denied(Simulator(result), "stock-scanner", "role", {"arn:aws:s3:::bucket/key": ["s3:PutObject"]})
    assert bool(found) is refused

import pytest
from hypothesis import HealthCheck, given, settings

from acl_service.policy.decide import Request, decide
from acl_service.policy.explain import explain
from acl_service.policy.rules import Action, Rule
from tests.acl_service.policy import reference
from tests.acl_service.policy.reference import NOW

Policy = tuple[list[Rule], list[Rule]]
Circumstances = tuple[int | None, bool | None, str | None]


@pytest.mark.parametrize("action", [Action.PUBLISH, Action.SUBSCRIBE])
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=300)
@given(policy=reference.policies(), circumstances=reference.circumstances())
def test_decide_says_what_the_definition_says(
    action: Action, policy: Policy, circumstances: Circumstances
) -> None:
    grants = reference.grants(*policy)
    for topic in reference.small_topics(action):
        request = Request(action, topic, *circumstances)
        decision = decide(grants, request, NOW)
        wanted = reference.expected(*policy, action, topic, request)
        assert (decision.allowed, decision.rule, decision.missing) == (
            wanted.allowed,
            wanted.rule,
            wanted.missing,
        ), topic
        assert decision.policy_version == 7
        if wanted.rule is not None and wanted.missing is None:
            assert (decision.source, decision.reason) == (wanted.rule.source, wanted.rule.reason)


@pytest.mark.parametrize("action", [Action.PUBLISH, Action.SUBSCRIBE])
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=100)
@given(policy=reference.policies(), circumstances=reference.circumstances())
def test_explain_comes_to_the_same_decision(
    action: Action, policy: Policy, circumstances: Circumstances
) -> None:
    grants = reference.grants(*policy)
    for topic in reference.small_topics(action)[::3]:
        request = Request(action, topic, *circumstances)
        explanation = explain(grants, request, NOW)
        assert explanation.decision == decide(grants, request, NOW), topic
        assert (explanation.spoke[0].rule if explanation.spoke else None) is explanation.winner

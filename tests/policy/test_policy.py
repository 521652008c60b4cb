"""Policies: denied unless permitted, denied when in doubt, and always with a reason."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from twoway.errors import CallerError, ConfigurationError
from twoway.policy import (
    DEFAULT_DENY,
    Circumstances,
    Decision,
    PolicySet,
    PublisherEntity,
    Question,
    SubscriberEntity,
)
from twoway.policy.cedar import Engine, parse
from twoway.policy.documents import documents_of

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SUBSCRIBER = SubscriberEntity(
    uri="urn:dev:org:32473-tenant",
    organisation="Stadtwerke",
    region="eu-west",
    purposes=frozenset({"billing"}),
    attributes={"floor": "3"},
)
PUBLISHER = PublisherEntity(
    uri="urn:dev:org:32473-meter", organisation="Stadtwerke", region="eu-west", attributes={"model": "T210"}
)
PERMIT_ALL = '@id("all") permit(principal, action, resource);'
# It passes the validator and fails whenever it is evaluated: the engine skips such a policy.
FAILING_FORBID = '@id("fails") forbid(principal, action, resource) when { 1 + 9223372036854775807 > 2 };'
REGION = """
// Readings stay where the subscriber is.
@id("read-own-organisation")
permit(principal, action in [Twoway::Action::"GET", Twoway::Action::"FETCH"], resource)
when { principal.organisation == resource.publisher.organisation };

@id("same-region-only")
forbid(principal, action, resource)
unless { principal.region == resource.publisher.region };
"""


@pytest.fixture
def load(tmp_path):
    def load(text, name="policies.cedar"):
        (tmp_path / name).write_text(text, "utf-8")
        return PolicySet.load(tmp_path)

    return load


def question(**changes):
    """A question about Stadtwerke's meter; what is no part of it is one of its circumstances."""
    fields = {"principal": SUBSCRIBER, "action": "GET", "publisher": PUBLISHER, "path": "/power"}
    circumstances = {"now": NOW}
    for name, value in changes.items():
        (fields if name in fields else circumstances)[name] = value
    return Question(**fields, circumstances=Circumstances(**circumstances))


def decide(policies, **changes):
    return policies.decide(question(**changes))


class TestDecisions:
    def test_without_any_policy_everything_is_denied(self, tmp_path):
        policies = PolicySet.load(tmp_path)
        assert policies.ids == ()
        assert decide(policies) == Decision(allowed=False, policies=(DEFAULT_DENY,))

    def test_what_no_policy_permits_is_denied_by_default(self, load):
        policies = load('@id("writers") permit(principal, action == Twoway::Action::"PUT", resource);')
        assert decide(policies) == Decision(allowed=False, policies=("default-deny",))

    def test_a_permit_is_named(self, load):
        assert decide(load(PERMIT_ALL)) == Decision(allowed=True, policies=("all",))

    def test_every_permit_that_applied_is_named_in_order(self, load):
        policies = load(
            '@id("b") permit(principal, action, resource);@id("a") permit(principal, action, resource);'
        )
        assert decide(policies).policies == ("a", "b")

    def test_a_forbid_beats_every_permit_and_is_named_alone(self, load):
        policies = load(PERMIT_ALL + '@id("never") forbid(principal, action, resource);')
        assert decide(policies) == Decision(allowed=False, policies=("never",))

    @pytest.mark.parametrize(
        ("region", "decision"),
        [
            ("eu-west", Decision(allowed=True, policies=("read-own-organisation",))),
            ("us-east", Decision(allowed=False, policies=("same-region-only",))),
        ],
    )
    def test_readings_stay_in_their_region(self, load, region, decision):
        assert decide(load(REGION), principal=replace(SUBSCRIBER, region=region)) == decision

    def test_another_organisation_of_the_same_region_is_denied_by_default(self, load):
        other = replace(SUBSCRIBER, organisation="Nachbar")
        assert decide(load(REGION), principal=other) == Decision(allowed=False, policies=(DEFAULT_DENY,))

    @pytest.mark.parametrize("action", ["GET", "POST", "PUT", "DELETE", "FETCH", "PATCH", "iPATCH"])
    def test_a_policy_for_one_method_permits_no_other(self, load, action):
        policies = load(f'@id("one") permit(principal, action == Twoway::Action::"{action}", resource);')
        assert decide(policies, action=action).allowed
        others = {"GET", "POST", "PUT", "DELETE", "FETCH", "PATCH", "iPATCH"} - {action}
        assert not any(decide(policies, action=other).allowed for other in others)

    @pytest.mark.parametrize(
        "condition",
        [
            'principal.purposes.contains("billing")',
            'principal == Twoway::Subscriber::"urn:dev:org:32473-tenant"',
            'principal.hasTag("floor") && principal.getTag("floor") == "3"',
            'resource == Twoway::Resource::"urn:dev:org:32473-meter/power"',
            'resource in Twoway::Publisher::"urn:dev:org:32473-meter"',
            'resource.publisher.hasTag("model") && resource.publisher.getTag("model") == "T210"',
            'resource.path == "/power"',
            'resource.path like "/po*"',
            'context.now >= datetime("2026-03-01T12:00:00Z") && context.now < datetime("2026-03-02")',
        ],
    )
    def test_policies_see_identity_attributes_path_and_time(self, load, condition):
        policies = load(f'@id("if") permit(principal, action, resource) when {{ {condition} }};')
        assert decide(policies).allowed
        unlike = {
            "principal": SubscriberEntity("urn:dev:org:32473-other", "Stadtwerke", "eu-west"),
            "publisher": replace(PUBLISHER, uri="urn:dev:org:32473-tap", attributes={}),
            "path": "/water",
            "now": NOW - timedelta(milliseconds=1),
        }
        assert not decide(policies, **unlike).allowed

    def test_a_time_of_another_zone_is_the_same_time(self, load):
        policies = load(
            '@id("noon") permit(principal, action, resource)'
            'when { context.now == datetime("2026-03-01T12:00:00Z") };'
        )
        assert decide(policies, now=NOW.astimezone(timezone(timedelta(hours=9)))).allowed
        assert not decide(policies, now=NOW.replace(tzinfo=timezone(timedelta(hours=9)))).allowed

    def test_a_time_without_a_zone_is_the_callers_fault(self, load):
        with pytest.raises(CallerError):
            decide(load(PERMIT_ALL), now=NOW.replace(tzinfo=None))


class TestTraps:
    """What the engine does by itself, and what must not come of it."""

    def test_a_forbid_that_fails_denies_although_the_engine_says_allow(self, load):
        decision = decide(load(PERMIT_ALL + FAILING_FORBID))
        assert not decision.allowed
        assert decision.policies == (DEFAULT_DENY,)
        assert len(decision.errors) == 1
        assert "`fails`" in decision.errors[0]
        assert "overflow" in decision.errors[0]

    def test_a_permit_that_fails_beside_one_that_permits_denies(self, load):
        failing_permit = FAILING_FORBID.replace("forbid", "permit")
        decision = decide(load(PERMIT_ALL + failing_permit))
        assert (decision.allowed, decision.policies) == (False, (DEFAULT_DENY,))
        assert decision.errors

    def test_a_failure_beside_a_forbid_leaves_the_forbid_as_the_reason(self, load):
        decision = decide(
            load(PERMIT_ALL + FAILING_FORBID + '@id("no") forbid(principal, action, resource);')
        )
        assert (decision.allowed, decision.policies) == (False, ("no",))
        assert decision.errors

    @pytest.mark.parametrize("action", ["OBSERVE", "get", "", 'GET"', "\x00"])
    def test_an_action_that_the_schema_does_not_know_is_denied_with_an_error(self, load, action):
        decision = decide(load(PERMIT_ALL), action=action)
        assert (decision.allowed, decision.policies) == (False, (DEFAULT_DENY,))
        assert decision.errors

    def test_a_request_that_the_engine_gives_no_decision_on_is_not_permitted(self):
        policies, _ = parse(PERMIT_ALL)
        engine = Engine.of({policy.policy_id: policy.source for policy in policies})
        evaluation = engine.evaluate(documents_of(question(action="OBSERVE")))
        assert not evaluation.permits
        assert evaluation.errors

    def test_two_unknown_regions_are_not_the_same_region(self, load):
        decision = decide(
            load(REGION), principal=replace(SUBSCRIBER, region=""), publisher=replace(PUBLISHER, region="")
        )
        assert decision == Decision(
            allowed=False,
            policies=(DEFAULT_DENY,),
            errors=(
                "urn:dev:org:32473-tenant has no region in the registry",
                "urn:dev:org:32473-meter has no region in the registry",
            ),
        )

    @pytest.mark.parametrize(
        "changes",
        [
            {"principal": replace(SUBSCRIBER, organisation=" ")},
            {"principal": replace(SUBSCRIBER, region="\t")},
            {"principal": replace(SUBSCRIBER, uri="")},
            {"publisher": replace(PUBLISHER, organisation="")},
            {"publisher": replace(PUBLISHER, uri="")},
            {"publisher": replace(PUBLISHER, uri="urn:x/power")},
            {"path": "power"},
            {"path": ""},
        ],
    )
    def test_what_the_registry_does_not_know_is_denied_with_an_error(self, load, changes):
        decision = decide(load(PERMIT_ALL), **changes)
        assert (decision.allowed, decision.policies) == (False, (DEFAULT_DENY,))
        assert decision.errors

    def test_dead_code_passes_the_validator_and_permits_nothing(self, load):
        policies = load(
            '@id("dead") permit(principal, action, resource) when { false && principal.regoin == "eu" };'
        )
        assert decide(policies) == Decision(allowed=False, policies=(DEFAULT_DENY,))

    @pytest.mark.parametrize("text", ['"', "\n", "\\", "\ud800", 'x"; permit(principal,action,resource);//'])
    def test_hostile_text_in_an_identity_is_data(self, load, text):
        policies = load(
            '@id("tenant") permit(principal, action, resource)'
            'when { principal == Twoway::Subscriber::"urn:dev:org:32473-tenant" };'
        )
        hostile = replace(SUBSCRIBER, uri=SUBSCRIBER.uri + text)
        assert not decide(policies, principal=hostile).allowed
        assert not decide(policies, principal=hostile, path="/" + text).allowed
        assert not decide(policies, principal=replace(hostile, attributes={text: text})).allowed

    def test_errors_are_single_lines(self, load):
        decision = decide(load(PERMIT_ALL), action="no\nsuch\naction")
        assert decision.errors
        assert all("\n" not in error for error in decision.errors)


class TestLoading:
    def test_every_cedar_file_counts_and_no_other(self, load, tmp_path):
        load(PERMIT_ALL, "b.cedar")
        load("this is no policy", "notes.txt")
        policies = load(
            '@id("never") forbid(principal, action, resource);  // without a line feed', "a.cedar"
        )
        assert policies.ids == ("all", "never")
        assert decide(policies).policies == ("never",)

    def test_what_is_written_after_loading_changes_nothing(self, load, tmp_path):
        policies = load(PERMIT_ALL)
        load('@id("never") forbid(principal, action, resource);', "later.cedar")
        assert decide(policies).allowed

    @pytest.mark.parametrize(
        ("text", "what"),
        [
            (
                '@id("typo") permit(principal, action, resource) when { principal.regoin == "eu" };',
                'policy @id("typo"): attribute `regoin` on entity type `Twoway::Subscriber` not found',
            ),
            (
                PERMIT_ALL + 'permit(principal, action, resource) when { principal.regoin == "eu" };',
                "policy number 2: attribute `regoin` on entity type `Twoway::Subscriber` not found",
            ),
            (
                '@id("types") permit(principal, action, resource) when { principal.region == 1 };',
                'policy @id("types"): the types Long and String are not compatible',
            ),
            ("permit(principal, action", "this is not Cedar: unexpected end of input"),
            ("permit(principal, actoin, resource);", "this is not Cedar: found an invalid variable"),
            (PERMIT_ALL + "permit(principal, action, resource);", "policy 2 has no @id"),
            ('@id("") permit(principal, action, resource);', "policy 1 has no @id"),
            ('@id(" ") permit(principal, action, resource);', "policy 1 has no @id"),
            ("@id permit(principal, action, resource);", "policy 1 has no @id"),
            ('@ID("x") permit(principal, action, resource);', "policy 1 has no @id"),
            (
                '@id("default-deny") permit(principal, action, resource);',
                'policy 1 has the @id("default-deny"), which stands for no policy at all',
            ),
            (
                '@id("hole") forbid(principal == ?principal, action, resource);',
                "policy number 1: a template is not a policy",
            ),
            (PERMIT_ALL * 2, 'a policy @id("all") is already in policies.cedar'),
            (
                '@id("who") permit(principal == User::"x", action, resource);',
                'policy @id("who"): unable to find an applicable action',
            ),
            (
                '@id("context") permit(principal, action, resource) when { context.ip == "x" };',
                'policy @id("context"): attribute `ip` in context for Twoway::Action::"DELETE" not found'
                " (and 6 more)",
            ),
            (
                '@id("tag") permit(principal, action, resource) when { principal.getTag("floor") == "3" };',
                'policy @id("tag"): unable to guarantee safety of access to tag',
            ),
            (
                '@id("time") permit(principal, action, resource) when { context.now < datetime("soon") };',
                'policy @id("time"): error during extension function argument validation',
            ),
        ],
    )
    def test_a_bad_policy_is_told_in_one_sentence_with_file_and_policy(self, load, tmp_path, text, what):
        with pytest.raises(ConfigurationError) as caught:
            load(text)
        sentence = str(caught.value)
        assert sentence.startswith(f"{tmp_path / 'policies.cedar'}: {what}")
        assert "\n" not in sentence
        assert caught.value.remedy

    def test_one_id_in_two_files_is_refused_naming_both(self, load, tmp_path):
        load(PERMIT_ALL, "a.cedar")
        with pytest.raises(ConfigurationError) as caught:
            load(PERMIT_ALL, "b.cedar")
        assert str(caught.value) == (
            f'{tmp_path / "b.cedar"}: a policy @id("all") is already in a.cedar; '
            "give each policy an @id of its own"
        )

    def test_one_bad_file_refuses_the_folder(self, load):
        load(PERMIT_ALL, "a.cedar")
        with pytest.raises(ConfigurationError):
            load("nonsense", "b.cedar")

    def test_a_missing_folder_is_refused(self, tmp_path):
        with pytest.raises(ConfigurationError, match="folder of policies cannot be read: No such file"):
            PolicySet.load(tmp_path / "missing")

    def test_a_file_in_the_place_of_the_folder_is_refused(self, tmp_path):
        file = tmp_path / "x.cedar"
        file.write_text(PERMIT_ALL)
        with pytest.raises(ConfigurationError, match="Not a directory"):
            PolicySet.load(file)

    def test_a_folder_in_the_place_of_a_file_is_refused(self, tmp_path):
        (tmp_path / "x.cedar").mkdir()
        with pytest.raises(ConfigurationError, match="policies cannot be read: Is a directory"):
            PolicySet.load(tmp_path)

    def test_a_dangling_link_is_refused(self, tmp_path):
        (tmp_path / "x.cedar").symlink_to(tmp_path / "nowhere")
        with pytest.raises(ConfigurationError, match="No such file"):
            PolicySet.load(tmp_path)

    def test_bytes_that_are_not_text_are_refused(self, tmp_path):
        (tmp_path / "x.cedar").write_bytes(b"\xff")
        with pytest.raises(ConfigurationError, match="not text in UTF-8"):
            PolicySet.load(tmp_path)

    def test_a_huge_file_is_refused(self, tmp_path):
        (tmp_path / "x.cedar").write_bytes(b" " * ((1 << 20) + 1))
        with pytest.raises(ConfigurationError, match="larger than"):
            PolicySet.load(tmp_path)

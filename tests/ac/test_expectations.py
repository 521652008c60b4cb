"""Questions of people about rights, and the worked building as what its policies are meant to decide."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from twoway.ac import (
    Inquiry,
    InquiryDesk,
    Surroundings,
    asked_target,
    compare,
    load_config,
    load_expectations,
    parse_time,
)
from twoway.ac.config import RegionsSection
from twoway.errors import ConfigurationError
from twoway.identity import identity_uri
from twoway.policy import LinkedGrant, PolicySet

BUILDING = Path(__file__).parents[2] / "examples" / "building"
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
POLICIES = PolicySet.load(BUILDING / "policies").ids


@pytest.fixture
def building(tmp_path: Path) -> Path:
    """A copy of the building's files that may be changed."""
    shutil.copytree(BUILDING / "policies", tmp_path / "policies")
    for name in ("ac.toml", "expected.toml"):
        shutil.copy(BUILDING / name, tmp_path)
    return tmp_path


def differing(folder: Path) -> list[str]:
    expectations = load_expectations(folder / "expected.toml")
    outcomes = compare(expectations, InquiryDesk.open(load_config(expectations.config)))
    return [outcome.case.says for outcome in outcomes if not outcome.is_as_expected]


def inquiry(
    subscriber: str = "grid", publisher: str = "meter-1", resource: str = "/quarters", **more: object
):
    return Inquiry(
        identity_uri(subscriber),
        identity_uri(publisher),
        resource,
        **{"action": "GET", "at": NOON} | more,  # type: ignore[arg-type]
    )


def desk(folder: Path = BUILDING, grants: tuple[LinkedGrant, ...] = ()) -> InquiryDesk:
    return InquiryDesk.open(load_config(folder / "ac.toml"), grants)


def test_the_building_decides_as_expected(building: Path) -> None:
    assert differing(building) == []


@pytest.mark.parametrize("policy", POLICIES)
def test_without_any_one_policy_of_the_building_some_decision_differs(building: Path, policy: str) -> None:
    (file,) = [path for path in (building / "policies").iterdir() if f'@id("{policy}")' in path.read_text()]
    text = file.read_text()
    start = text.index(f'@id("{policy}")')
    end = re.compile(r"\n\};|\}\;|;\n").search(text, start)
    assert end is not None
    file.write_text(text[:start] + text[end.end() :])
    assert policy not in PolicySet.load(building / "policies").ids
    assert len(PolicySet.load(building / "policies").ids) == len(POLICIES) - 1
    assert differing(building) != []


def test_every_policy_of_the_building_says_what_it_means() -> None:
    sources = PolicySet.load(BUILDING / "policies").sources
    assert [name for name in POLICIES if not sources[name]["annotations"].get("description")] == []


def test_there_is_nothing_to_remark_on_the_building() -> None:
    assert desk().lint() == []


def test_lint_sees_what_publishers_offer(building: Path) -> None:
    (building / "policies" / "extra.cedar").write_text(
        '@id("idle") permit(principal, action == Twoway::Action::"PUT",'
        ' resource in Twoway::Publisher::"urn:dev:org:32473-meter-1");'
    )
    assert [(each.where, each.what) for each in desk(building).lint()] == [
        ("idle", "it never applies to anybody in the registry")
    ]


def test_consent_that_is_withdrawn_ends_a_right(building: Path) -> None:
    asking = inquiry("institute")
    assert desk(building).answer(asking).decision.allowed
    config = building / "ac.toml"
    config.write_text(config.read_text().replace('consent = "given"', 'consent = "withdrawn"'))
    assert desk(building).answer(asking).decision.policies == ("consent-of-the-flat",)


def test_a_grant_by_hand_permits_and_yields_to_a_forbid() -> None:
    grants = tuple(
        LinkedGrant(name, identity_uri("tenant-1"), identity_uri(publisher), None, frozenset({"GET"}), None)
        for name, publisher in (("warmth", "boiler"), ("spy", "meter-2"))
    )
    answers = desk(grants=grants)
    allowed = answers.answer(inquiry("tenant-1", "boiler", "/temperature")).decision
    assert (allowed.allowed, allowed.policies) == (True, ("grant:warmth",))
    denied = answers.answer(inquiry("tenant-1", "meter-2", "/power")).decision
    assert (denied.allowed, "flats-are-kept-apart" in denied.policies) == (False, True)


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        (inquiry("nobody"), "urn:dev:org:32473-nobody is not registered as somebody who asks for tickets"),
        (inquiry("meter-1"), "is not registered as somebody who asks for tickets"),
        (inquiry(publisher="grid"), "is not registered as a publisher that offers anything"),
        (inquiry(resource="/gas"), "does not offer GET on /gas, so no ticket holds it"),
        (inquiry(action="PUT"), "does not offer PUT on /quarters, so no ticket holds it"),
        (inquiry(address="house"), "'house' is not an address"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(asked: Inquiry, what: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(what)):
        desk().answer(asked)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("/power", "/power"),
        ("/caf\u00e9", "/caf%C3%A9"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/power?unit=kW&x", "/power?unit=kW&x"),
    ],
)
def test_a_resource_is_asked_for_as_the_file_has_it_or_as_a_refusal_tells_it(text: str, target: str) -> None:
    assert asked_target(text) == target


@pytest.mark.parametrize("text", ["power", "/a//b", "/a b", "?x", "/%zz", "/../x?y", "/%ff", "/a?\n", "%"])
def test_what_is_no_resource_is_one_sentence(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        asked_target(text)
    assert "\n" not in str(caught.value)


def test_a_case_that_cannot_be_asked_is_named(building: Path) -> None:
    file = building / "expected.toml"
    file.write_text(file.read_text().replace('subscriber = "tenant-1"', 'subscriber = "nobody"', 1))
    with pytest.raises(
        ConfigurationError, match="the case 'A tenant reads the live power of the own flat': "
    ):
        differing(building)


@pytest.mark.parametrize(
    ("old", "new"),
    [('expect = "allow"', 'expect = "deny"'), ('by = ["own-flat"]', 'by = ["own-flat", "grid-bills"]')],
)
def test_a_decision_that_differs_is_found(building: Path, old: str, new: str) -> None:
    file = building / "expected.toml"
    file.write_text(file.read_text().replace(old, new, 1))
    assert differing(building) == ["A tenant reads the live power of the own flat"]


class TestRegions:
    @pytest.fixture
    def answers(self, building: Path):
        (building / "regions.csv").write_text("192.0.2.0/24,alpine\n198.51.100.0/24,overseas\n")
        config = building / "ac.toml"

        def answers(agreement: str, text: str = "") -> InquiryDesk:
            section = f'\n[regions]\nfile = "regions.csv"\nrequire_agreement = {agreement}\n'
            config.write_text((BUILDING / "ac.toml").read_text() + section)
            (building / "policies" / "region.cedar").write_text(text)
            return desk(building)

        return answers

    @pytest.mark.parametrize(
        ("address", "seen"),
        [
            ("198.51.100.7", "in the region overseas"),
            ("203.0.113.1", "in no region that is known"),
            (None, "in no region that is known"),
        ],
    )
    def test_who_is_seen_in_another_region_than_registered_is_denied_where_they_must_agree(
        self, answers, address, seen
    ) -> None:
        assert answers("true").answer(inquiry(address="192.0.2.7")).decision.allowed
        decision = answers("true").answer(inquiry(address=address)).decision
        assert not decision.allowed
        assert decision.errors == (
            f"urn:dev:org:32473-grid is registered in the region alpine, but was seen {seen}",
        )
        assert answers("false").answer(inquiry(address=address)).decision.allowed

    def test_policies_see_the_region_and_the_address(self, answers) -> None:
        text = """
        @id("at-home") forbid(principal, action, resource)
        unless { context has region && context.region == "alpine" };
        @id("not-that-one") forbid(principal, action, resource)
        when { context has address && context.address.isInRange(ip("192.0.2.128/25")) };
        """
        found = answers("false", text)
        assert found.answer(inquiry(address="::ffff:192.0.2.7")).decision.allowed
        assert found.answer(inquiry(address="192.0.2.129")).decision.policies == ("not-that-one",)
        assert found.answer(inquiry(address="198.51.100.7")).decision.policies == ("at-home",)
        assert found.answer(inquiry()).decision.policies == ("at-home",)

    def test_without_a_table_no_region_is_known(self) -> None:
        circumstances = Surroundings.load(None).circumstances(NOON, address="192.0.2.7")
        assert (circumstances.region, circumstances.agreement_required) == (None, False)

    def test_a_table_that_is_not_there_is_one_sentence(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="table of regions"):
            Surroundings.load(RegionsSection(file=tmp_path / "none.csv"))


@pytest.mark.parametrize("text", ["2026-03-01T12:00:00", "noon", "2026-03-01", ""])
def test_a_time_without_a_zone_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="not a point in time with a time zone"):
        parse_time(text)


def test_a_time_may_be_written_as_toml_writes_it(building: Path) -> None:
    file = building / "expected.toml"
    file.write_text(file.read_text().replace('"2026-03-02T12:00:00Z"', "2026-03-02T12:00:00Z"))
    assert load_expectations(file).at == NOON
    assert parse_time("2026-03-02T13:00:00+01:00") == NOON

"""A person's standing: online while one device is, grace for ends that nobody meant, and who said what on the topic."""

from typing import Any

import pytest

from acl_service.presence.echoes import EXPECTED_MS, Echoes
from acl_service.presence.fold import RECONCILED
from acl_service.presence.hearing import Said
from acl_service.presence.people import Derived, derive
from directory.presence import DeviceState
from directory.standing import PersonRow

GRACE_MS = 5_000
NOW_MS = 100_000


def device(online: bool, *, reason: str = "", since_at: int = NOW_MS, **values: Any) -> DeviceState:
    known: dict[str, Any] = {
        "client_id": "ann_pc",
        "last_seen_at": since_at,
        "updated_at": max(since_at, NOW_MS),
        **values,
    }
    return DeviceState(online=online, reason=reason, since_at=since_at, **known)


def derived(
    *devices: DeviceState, announced: str = "online", now_ms: int = NOW_MS, last_seen: int = 0
) -> Derived:
    return derive(devices, announced=announced, last_seen=last_seen, now_ms=now_ms, grace_ms=GRACE_MS)


def test_a_person_is_online_while_one_device_is() -> None:
    assert derived(device(True), device(False, reason="normal"), announced="").status == "online"
    assert derived(device(True), device(True)).devices == 2
    assert derived(device(False, reason="normal")) == Derived("offline", 0, NOW_MS, None)
    assert derived(announced="").status == "offline"


def test_an_end_that_nobody_meant_waits_for_the_grace_time() -> None:
    cut = device(False, reason="tcp_closed")
    assert derived(cut) == Derived("online", 0, NOW_MS, NOW_MS + GRACE_MS)
    assert derived(cut, now_ms=NOW_MS + GRACE_MS - 1).status == "online"
    assert derived(cut, now_ms=NOW_MS + GRACE_MS) == Derived("offline", 0, NOW_MS, None)


@pytest.mark.parametrize("reason", ["normal", "kicked", RECONCILED])
def test_an_end_that_was_meant_is_told_at_once(reason: str) -> None:
    assert derived(device(False, reason=reason)).status == "offline"


@pytest.mark.parametrize(
    "reason", ["keepalive_timeout", "tcp_closed", "not_authorized", "a_word_of_tomorrow"]
)
def test_every_other_word_waits(reason: str) -> None:
    assert derived(device(False, reason=reason)).status == "online"


def test_one_device_in_its_grace_time_keeps_a_person_on_though_another_left() -> None:
    both = device(False, reason="tcp_closed"), device(False, reason="normal")
    assert derived(*both).due_at == NOW_MS + GRACE_MS


def test_whoever_is_not_online_has_no_grace() -> None:
    cut = device(False, reason="tcp_closed")
    assert derived(cut, announced="offline").status == "offline"
    assert derived(cut, announced="").status == "offline"


def test_an_end_long_ago_that_is_heard_now_has_no_grace_and_no_clock_makes_it_longer() -> None:
    assert derived(device(False, reason="tcp_closed", since_at=NOW_MS - GRACE_MS)).status == "offline"
    ahead = device(False, reason="tcp_closed", since_at=NOW_MS + 3_600_000, updated_at=NOW_MS)
    assert derived(ahead).due_at == NOW_MS + GRACE_MS


def test_last_seen_is_the_newest_of_all_devices_and_never_goes_back() -> None:
    some = device(True, since_at=50), device(False, reason="normal", since_at=70)
    assert derived(*some).last_seen == 70
    assert derived(*some, last_seen=90).last_seen == 90


# -- what is said on the topic ------------------------------------------------------------------------


def contradicts(echoes: Echoes, payload: str | None, *, last: str = "two", now_ms: int = 0) -> bool:
    return echoes.contradicts(
        PersonRow(employee_id="ann", payload=last), Said("ann", "ann_pc", payload), now_ms
    )


def test_the_last_projection_is_no_contradiction_whoever_publishes_it() -> None:
    assert not contradicts(Echoes(), "two")
    assert contradicts(Echoes(), "one")
    assert contradicts(Echoes(), "")
    assert contradicts(Echoes(), None)


def test_an_earlier_projection_is_ours_once_for_each_time_it_was_published() -> None:
    echoes = Echoes()
    echoes.expect("ann", "one", 0)
    echoes.expect("ann", "two", 0)
    assert not contradicts(echoes, "one")
    assert contradicts(echoes, "one"), "the second time it is somebody else's"
    assert not contradicts(echoes, "two")


def test_a_projection_that_may_not_have_arrived_is_not_expected() -> None:
    echoes = Echoes()
    echoes.expect("ann", "one", 0)
    assert echoes.withdraw("ann", "one")
    assert not echoes.withdraw("ann", "one")
    assert contradicts(echoes, "one")


def test_an_expected_projection_is_forgotten_in_time() -> None:
    echoes = Echoes()
    echoes.expect("ann", "one", 0)
    assert contradicts(echoes, "one", now_ms=EXPECTED_MS)
    echoes.expect("ann", "one", 0)
    assert not contradicts(echoes, "one", now_ms=EXPECTED_MS - 1)


def test_what_is_expected_of_one_person_is_nothing_of_another() -> None:
    echoes = Echoes()
    echoes.expect("bob", "one", 0)
    assert contradicts(echoes, "one")

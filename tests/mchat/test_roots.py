"""What is wired together: each setting of presence reaches the part that it is for."""

from dataclasses import fields
from typing import Any

import pytest
from pydantic import ValidationError

from acl_service.presence.presence import Times
from acl_service.settings import AccessSettings
from mchat.service_roots import presence_times

SETTABLE = ("grace", "reconcile", "look", "silence", "history")


def test_without_settings_presence_keeps_the_times_that_it_has_by_itself() -> None:
    assert presence_times(AccessSettings(_env_file=None)) == Times()


@pytest.mark.parametrize("name", SETTABLE)
def test_each_setting_is_the_time_of_its_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"MCHAT_PRESENCE_{name.upper()}", "77")
    found = presence_times(AccessSettings(_env_file=None))
    usual = Times()
    assert {one.name for one in fields(Times) if getattr(found, one.name) != getattr(usual, one.name)} == {
        name
    }
    assert getattr(found, name) == 77


@pytest.mark.parametrize(
    ("name", "least"), [("grace", 0), ("reconcile", 1), ("look", 0.1), ("silence", 1), ("history", 60)]
)
def test_a_time_that_would_do_harm_is_refused(name: str, least: float) -> None:
    setting = f"presence_{name}"

    def given(value: float) -> AccessSettings:
        values: dict[str, Any] = {"_env_file": None, setting: value}
        return AccessSettings(**values)

    assert getattr(given(least), setting) == least
    for wrong in (least - 0.01, float("inf"), float("nan")):
        with pytest.raises(ValidationError, match=setting):
            given(wrong)

"""A will on the own request topic, published by the kick that ends a person's rights, has no effect."""

import pytest

from tests.acceptance.gateway.scene import Scene, add_admins
from tests.acceptance.gateway.wills import (
    AT_ONCE,
    attacker,
    effects,
    will_of_the_active,
    wills_of_the_disabled,
)

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]


async def test_wills_of_people_who_were_disabled_have_no_effect(running: Scene) -> None:
    await add_admins(running.database, *map(attacker, range(AT_ONCE)))
    found = await wills_of_the_disabled(running, 2)
    print(f"\n{running.database.dialect}: {found.published} wills, codes {dict(found.codes)}")
    assert found.effects == []
    assert found.codes == {401: found.published}
    # The twins: what they ask for is done for whoever still has the rights.
    assert [await will_of_the_active(running, number) for number in (0, 1)] == [0, 0]
    assert sorted(await effects(running.database)) == ["by a will 1", "mallory0"]

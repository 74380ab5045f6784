"""What health says of enforcement, on a broker that cannot hold rules and on one that can again."""

from tests.acl_service.enforcement.stage import ON_SQLITE, Stage

pytestmark = ON_SQLITE

SOURCE = "built_in_database"


async def test_a_broker_without_the_source_is_noticed_by_the_sweep_though_nobody_is_there(
    stood: Stage,
) -> None:
    """A fault that shows only when somebody comes would be found by that person."""
    check = stood.service.checks["broker"]
    sweeper = stood.enforcement._sweeper
    await sweeper.sweep()
    assert await check() is None
    before = await stood.api.authorization.get(SOURCE)
    await stood.api.authorization.delete(SOURCE)
    await sweeper.sweep()
    fault = await check()
    assert fault is not None and SOURCE in fault
    # Nobody has to come for it to be well again either.
    await stood.api.authorization.create(before.writable())
    await sweeper.sweep()
    assert await check() is None


async def test_where_nothing_is_pushed_the_source_is_not_missed(stood: Stage) -> None:
    stood.enforcement.acls.push = False
    await stood.api.authorization.delete(SOURCE)
    await stood.enforcement._sweeper.sweep()
    assert await stood.service.checks["broker"]() is None


async def test_work_that_no_worker_came_to_says_so(stood: Stage) -> None:
    """Nobody enforces, and so there is no error to tell."""
    check = stood.service.checks["enforcement"]
    await stood.leave("team", "bob")
    assert await check() is None
    stood.clock.ahead_ms = 6_000
    overdue = await check()
    assert overdue is not None and overdue.endswith("no worker came to it yet")

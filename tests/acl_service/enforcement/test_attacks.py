"""What somebody with rights does to keep them, or to make the rights of others late; each with who did nothing."""

from tests.acl_service.enforcement.stage import Stage, until

TEAM = "mchat/group/team"


async def test_long_client_ids_do_not_keep_their_owner_in(live: Stage) -> None:
    """Twelve of them are longer than the line of any request that the broker takes (emqx-measured, "Odd ids")."""
    ids = [f"bob_{number:02}" + "é" * 125 for number in range(12)]
    for one in ids:
        await live.come("bob", one, TEAM)
    alice = await live.come("alice", None, TEAM)
    # Nor do they hold up the rules of who comes after them.
    await live.pushed("alice_pc", *ids)
    await live.leave("team", "bob")
    await until(lambda: not any(TEAM in live.topics(one) for one in ids))
    await live.settled()
    assert not any(TEAM in live.rules(one) for one in ids)
    assert (live.topics("alice_pc"), alice.closed) == ({TEAM}, 0)

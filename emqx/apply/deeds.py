"""The steps of a plan as calls of the REST API."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from emqx.api.broker import BrokerApi
from emqx.api.clients import Client
from emqx.api.errors import ApiError
from emqx.api.paths import unaddressable
from emqx.apply.errors import Interrupted
from emqx.apply.memory import Memory
from emqx.apply.present import everybody, is_ours
from emqx.apply.steps import Deed, Plan, Step
from emqx.desired.broker import Desired
from emqx.laptop.hocon import render


async def apply(
    api: BrokerApi,
    plan: Plan,
    wanted: Desired,
    memory: Memory | None = None,
    begun: Callable[[Step], None] = lambda step: None,
) -> None:
    """Take the steps of a plan, one after the other.

    Args:
        api: of the broker that the plan was made for.
        plan: what to do.
        wanted: for its secret.
        memory: of a plan that puts back what was there before.
        begun: is told of each step before it is taken.

    Raises:
        Interrupted: a step failed; what was done holds, and the next run goes on from there.
    """
    for number, step in enumerate(plan.steps, 1):
        begun(step)
        try:
            await _take(api, step, wanted, memory)
        except ApiError as error:
            raise Interrupted(
                f"step {number} of {len(plan.steps)}, {step.deed}{' ' * bool(step.target)}{step.target}: {error}; "
                "nothing is more open than it was: see to it, then run this again"
            ) from error


async def _take(api: BrokerApi, step: Step, wanted: Desired, memory: Memory | None) -> None:
    target, body = step.target, wanted.with_secret(step.body)
    match step.deed:
        case Deed.CREATE_AUTHENTICATOR:
            await api.authentication.create(body)
        case Deed.PUT_AUTHENTICATOR:
            await api.authentication.put(target, body)
        case Deed.DELETE_AUTHENTICATOR:
            await api.authentication.delete(target)
        case Deed.ORDER_AUTHENTICATORS:
            await api.authentication.put_order(step.order)
        case Deed.PUT_AUTHENTICATION_SETTINGS:
            await api.authentication.put_settings(body)
        case Deed.PUT_NODE_CACHE:
            await api.caches.put_node_cache(body)
        case Deed.PUT_AUTHORIZATION_SETTINGS:
            await api.authorization.put_settings(body)
        case Deed.CREATE_SOURCE:
            await api.authorization.create(body)
        case Deed.RESTORE_SOURCE:
            await api.authorization.create(_remembered(memory, target))
        case Deed.PUT_SOURCE:
            await api.authorization.put(target, body)
        case Deed.DELETE_SOURCE:
            await api.authorization.delete(target)
        case Deed.ORDER_SOURCES:
            await api.authorization.put_order(step.order)
        case _:
            await _take_other(api, step, body)


async def _take_other(api: BrokerApi, step: Step, body: Mapping[str, object]) -> None:
    target = step.target
    match step.deed:
        case Deed.CREATE_CONNECTOR:
            await api.connectors.create(body)
        case Deed.PUT_CONNECTOR:
            await api.connectors.put(target, body)
        case Deed.DELETE_CONNECTOR:
            await api.connectors.delete(target)
        case Deed.CREATE_ACTION:
            await api.actions.create(body)
        case Deed.PUT_ACTION:
            await api.actions.put(target, body)
        case Deed.DELETE_ACTION:
            await api.actions.delete(target)
        case Deed.PUT_RULE:
            await api.rules.put(target, body)
        case Deed.DELETE_RULE:
            await api.rules.delete(target)
        case Deed.MERGE:
            await api.configuration.merge(render(body))
        case Deed.CREATE_LISTENER:
            await api.listeners.create(body)
        case Deed.DELETE_LISTENER:
            await api.listeners.delete(target)
        case Deed.KICK_STRANGERS:
            await _kick(api, lambda client: not is_ours(client))
        case Deed.KICK_OURS:
            await _kick(api, is_ours)
        case _:
            raise AssertionError(f"nobody takes {step.deed}")


def _remembered(memory: Memory | None, kind: str) -> Mapping[str, object]:
    found = [one for one in (memory.sources if memory is not None else ()) if one.get("type") == kind]
    return found[0]


async def _kick(api: BrokerApi, whom: Callable[[Client], bool]) -> None:
    """End the sessions of these clients. An id that the API cannot name stays: `check` finds it, and says so."""
    ids = {client.client_id async for client in everybody(api) if whom(client)}
    await api.clients.kick_many(sorted(one for one in ids if not unaddressable(one)))

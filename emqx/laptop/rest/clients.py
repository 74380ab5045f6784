"""`/clients`: who is there, who leaves, what their connections remember."""

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator

from emqx.laptop.broker import Broker
from emqx.laptop.decisions import Decision, Question
from emqx.laptop.refusals import ApiRefusal, bad_request, invalid_value
from emqx.laptop.rest.calls import DONE, Answer, Call, Route, page
from emqx.laptop.rest.client_fields import FIELDS, row
from emqx.laptop.session import Session

_STATES = ("connected", "idle", "disconnected")
_FILTERS = frozenset(
    (
        *("clientid", "username", "conn_state", "like_clientid", "like_username", "node", "page"),
        *("limit", "fields", "cursor"),
    )
)
_CURSOR = "after:"


class ClientCalls:
    """The calls.

    Args:
        broker: whose clients.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._constant: dict[str, object] = {
            "node": broker.settings.node,
            "subscriptions_max": broker.settings.max_subscriptions,
        }
        self._every_field = (*FIELDS, *self._constant)

    def routes(self) -> Iterator[Route]:
        """Who answers what."""
        yield Route("GET", "/clients", self.every)
        yield Route("GET", "/clients_v2", self.scan)
        yield Route("POST", "/clients/kickout/bulk", self.kick_many)
        yield Route("GET", "/clients/{}", self.get)
        yield Route("DELETE", "/clients/{}", self.kick)
        yield Route("GET", "/clients/{}/authorization/cache", self.cache)
        yield Route("DELETE", "/clients/{}/authorization/cache", self.clear_cache)
        yield Route("DELETE", "/authorization/cache", self.clear_all)

    async def every(self, call: Call) -> Answer:
        """Clients that match, by page number, with the fields that were asked for."""
        fields = self._fields(call.query.get("fields", "all"))
        like = "like_clientid" in call.query or "like_username" in call.query
        return page(
            call, self._matching(call), lambda one: row(one, fields, self._constant), counted=not like
        )

    async def scan(self, call: Call) -> Answer:
        """All fields of every client, by cursor; what comes or goes meanwhile moves nobody else."""
        after, limit = _read_cursor(call.query.get("cursor")), call.limit
        rows = [one for one in self._matching(call) if one.number > after]
        chosen = rows[:limit]
        meta: dict[str, object] = {"count": len(chosen)}
        if len(rows) > limit:
            meta["cursor"] = urlsafe_b64encode(f"{_CURSOR}{chosen[-1].number}".encode()).decode()
        data = [row(one, self._every_field, self._constant) for one in chosen]
        return Answer({"data": data, "meta": meta})

    async def get(self, call: Call) -> Answer:
        """One client."""
        return Answer(row(client_session(self._broker, call.ids[0]), self._every_field, self._constant))

    async def kick(self, call: Call) -> Answer:
        """End a session."""
        if not await self._broker.kick(call.ids[0]):
            raise no_client()
        return DONE

    async def kick_many(self, call: Call) -> Answer:
        """End several; those that are not there are no error."""
        # At once: a will that has to be asked about must not hold up the next.
        await asyncio.gather(*(self._broker.kick(client_id) for client_id in set(call.read(list[str]))))
        return DONE

    async def cache(self, call: Call) -> Answer:
        """What a connection remembers; nothing while the client is away."""
        client_session(self._broker, call.ids[0])
        decisions = self._broker.decisions(call.ids[0])
        return Answer([_told(*entry) for entry in decisions or ()])

    async def clear_cache(self, call: Call) -> Answer:
        """Let a connection forget."""
        client_session(self._broker, call.ids[0])
        decisions = self._broker.decisions(call.ids[0])
        if decisions is not None:
            decisions.clear()
        return DONE

    async def clear_all(self, call: Call) -> Answer:
        """Let every connection forget."""
        self._broker.clear_decisions()
        return DONE

    def _fields(self, asked: str) -> tuple[str, ...]:
        if asked == "all":
            return self._every_field
        fields = tuple(asked.split(","))
        if unknown := [name for name in fields if name not in FIELDS and name not in self._constant]:
            raise invalid_value("fields", "matched_no_union_member", value=unknown[0][:64])
        return fields

    def _matching(self, call: Call) -> list[Session]:
        if unknown := [name for name in call.query if name not in _FILTERS]:
            raise ApiRefusal(
                501, "NOT_IMPLEMENTED", f"the laptop broker does not choose clients by {unknown[0][:64]!r}"
            )
        ids, names = set(call.query.getlist("clientid")), set(call.query.getlist("username"))
        state = call.query.get("conn_state")
        if state not in (None, *_STATES):
            raise invalid_value("conn_state", "unable_to_convert_to_enum_symbol", value=state)
        like_id, like_name = call.query.get("like_clientid", ""), call.query.get("like_username", "")
        if call.query.get("node", self._broker.settings.node) != self._broker.settings.node:
            return []

        def chosen(session: Session) -> bool:
            username = session.client.username if session.client is not None else None
            return (
                (not ids or session.client_id in ids)
                and (not names or username in names)
                and (
                    state is None
                    or state == ("connected" if session.disconnected_at is None else "disconnected")
                )
                and like_id in session.client_id
                and like_name in (username or "")
            )

        return [session for session in self._broker.sessions if chosen(session)]


def no_client() -> ApiRefusal:
    """404: no session of this client id."""
    return ApiRefusal(404, "CLIENTID_NOT_FOUND", "Client ID not found")


def client_session(broker: Broker, client_id: str) -> Session:
    """The session of a client.

    Raises:
        ApiRefusal: there is none.
    """
    if (session := broker.session(client_id)) is None:
        raise no_client()
    return session


def _told(question: Question, decision: Decision) -> dict[str, object]:
    access: dict[str, object] = {"action_type": question.action, "qos": question.qos}
    if question.action == "publish":
        access["retain"] = question.retain
    return {
        "topic": question.topic,
        "access": access,
        "result": decision.result,
        "updated_time": decision.decided_at,
    }


def _read_cursor(cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        text = urlsafe_b64decode(cursor.encode()).decode()
        if not text.startswith(_CURSOR):
            raise ValueError(text)
        return int(text.removeprefix(_CURSOR))
    except ValueError as error:
        raise bad_request("bad cursor") from error

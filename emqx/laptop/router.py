"""Who gets a message: subscriptions in a trie of topic levels, and the members of share groups."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple
from zlib import crc32

from emqx.laptop.topics import Filter


class Share(NamedTuple):
    """A share group: its name and the filter behind it."""

    group: str
    levels: tuple[str, ...]


class Route(NamedTuple):
    """One copy of a message: to this client, at most at this QoS, as a member of this group."""

    client_id: str
    qos: int
    share: Share | None = None


@dataclass(slots=True)
class _Node:
    children: dict[str, "_Node"] = field(default_factory=dict)
    subscribers: dict[str, int] = field(default_factory=dict)
    groups: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        return not (self.children or self.subscribers or self.groups)


class Router:
    """The subscriptions of all sessions, online or not."""

    def __init__(self) -> None:
        self._root = _Node()

    def subscribe(self, client_id: str, topic_filter: Filter, qos: int) -> None:
        """Add or replace a subscription; a group member that subscribes again goes to the end of its list."""
        node = self._root
        for level in topic_filter.levels:
            node = node.children.setdefault(level, _Node())
        if topic_filter.group is None:
            node.subscribers[client_id] = qos
        else:
            members = node.groups.setdefault(topic_filter.group, {})
            members.pop(client_id, None)
            members[client_id] = qos

    def unsubscribe(self, client_id: str, topic_filter: Filter) -> None:
        """Remove a subscription; one that is not there is no error."""
        path = [self._root]
        for level in topic_filter.levels:
            child = path[-1].children.get(level)
            if child is None:
                return
            path.append(child)
        node = path[-1]
        if topic_filter.group is None:
            node.subscribers.pop(client_id, None)
        elif (members := node.groups.get(topic_filter.group)) is not None:
            members.pop(client_id, None)
            if not members:
                del node.groups[topic_filter.group]
        for parent, level in zip(reversed(path[:-1]), reversed(topic_filter.levels), strict=True):
            if not parent.children[level].empty:
                break
            del parent.children[level]

    def routes(self, topic: str, publisher: str) -> list[Route]:
        """One route for each matching subscription and for each matching share group, as EMQX copies.

        Args:
            topic: a topic name.
            publisher: its client id; with the members, in order of subscription, it decides who of a group
                gets the message (EMQX's ``hash_clientid``; the hash itself is another one).
        """
        found = []
        for levels, node in self._matching(topic.split("/")):
            found += [Route(client_id, qos) for client_id, qos in node.subscribers.items()]
            for group, members in node.groups.items():
                found.append(_chosen(Share(group, levels), members, publisher))
        return found

    def member(self, share: Share, publisher: str) -> Route | None:
        """Who of a group gets a publisher's messages now; None if the group has no member."""
        node = self._root
        for level in share.levels:
            child = node.children.get(level)
            if child is None:
                return None
            node = child
        members = node.groups.get(share.group)
        return _chosen(share, members, publisher) if members else None

    def _matching(self, name: list[str]) -> Iterator[tuple[tuple[str, ...], _Node]]:
        # `#` and `+` do not reach names that begin with $ (MQTT 3.1.1 section 4.7.2).
        reached: list[tuple[tuple[str, ...], _Node]] = [((), self._root)]
        wild = not name[0].startswith("$")
        for level in name:
            following = []
            for path, node in reached:
                if wild and (rest := node.children.get("#")) is not None:
                    yield (*path, "#"), rest
                if (child := node.children.get(level)) is not None:
                    following.append(((*path, level), child))
                if wild and (child := node.children.get("+")) is not None:
                    following.append(((*path, "+"), child))
            reached = following
            wild = True
        for path, node in reached:
            yield path, node
            if (rest := node.children.get("#")) is not None:
                yield (*path, "#"), rest


def _chosen(share: Share, members: dict[str, int], publisher: str) -> Route:
    position = crc32(publisher.encode()) % len(members)
    client_id = list(members)[position]
    return Route(client_id, members[client_id], share)

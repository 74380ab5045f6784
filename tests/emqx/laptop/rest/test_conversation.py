"""The conversations that any broker's REST API must hold, with this one over a real socket."""

import pytest

from tests.emqx.api.conversation import CONVERSATIONS, Conversation, Names
from tests.emqx.api.test_conversation import MqttStage
from tests.emqx.laptop.rest.conftest import Place


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda one: one.__name__)
async def test_conversation(place: Place, conversation: Conversation) -> None:
    await conversation(place.api, MqttStage(place.clients, "e1", "ok"), Names())

"""What a client needs to know of the deployment; nothing secret."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from gateway.caller import Caller
from gateway.envelope import MAX_ANSWER_BYTES, MAX_REQUEST_BYTES
from gateway.messages import MAX_CONTENT_BYTES
from gateway.permissions import ANYONE
from gateway.reads import Reads
from gateway.router import action


class Server(Struct, kw_only=True):
    """Parameters of config.server: there are none."""


@action("config.server", ANYONE, kind="reading")
async def server(caller: Caller, params: Server, reads: Reads) -> dict[str, Any]:
    """Show where the broker and the files are, and the limits.

    Returns:
        broker{host, port, use_tls, ws_url}, storage{endpoint, region, bucket}, service, version,
        limits{request_bytes, answer_bytes, content_bytes}.
    """
    terms = reads.means.terms
    return {
        "broker": {
            "host": terms.broker.host,
            "port": terms.broker.port,
            "use_tls": terms.broker.use_tls,
            "ws_url": terms.broker.ws_url,
        },
        "storage": {
            "endpoint": terms.storage.endpoint,
            "region": terms.storage.region,
            "bucket": terms.storage.bucket,
        },
        "service": terms.service,
        "version": terms.version,
        "limits": {
            "request_bytes": MAX_REQUEST_BYTES,
            "answer_bytes": MAX_ANSWER_BYTES,
            "content_bytes": MAX_CONTENT_BYTES,
        },
    }

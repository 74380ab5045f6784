"""The rows of the table, by what they attack."""

from tests.acceptance.bypass.row import Row
from tests.acceptance.bypass.rows import certificates, credentials, jwts, names, requests, topics, transport

LOOKED_UP: list[Row] = [*names.ROWS, *credentials.ROWS]
"""What rests on rows that are looked up, so that each database must show it."""

ROWS: list[Row] = [
    *LOOKED_UP,
    *topics.ROWS,
    *jwts.ROWS,
    *certificates.ROWS,
    *requests.ROWS,
    *transport.ROWS,
]

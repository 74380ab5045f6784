"""User names and client ids as they may be at all, before anything else is asked (decision 9, last sentence)."""

from __future__ import annotations

import unicodedata

from directory.ids import client_id_fault, is_id

USERNAME_BYTES = 200
_FORBIDDEN = frozenset("/+#")


def refuse_client_id(client_id: str) -> str | None:
    """Why this client id may not connect, or None.

    EMQX accepts ids with wildcards, levels and control characters, and REST cannot address some of them
    (emqx-measured, "Odd ids"), so they are refused here. An empty id, or one that the broker made up, is nobody's.
    """
    fault = client_id_fault(client_id)
    return None if fault is None else f"the client id {fault}"


def refuse_username(username: str) -> str | None:
    """Why this user name may not connect, or None; an empty one is judged with the credential."""
    if is_id(username):
        return None  # found out ten times as fast, for most
    if len(username) > USERNAME_BYTES or len(username.encode("utf-8", "surrogatepass")) > USERNAME_BYTES:
        return f"the user name has more than {USERNAME_BYTES} bytes"
    if username.startswith("$"):
        return "the user name begins with $"
    if any(sign in _FORBIDDEN or unicodedata.category(sign) in ("Cc", "Cs") for sign in username):
        return "the user name contains / + # or a control character"
    return None


def employee_of(username: str, service: str) -> tuple[str, str | None]:
    """The employee id that a user name claims: ``E``, or ``E@service`` with exactly this deployment's service.

    Returns:
        ``(employee id, None)``, or ``("", reason)``.
    """
    name, at, realm = username.partition("@")
    if at and (not service or realm != service):
        return "", "the user name names another service"
    if not name:
        return "", "the user name is empty"
    return name, None


def fits(username: str, employee_id: str, service: str) -> bool:
    """Whether a user name may stand beside a credential that names its person itself (a JWT, a certificate).

    That is: none, the employee id, or ``E@service`` with exactly this deployment's service.
    """
    return username in ("", employee_id) or (bool(service) and username == f"{employee_id}@{service}")

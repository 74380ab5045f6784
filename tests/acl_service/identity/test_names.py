import pytest

from acl_service.identity.names import employee_of, refuse_client_id, refuse_username


@pytest.mark.parametrize(
    "client_id", ["alice", "alice_pc", "客户端-1", "a" * 256, "é" * 128, "dev-0001", "a b"]
)
def test_client_ids_that_may_be(client_id: str) -> None:
    assert refuse_client_id(client_id) is None


@pytest.mark.parametrize(
    "client_id",
    [
        "",
        "a/b",
        "a+",
        "#",
        "evil/+/#",
        "$SYS",
        "a\0",
        "a\x01",
        "a\x7f",
        "a\x85",
        "a" * 257,
        "é" * 129,
        "a\n",
        "\ud800",
    ],
)
def test_client_ids_that_may_not(client_id: str) -> None:
    assert refuse_client_id(client_id)


@pytest.mark.parametrize("username", ["", "alice", "alice@acme", "张三", "a" * 200])
def test_user_names_that_may_be(username: str) -> None:
    assert refuse_username(username) is None


@pytest.mark.parametrize("username", ["a/b", "+", "#", "$x", "a\0b", "a\x7f", "a" * 201, "张" * 67, "\udfff"])
def test_user_names_that_may_not(username: str) -> None:
    assert refuse_username(username)


@pytest.mark.parametrize(
    ("username", "service", "expected"),
    [
        ("alice", "", "alice"),
        ("alice", "acme", "alice"),
        ("alice@acme", "acme", "alice"),
        ("alice@other", "acme", ""),
        ("alice@acme@acme", "acme", ""),
        ("alice@", "acme", ""),
        ("alice@", "", ""),
        ("alice@acme", "", ""),
        ("@acme", "acme", ""),
        ("", "", ""),
    ],
)
def test_only_this_deployments_service_is_a_realm(username: str, service: str, expected: str) -> None:
    employee_id, fault = employee_of(username, service)
    assert employee_id == expected
    assert (fault is None) == bool(expected)

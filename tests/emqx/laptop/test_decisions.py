from emqx.laptop.decisions import DecisionCache, Question

A, B, C = (Question("publish", topic, 1, False) for topic in "abc")


def test_a_decision_grows_old() -> None:
    now = [1_000]
    cache = DecisionCache(lambda: now[0])
    cache.keep(A, "deny", 32, cache.clearings)
    now[0] = 60_999
    assert cache.find(A, 60) == "deny"
    now[0] = 61_000
    assert cache.find(A, 60) is None
    assert list(cache) == []


def test_the_oldest_goes_for_a_new_one() -> None:
    cache = DecisionCache(lambda: 0)
    for question in (A, B, C):
        cache.keep(question, "allow", 2, cache.clearings)
    assert [question for question, _ in cache] == [B, C]


def test_a_smaller_size_holds_from_the_next_decision_on() -> None:
    cache = DecisionCache(lambda: 0)
    for question in (A, B):
        cache.keep(question, "allow", 32, cache.clearings)
    cache.keep(C, "allow", 1, cache.clearings)
    assert [question for question, _ in cache] == [C]


def test_what_was_asked_before_a_clearing_is_not_kept() -> None:
    cache = DecisionCache(lambda: 0)
    asked = cache.clearings
    cache.clear()
    cache.keep(A, "allow", 32, asked)
    assert list(cache) == []
    cache.keep(A, "allow", 32, cache.clearings)
    assert [question for question, _ in cache] == [A]

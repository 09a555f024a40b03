"""The index of matches says what trying each of them would."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imd.core.matching import MatchIndex
from imd.model.rule import Matcher, Op, match_test

_matcher = st.builds(
    Matcher,
    name=st.sampled_from(["alertname", "a", "b"]),
    op=st.sampled_from(Op),
    value=st.sampled_from(["", "1", "2", "1|2", "1|", ".*", "[12]", "1.*", "12*", "1?2", "1{0}2", "(?i)1", "1(2|)"]),
)
_match = st.lists(st.lists(_matcher, min_size=1, max_size=3).map(tuple), min_size=1, max_size=2).map(tuple)
_labels = st.dictionaries(st.sampled_from(["alertname", "a", "b", "c"]), st.sampled_from(["1", "2", "3", "12", "122"]))


@given(st.lists(_match, max_size=6), st.lists(_labels, max_size=6), st.sets(st.integers(0, 5)))
def test_the_index_finds_what_trying_all_finds(
    matches: list[object], alerts: list[dict[str, str]], gone: set[int]
) -> None:
    """In order of keys; removed ones are not found, and leave nothing behind."""
    index: MatchIndex[int] = MatchIndex()
    for number, match in enumerate(matches):
        index.add(number, match)
    for number in gone:
        index.remove(number)
    kept = [number for number in range(len(matches)) if number not in gone]
    for labels in alerts:
        assert index.find(labels) == [number for number in kept if match_test(matches[number])(labels)]
    for number in kept:
        index.remove(number)
    assert len(index) == 0
    assert not index._filed
    assert not index._always

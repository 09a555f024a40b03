"""Operators' templates: what they may do, and that nothing in one takes long, grows large or gets out."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imd.model.metering import METHODS
from imd.model.template import OUTPUT_CHARS_MAX, SOURCE_CHARS_MAX, BadTemplate, Labelled, RenderFailed, Template

VALUES: dict[str, Any] = {
    "labels": {"cluster": "c1", "node": "n1"},
    "firing": 3,
    "alerts": [{"labels": {"pod": f"web-{number}"}, "status": "firing"} for number in range(20)],
}
SECONDS_MAX = 5.0  # a fraction of it here; what must not be is minutes


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ labels.cluster }}: {{ firing }} alerts", "c1: 3 alerts"),
        ("{% for k, v in labels.items() if v %}{{ loop.index }}{{ k }}={{ v }}{{ ' ' if not loop.last }}{% endfor %}",
         "1cluster=c1 2node=n1"),
        ("{{ alerts | map(attribute='labels.pod') | join(', ') | truncate(14) }}", "web-0,..."),
        ("{% set n = alerts | selectattr('status', 'equalto', 'firing') | list %}{{ n | length }}", "20"),
        ("{% if 'node' in labels and labels.node is not none %}{{ labels.node | upper ~ '!' }}{% endif %}", "N1!"),
        ("{% for a in alerts %}{% for b in alerts %}{% for c in alerts %}{% endfor %}{% endfor %}{% endfor %}x", "x"),
        ("{{ labels.get('nope', 'none') }} {{ labels.nope | default('-') }} {{ none }}|", "none - |"),
        ("{{ (firing / 7) | round(2) }} {{ 'a-b-c' | replace('-', '+', 1) }}", "0.43 a+b-c"),
        ("{% for one in alerts | groupby('status') %}{{ one.list | length }}{% endfor %}", "20"),
    ],
)  # fmt: skip
def test_what_messages_need_works(source: str, text: str) -> None:
    assert Template(source).render(VALUES) == text


def test_a_label_that_is_missing_is_empty_and_a_wrong_name_is_a_fault() -> None:
    """What is common to all members changes with them; a misspelt `incident.nubmer` does not."""
    values = {"labels": Labelled(node="n1"), "incident": {"number": 1}}
    source = "{{ labels.node }}|{{ labels.nope }}|{{ labels['no' ~ 'pe'] }}|{{ labels.nope | default('-') | upper }}"
    assert Template(source).render(values) == "n1|||-"
    assert Template("{{ 'is' if labels.nope is defined or labels.nope else 'not' }}").render(values) == "not"
    for source in ("{{ incident.nubmer }}", "{{ labels.nope.deeper }}", "{{ lables.node }}"):
        with pytest.raises(RenderFailed):
            Template(source).render(values)


NOT_TAKEN = [
    "{% macro f() %}{% endmacro %}",
    "{% set x %}a{% endset %}",
    "{% filter upper %}a{% endfilter %}",
    "{% include 'x' %}",
    "{% import 'x' as y %}",
    "{% extends 'x' %}",
    "{% block a %}{% endblock %}",
    "{% call f() %}{% endcall %}",
    "{% for a in alerts recursive %}{{ loop(a) }}{% endfor %}",
    "{% set ns.x = 1 %}",
    "{{ 2 ** 9 }}",
    "{{ '{:>1000000000}'.format(1) }}",
    "{{ 'a'.ljust(1000000000) }}",
    "{{ 'a'.zfill(1000000000) }}",
    "{{ 'a'.join(alerts) }}",
    "{% set f = 'a'.ljust %}{{ f(1000000000) }}",
    "{{ range(*alerts) }}",
    "{{ '%1000000000d' | format(1) }}",
    "{{ alerts | slice(1000000000) }}",
    "{{ alerts | batch(1000000000, 'x') }}",
    "{{ ' in' | turns(0) }}",
    "{{ lipsum() }}",
]


@pytest.mark.parametrize("source", NOT_TAKEN)
def test_what_could_grow_or_recurse_does_not_compile(source: str) -> None:
    """Said when the file is read, not at three in the morning."""
    with pytest.raises(BadTemplate):
        Template(source)


ENDLESS = [
    "{% set a = 'xxxxxxxxxx' %}" + "{% set a = a ~ a %}" * 100 + "{{ a }}",
    "{% set a = 'xxxxxxxxxx' %}" + "{% set a = a + a %}" * 100 + "{{ a }}",
    "{% set a = [1] %}" + "{% set a = a + a %}" * 100 + "{{ a }}",
    "{% set n = 9999999999 %}" + "{% set n = n * n %}" * 100 + "{{ n }}",
    "{{ 'a'" + " | replace('a', 'aaaaaaaaaa')" * 20 + " }}",
    "{{ 'a' | replace('', 'b' ~ 'c') " + "| replace('', 'xxxxxxxxxxxxxxxx')" * 9 + "}}",
    "{{ 5 | round(1000000000, 'ceil') }}",
    "{{ 'a' * 1000000000 }}",
    "{{ alerts * 1000000000 }}",
    "{{ range(1000000000) | list }}",
    "{% for a in range(1000) %}{% for b in range(1000) %}{% for c in range(9) %}{% endfor %}{% endfor %}{% endfor %}",
    "{% for a in range(1000) %}{% for b in range(1000) %}{% if 7 in many %}{% endif %}{% endfor %}{% endfor %}",
    "{% for a in range(1000) %}{% for b in range(1000) %}{% set x = many | sort %}{% endfor %}{% endfor %}",
    "{% for a in range(1000) %}{% for b in range(1000) %}{% set x = many | select | first %}{% endfor %}{% endfor %}",
    "{{ range(1000) | map('replace', '', wide) | map('upper') | list | length }}",
    "{{ many | map('string') | join(wide) }}",
]  # fmt: skip


@pytest.mark.parametrize("source", ENDLESS, ids=[each[:40] for each in ENDLESS])
def test_endless_work_and_growth_end_soon(source: str) -> None:
    """A failure with its reason, in a bounded time and without gigabytes, wherever the work hides."""
    compiled = Template(source)
    started = time.process_time()
    with pytest.raises(RenderFailed):
        compiled.render({**VALUES, "many": list(range(1, 10_000)), "wide": "w" * 60_000})
    assert time.process_time() - started < SECONDS_MAX


def test_output_is_cut() -> None:
    text = Template("{% for a in range(1000) %}0123456789012345678901234567890123456789{% endfor %}").render({})
    assert len(text) == OUTPUT_CHARS_MAX


@pytest.mark.parametrize("source", ["{{ ().__class__ }}", "{{ labels.items.__self__ }}", "{{ labels.__class__ }}"])
def test_python_is_out_of_reach(source: str) -> None:
    with pytest.raises(RenderFailed):
        Template(source).render(VALUES)


@pytest.mark.parametrize(
    "source", ["{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "{% if 1 %}" * 200 + "{% endif %}" * 200, "{" * 9000]
)
def test_deep_nesting_is_a_fault_or_text(source: str) -> None:
    """Whatever Jinja and Python say to it: no crash."""
    with contextlib.suppress(BadTemplate):
        Template(source).render({})


def test_what_is_too_long_does_not_compile() -> None:
    Template("x" * SOURCE_CHARS_MAX)
    with pytest.raises(BadTemplate):
        Template("x" * (SOURCE_CHARS_MAX + 1))


@pytest.mark.parametrize(
    ("source", "place"),
    [("a\nb\n{% macro f() %}{% endmacro %}", "macro"), ("{{ x.ljust(9) }}", "("), ("{{ 'a' | format(1) }}", "format")],
)
def test_what_is_not_available_is_said_at_its_place(source: str, place: str) -> None:
    with pytest.raises(BadTemplate) as fault:
        Template(source)
    assert source[fault.value.offset :][: fault.value.length] == place


def test_inserted_text_is_escaped_and_the_templates_own_is_not() -> None:
    """Once, also where it goes through filters and variables."""
    template = Template("<b>{{ a }}</b>{% set x = a ~ '&' %}{{ x }}{{ a | upper }}{{ '<i>' }}{{ 1 }}")
    text = template.render({"a": "<x>"}, lambda text: text.replace("&", "&amp;").replace("<", "&lt;"))
    assert text == "<b>&lt;x></b>&lt;x>&amp;&lt;X>&lt;i>1"


@given(st.text(st.sampled_from("{}%# abfiorx.|()[]~+*'\"0123456789\n"), max_size=60))
def test_any_text_compiles_or_says_why(source: str) -> None:
    """No other exception, neither in compiling nor in rendering, and no more than its bound."""
    try:
        text = Template(source).render(VALUES)
    except (BadTemplate, RenderFailed):
        return
    assert len(text) <= OUTPUT_CHARS_MAX


@pytest.mark.parametrize("name", sorted(METHODS - {"cycle", "get", "items", "keys", "values"}))
def test_methods_that_may_be_called_are_those_of_text(name: str) -> None:
    assert callable(getattr("", name))

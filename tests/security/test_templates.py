"""Templates of the configuration get no further than text, whatever is written into them."""

from __future__ import annotations

import pytest

from imd.model.template import BadTemplate, RenderFailed, Template

VALUES = {
    "labels": {"a": "b"}, "group": {}, "alerts": 3, "firing": 1, "cause": {"entity": "x"}, "incident": {"number": 1}
}  # fmt: skip

REACHING = [
    "{{ ''.__class__ }}",
    "{{ ''['__class__'] }}",
    "{{ ''|attr('__class__') }}",
    "{{ ''|attr('__cla' ~ 'ss__') }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ [].__class__.__base__.__subclasses__()[59] }}",
    "{{ labels.__init__.__globals__ }}",
    "{{ labels.get.__self__.__class__ }}",
    "{{ labels['__class__'] }}",
    "{{ self }}",
    "{{ self._TemplateReference__context }}",
    "{{ self.__init__.__globals__.__builtins__.open('/etc/passwd').read() }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ lipsum.__globals__['os'].popen('id').read() }}",
    "{{ url_for.__globals__ }}",
    "{{ get_flashed_messages.__globals__ }}",
    "{{ config }}",
    "{{ request.application.__globals__ }}",
    "{{ range.__class__ }}",
    "{{ dict.__base__ }}",
    "{{ ''.format.__globals__ }}",
    "{{ '{0.__class__}'.format(labels) }}",
    "{{ '{0.__class__.__init__.__globals__}'.format_map({'0': labels}) }}",
    "{{ '%s'|format(labels.__class__) }}",
    "{{ labels|map(attribute='__class__')|list }}",
    "{{ [labels]|groupby('__class__') }}",
    "{{ [labels]|sort(attribute='__class__') }}",
    "{{ [labels]|selectattr('__class__')|list }}",
    "{{ labels|tojson|attr('__class__') }}",
    "{% import 'os' as os %}{{ os }}",
    "{% include '/etc/passwd' %}",
    "{% extends '/etc/passwd' %}",
    "{% macro a() %}{{ caller.__globals__ }}{% endmacro %}{{ a() }}",
    "{% set x = labels.update({'a': 'c'}) %}{{ labels }}",
    "{% do labels.clear() %}",
    "{{ (1).__class__.__bases__ }}",
    "{{ true.__class__ }}",
    "{{ loop.__class__ }}",
    "{{ incident.__class__.__init__ }}",
    "{{ ().__getattribute__('__class__') }}",
    "{{ 1 .real.__class__ }}",
    "{{ ''.join.__self__.__class__ }}",
    "{{ undefined_name.__class__.__init__.__globals__ }}",
]


@pytest.mark.parametrize("source", REACHING)
def test_python_is_out_of_reach(source: str) -> None:
    """It is no template, or fails, or is text without a thing of Python's; nothing that it was given has changed."""
    values = {**VALUES, "labels": {"a": "b"}}
    try:
        said = Template(source).render(values)
    except (BadTemplate, RenderFailed):
        said = ""
    assert not any(
        word in said for word in ("class", "object", "built-in", "function", "module", "root:", "uid=", "0x")
    )
    assert values["labels"] == {"a": "b"}

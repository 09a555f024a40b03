"""Go's templates and what is made of them say the same; amtool, where it is installed, says what Go's say."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from imd.imports.gotemplate import Untranslated, definitions, translated
from imd.model.template import Template
from tests.imports.played import imported, loaded
from tests.system.running import programs

ALERTS = [
    ("firing", {"alertname": "DiskFull", "cluster": "c1", "severity": "critical"}, {"summary": "2% left"}),
    ("resolved", {"alertname": "DiskFull", "cluster": "c1", "instance": "n2"}, {}),
    ("firing", {"alertname": "DiskFull", "cluster": "c1", "instance": "n3"}, {"summary": "full", "page": "yes"}),
]
COMMON, GROUP = {"alertname": "DiskFull", "cluster": "c1"}, {"cluster": "c1"}
SAME = [
    ("{{ .CommonLabels.alertname }}", "DiskFull", "DiskFull"),
    ("[{{ .Status | toUpper }}] {{ .GroupLabels.cluster }}", "[FIRING] c1", "[RESOLVED] c1"),
    ("{{ .CommonLabels.missing }}|", "|", "|"),
    ('{{ if eq .Status "firing" }}bad{{ else }}good{{ end }}', "bad", "good"),
    ('{{ if ne .Status "firing" }}good{{ else if .CommonLabels.cluster }}bad{{ end }}', "bad", "good"),
    ("{{ .Alerts.Firing | len }} of {{ len .Alerts }}", "2 of 3", "0 of 1"),
    ("{{ if gt (len .Alerts.Firing) 1 }}many{{ end }}", "many", ""),
    ("{{ if and .CommonLabels.cluster (not .CommonLabels.zone) }}x{{ end }}", "x", "x"),
    ("{{ if or .CommonLabels.zone .GroupLabels.cluster }}x{{ end }}", "x", "x"),
    ("{{ range .Alerts }}{{ .Labels.instance }}:{{ .Annotations.summary }}:{{ .Status }};{{ end }}", None, None),
    ("{{ range .Alerts.Firing }}\n- {{ .Annotations.summary }}\n{{ else }}none{{ end }}", None, "none"),
    ("{{- range .Alerts -}}\n  {{ .Labels.severity | toUpper }}\n{{- end -}}", None, None),
    ("{{ range .Alerts }}{{ range .Labels.SortedPairs }}{{ .Name }}={{ .Value }} {{ end }};{{ end }}", None, None),
    ("{{ range .Alerts }}{{ $.CommonLabels.cluster }}/{{ .Labels.alertname }} {{ end }}", None, None),
    ("{{ range .CommonLabels.SortedPairs }}{{ .Name }} {{ end }}", "alertname cluster ", None),
    ("{{ range .Alerts }}{{ if .Annotations.page }}{{ .Labels.instance }}{{ end }}{{ end }}", "n3", ""),
    ("a {{/* a comment */}}b {% raw %} {# no #}", "a b {% raw %} {# no #}", None),
    ('{{ `back` }} {{ "quo\\"ted" }}', 'back quo"ted', None),
    ("{{ .Receiver }}", "ops", "ops"),
    ("{{ title .CommonLabels.cluster }} {{ .CommonLabels.cluster | toUpper | toLower }}", "C1 c1", None),
]


FILE = """{{ define "subject" }}[{{ .Status | toUpper }}] {{ template "who" . }}{{ end }}
{{ define "who" -}}
  {{ .GroupLabels.cluster }}
{{- end }}
{{ define "list" }}{{ range . }}{{ template "one" . }};{{ end }}{{ end }}
{{ define "one" }}{{ .Labels.instance }}{{ if .Annotations.page }}!{{ end }}{{ range .Labels.SortedPairs }} {{ .Name }}{{ end }}{{ end }}
{{ define "all" }}{{ range .Alerts }}{{ $.CommonLabels.cluster }}{{ end }}{{ end }}
{{ define "round" }}{{ template "round" . }}{{ end }}
"""  # noqa: E501
CALLS = [
    '{{ template "subject" . }}',
    'a  {{- template "who" . -}}  b',
    '{{ template "list" .Alerts.Firing }}|{{ template "list" .Alerts.Resolved }}',
    '{{ range .Alerts }}{{ template "one" . }}{{ $.GroupLabels.cluster }} {{ end }}',
    '{{ template "all" $ }}',
]


def data(over: bool) -> dict[str, Any]:
    """As Alertmanager gives it to a template."""
    alerts = ALERTS[1:2] if over else ALERTS
    return {
        "receiver": "ops",
        "status": "resolved" if over else "firing",
        "alerts": [
            {
                "status": status,
                "labels": labels,
                "annotations": annotations,
                "startsAt": "2026-01-01T00:00:00Z",
                "endsAt": "2026-01-01T01:00:00Z" if status == "resolved" else "0001-01-01T00:00:00Z",
            }
            for status, labels, annotations in alerts
        ],
        "groupLabels": GROUP,
        "commonLabels": COMMON,
        "commonAnnotations": {},
        "externalURL": "http://am.example",
    }


def ours(source: str, over: bool, defined: dict[str, str] | None = None) -> str:
    alerts = ALERTS[1:2] if over else ALERTS
    values = {
        "receiver": "ops",
        "state": "resolved" if over else "triggered",
        "firing": sum(status == "firing" for status, _, _ in alerts),
        "labels": COMMON,
        "group": GROUP,
        "alerts": [
            {"status": status, "labels": labels, "annotations": annotations, "starts_at": "2026-01-01T00:00:00Z"}
            for status, labels, annotations in alerts
        ],
    }
    return Template(translated(source, defined).text).render(values)


@pytest.mark.parametrize(("source", "firing", "resolved"), SAME)
def test_what_is_made_says(source: str, firing: str | None, resolved: str | None) -> None:
    """Where None stands, amtool alone knows."""
    for over, expected in ((False, firing), (True, resolved)):
        if expected is not None:
            assert ours(source, over) == expected
    assert translated(source).notes == ()


def test_templates_of_files_are_called() -> None:
    defined = definitions(FILE)
    assert ours(CALLS[0], False, defined) == "[FIRING] c1"
    assert ours(CALLS[1], False, defined) == "ac1b"
    assert ours(CALLS[4], False, defined) == "c1c1c1"


@pytest.mark.parametrize(
    "source",
    [
        '{{ template "round" . }}',
        '{{ template "none" . }}',
        '{{ template "who" }}',
        '{{ range .Alerts }}{{ template "who" . }}{{ end }}',
    ],
)
def test_calls_that_cannot_be_are_refused(source: str) -> None:
    with pytest.raises(Untranslated):
        translated(source, definitions(FILE))


@pytest.mark.real
@pytest.mark.skipif(
    bool(list(programs("amtool"))) and os.environ.get("IMD_REQUIRE_REAL") != "1",
    reason="not installed: amtool (Debian: prometheus-alertmanager)",
)
@pytest.mark.parametrize("over", [False, True])
@pytest.mark.parametrize("source", [*(source for source, _, _ in SAME), *CALLS])
def test_amtool_says_the_same(source: str, over: bool, tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text(json.dumps(data(over)))
    (tmp_path / "own.tmpl").write_text(FILE)
    done = subprocess.run(
        [
            "amtool", "template", "render", f"--template.glob={tmp_path}/own.tmpl", f"--template.text={source}",
            f"--template.data={tmp_path}/data.json",
        ],
        capture_output=True, text=True, check=False, timeout=20, env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert ours(source, over, definitions(FILE)) == done.stdout


@pytest.mark.parametrize(
    ("source", "note"),
    [
        ("{{ .CommonAnnotations.summary }}", "annotations are those of the first alert"),
        ("{{ range .Alerts }}{{ .StartsAt }}{{ end }}", "times are RFC 3339"),
    ],
)
def test_what_may_read_otherwise_is_noted(source: str, note: str) -> None:
    assert any(note in one for one in translated(source).notes)


@pytest.mark.parametrize(
    "source",
    [
        '{{ template "mine" . }}',
        '{{ define "mine" }}x{{ end }}',
        "{{ with .CommonLabels }}x{{ end }}",
        "{{ $x := .Status }}",
        "{{ .ExternalURL }}",
        "{{ .Alerts.Firing.Labels.x }}",
        "{{ range $i, $a := .Alerts }}x{{ end }}",
        "{{ range .Alerts }}{{ range $.Alerts }}x{{ end }}{{ end }}",
        "{{ (index .Alerts 0).Labels.x }}",
        '{{ printf "%d" 5 }}',
        '{{ reReplaceAll "a" "b" .Status }}',
        "{{ if .Status }}",
        "{{ end }}",
        "{{ else }}",
        "{{ }}",
        "{{ . }}",
        '{{ "}}" }}',
        "{{ .Status",
        "{{ eq .Status }}",
        "{{ (.Status }}",
        "{{ .Status ! }}",
        "{{ if(.Status) }}x{{ end }}",
        "x" * 20_000,
    ],
)
def test_the_rest_is_refused(source: str) -> None:
    """Never half of it, never something that does not compile."""
    with pytest.raises(Untranslated):
        translated(source)


def test_a_receiver_gets_what_can_be_and_a_remark_for_the_rest(tmp_path: Path) -> None:
    made = imported(
        "route: {receiver: r}\nreceivers:\n  - name: r\n    slack_configs:\n      - api_url: http://h.example/\n"
        "        title: '{{ .Status | toUpper }}'\n        text: '{{ template \"mine\" . }}'\n"
    )
    [receiver] = loaded(made, tmp_path).settings.receivers.values()
    assert receiver.templates.title is not None
    assert receiver.templates.body is None
    [lost] = made.remarks
    assert (lost.line, lost.what) == (7, "receivers[0].slack_configs[0].text")
    assert 'it calls the template "mine" ., which is in no file that was read' in lost.why

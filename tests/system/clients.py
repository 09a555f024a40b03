"""Debian's prometheus, prometheus-alertmanager and amtool as processes of a test, and what they scrape."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterable
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.system.running import free_port, metric, until

PROGRAMS = ("prometheus", "prometheus-alertmanager", "amtool")


class Exporter:
    """A machine to watch: `broken[path]` is what a scrape of that path finds."""

    def __init__(self) -> None:
        self.broken: dict[str, bool] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(exporter: Exporter) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"demo_broken {int(exporter.broken.get(self.path, False))}\n".encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Nothing."""

    return Handler


class Client:
    """A process with an HTTP port and /metrics."""

    def __init__(self, folder: Path, port: int, command: Iterable[str | Path]) -> None:
        self.port = port
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)

    def ready(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        try:
            return self._get("/-/ready")[0] == 200
        except (OSError, HTTPException):
            return False

    def metric(self, name: str, **labels: str) -> float:
        return metric(self._get("/metrics")[1], name, **labels)

    def json(self, path: str) -> Any:
        return json.loads(self._get(path)[1])

    def post(self, path: str, body: object) -> int:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            return connection.getresponse().status
        finally:
            connection.close()

    def end(self) -> None:
        self._process.kill()
        self._process.wait(10)

    def _get(self, path: str) -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()


class Clients:
    """Starts them in folders of their own, and ends them all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[Client] = []

    def prometheus(self, scrape: str, path: str, targets: Iterable[str], alertname: str, replica: str = "a") -> Client:
        """Watches `demo_broken` at `path` and sends `alertname` to `targets`: `HOST:PORT` or `HOST:PORT/PREFIX`."""
        folder, port = self._new(), free_port()
        (folder / "rules.yml").write_text(json.dumps(_rules(alertname)))
        (folder / "prom.yml").write_text(json.dumps(_prometheus_config(scrape, path, targets, replica)))
        flags = {
            "config.file": "prom.yml",
            "storage.tsdb.path": "data",
            "web.listen-address": f"127.0.0.1:{port}",
            "rules.alert.resend-delay": "1s",
        }
        return self._start(folder, port, ["prometheus", *_flags(flags)])

    def alertmanager(self, url: str, cluster: str = "", peers: Iterable[str] = ()) -> Client:
        """Sends everything to the webhook `url`. `cluster` is where it listens for `peers`; "" for a single one.

        Peers wait for each other no longer than an instant, so that every one of them sends."""
        return self.notifying({"webhook_configs": [{"url": url, "send_resolved": True}]}, cluster, peers)

    def notifying(self, receiver: dict[str, object], cluster: str = "", peers: Iterable[str] = ()) -> Client:
        """An Alertmanager that sends everything to this receiver, which lacks only its name."""
        return self.configured(json.dumps(_alertmanager_config(receiver)), cluster, peers)

    def configured(self, config: str, cluster: str = "", peers: Iterable[str] = ()) -> Client:
        """An Alertmanager with this alertmanager.yml."""
        folder, port = self._new(), free_port()
        (folder / "am.yml").write_text(config)
        flags = {
            "config.file": "am.yml",
            "storage.path": "data",
            "web.listen-address": f"127.0.0.1:{port}",
            "cluster.listen-address": cluster,
        }
        if cluster:
            flags |= {"cluster.gossip-interval": "20ms", "cluster.peer-timeout": "1ms"}
        known = [f"--cluster.peer={peer}" for peer in peers]
        return self._start(folder, port, ["prometheus-alertmanager", *_flags(flags), *known])

    def amtool(self, url: str, *arguments: str) -> str:
        command = ["amtool", f"--alertmanager.url={url}", *arguments]
        environ = {**os.environ, "HOME": str(self._folder)}
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20, env=environ)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def end(self) -> None:
        for client in self._running:
            client.end()

    def _new(self) -> Path:
        folder = self._folder / f"client{len(self._running)}"
        folder.mkdir(parents=True)
        return folder

    def _start(self, folder: Path, port: int, command: list[str]) -> Client:
        client = Client(folder, port, command)
        self._running.append(client)
        return client

    def await_all(self) -> None:
        for client in self._running:
            until("it is ready", client.ready, 20)


def _flags(flags: dict[str, str]) -> list[str]:
    return [f"--{name}={value}" for name, value in flags.items()]


def _rules(alertname: str) -> object:
    rule = {
        "alert": alertname,
        "expr": "demo_broken > 0",
        "for": "500ms",
        "labels": {"severity": "critical"},
        "annotations": {"summary": "{{ $labels.instance }} is broken, {{ $value }} at {{ $externalLabels.replica }}"},
    }
    return {"groups": [{"name": "demo", "interval": "500ms", "rules": [rule]}]}


def _prometheus_config(scrape: str, path: str, targets: Iterable[str], replica: str) -> object:
    return {
        "global": {
            "scrape_interval": "500ms",
            "scrape_timeout": "500ms",
            "evaluation_interval": "500ms",
            "external_labels": {"cluster": "lab", "replica": replica},
        },
        "rule_files": ["rules.yml"],
        "alerting": {
            "alert_relabel_configs": [{"action": "labeldrop", "regex": "replica"}],
            "alertmanagers": [_target(target) for target in targets],
        },
        "scrape_configs": [{"job_name": "demo", "metrics_path": path, "static_configs": [{"targets": [scrape]}]}],
    }


def _target(target: str) -> object:
    address, slash, prefix = target.partition("/")
    return {"api_version": "v2", "path_prefix": slash + prefix, "static_configs": [{"targets": [address]}]}


def _alertmanager_config(receiver: dict[str, object]) -> object:
    return {
        "route": {
            "receiver": "imd",
            "group_by": ["alertname", "cluster"],
            "group_wait": "100ms",
            "group_interval": "1s",
            "repeat_interval": "2s",
        },
        "receivers": [{"name": "imd", **receiver}],
    }

"""docs/api.md lists each route, with its scope, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from imd.api.server import routes
from tests.api.server import Server

DOCS = (Path(__file__).parents[2] / "docs" / "api.md").read_text()


async def test_the_docs_list_every_route_and_no_other(server: Server) -> None:
    documented = set(re.findall(r"^### (.+)$", DOCS, re.MULTILINE))
    served = {re.sub(r"\{(\w+):[^}]+\}", r"{\1}", f"{route.method} {route.path}") for route in routes(server.context())}
    assert documented == served


async def test_the_docs_name_each_routes_scope(server: Server) -> None:
    """The first paragraph below a heading, or below several in a row, begins with the scope."""
    scopes, waiting = {}, []
    for line in DOCS.splitlines():
        if line.startswith("### "):
            waiting.append(line[4:])
        elif line and waiting:
            found = re.match(r"Scope (\w+)", line)
            scopes |= dict.fromkeys(waiting, found[1] if found else None)
            waiting = []
    for route in routes(server.context()):
        name = re.sub(r"\{(\w+):[^}]+\}", r"{\1}", f"{route.method} {route.path}")
        assert scopes[name] == (route.scope.value if route.scope else None), name

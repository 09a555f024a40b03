from tests.api.conftest import log, serve, server
from tests.system.conftest import daemons

__all__ = ["daemons", "log", "serve", "server"]

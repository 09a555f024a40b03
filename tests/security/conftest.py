from tests.api.conftest import log, serve, server

__all__ = ["log", "serve", "server"]

"""The fixtures of the whole daemon, here too."""

from tests.system.fixtures import clients, daemons, figures, pytest_terminal_summary, sink

__all__ = ["clients", "daemons", "figures", "pytest_terminal_summary", "sink"]

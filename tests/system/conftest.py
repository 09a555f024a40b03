"""The fixtures of the whole daemon, here too."""

from tests.system.fixtures import daemons, figures, pytest_terminal_summary, sink

__all__ = ["daemons", "figures", "pytest_terminal_summary", "sink"]

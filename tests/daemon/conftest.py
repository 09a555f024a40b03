"""Figures, as tests of the whole daemon print them."""

from tests.system.fixtures import figures, pytest_terminal_summary

__all__ = ["figures", "pytest_terminal_summary"]

"""Runs `*.test.yaml` in virtual time: which files and rules, and what came of each test.

Owns finding the files, reading each rule set once a run however many tests name it, and the outcome. How one test is
played is `playing`, what is expected of it `judging`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from imd.config.diagnostic import Diagnostic
from imd.config.disk import Disk
from imd.config.load import Faulty, load
from imd.config.testfile import SUFFIXES, RuleTest, TestFile, read_tests
from imd.config.yamlfile import BYTES_MAX
from imd.model.policy import Ruleset
from imd.replay.coverage import Coverage
from imd.replay.playing import Failure, Play
from imd.replay.run import unread
from imd.replay.seen import Line


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one test. `timeline`: where it failed, all that happened in it, in order."""

    name: str
    path: str
    line: int
    seconds: float
    failures: tuple[Failure, ...]
    timeline: tuple[Line, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.failures


class Unrunnable(Exception):
    """Files with faults: of tests, of the rules that they name, or that cannot be read. `diagnostics` are all."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__(diagnostics[0].headline())
        self.diagnostics = diagnostics


class RuleSets:
    """Rules by the files that they come from, each read once."""

    def __init__(self, config: Path | None = None) -> None:
        self._config = config
        self._known: dict[tuple[Path | None, tuple[Path, ...]], Ruleset | Faulty] = {}

    def of(self, test: RuleTest, file: Path) -> Ruleset:
        """The rules that decide in a test. Raises Faulty."""
        paths = tuple(_beside(file, name) for name in test.rules)
        if not paths and self._config_of(test, file) is None:
            paths = (file.parent,)
        return self.load(self._config_of(test, file), paths)

    def _config_of(self, test: RuleTest, file: Path) -> Path | None:
        return _beside(file, test.config) if test.config else self._config

    def load(self, config: Path | None, paths: tuple[Path, ...]) -> Ruleset:
        known = self._known.get((config, paths))
        if known is None:
            try:
                known = unread(load(config, paths, secrets=False).ruleset)
            except Faulty as faulty:
                known = faulty
            self._known[config, paths] = known
        if isinstance(known, Faulty):
            raise known
        return known

    def beside(self, test: RuleTest, file: Path, names: Iterable[str]) -> Ruleset:
        """Other rules for the same test, as after a reload. Raises Faulty."""
        return self.load(self._config_of(test, file), tuple(_beside(file, name) for name in names))


def _beside(file: Path, name: str) -> Path:
    """Without `..` where it can be, so that a file has one name, however tests name it."""
    return Path(os.path.normpath(file.parent / name))


def find_files(paths: Iterable[Path]) -> list[Path]:
    """Test files in order: those named, and of folders those within, by name, subfolders too; hidden ones are not
    entered."""
    found: list[Path] = []
    for path in paths:
        found += sorted(_within(path)) if path.is_dir() else [path]
    return list(dict.fromkeys(found))


def _within(folder: Path) -> Iterator[Path]:
    for one in folder.iterdir():
        if one.name.startswith("."):
            continue
        if one.is_dir() and not one.is_symlink():
            yield from _within(one)
        elif one.name.endswith(SUFFIXES) and one.is_file():
            yield one


def read_file(file: Path) -> TestFile:
    """The tests of a file. Raises Unrunnable with its faults, OSError, NotAFile."""
    read = read_tests(str(file), Disk().read(file, BYTES_MAX))
    if read.document.failed:
        raise Unrunnable(tuple(sorted(read.document.faults, key=lambda one: one.order)))
    return read


def title(test: RuleTest, file: Path, number: int) -> str:
    """The test's name, or where it stands if it has none."""
    return test.name or f"{file.name}{f' {number}' if number > 1 else ''}"


def run_file(file: Path, rule_sets: RuleSets, coverage: Coverage | None = None) -> list[Result]:
    """Every test of a file. Raises as `read_file` does."""
    read = read_file(file)
    return [
        run_test(test, read, file, rule_sets, name=title(test, file, number), coverage=coverage)
        for number, test in enumerate(read.tests, 1)
    ]


def run_test(
    test: RuleTest,
    read: TestFile,
    file: Path,
    rule_sets: RuleSets,
    *,
    name: str = "",
    coverage: Coverage | None = None,
) -> Result:
    """One test from its start to its last expectation. Raises Unrunnable where its rules have faults."""
    began = time.perf_counter()
    try:
        ruleset = rule_sets.of(test, file)
        run = Play(test, read.document.path, read.document.lines, ruleset)
        run.rules_beside = lambda names: rule_sets.beside(test, file, names)
        run.through()
    except Faulty as faulty:
        raise Unrunnable(faulty.diagnostics) from None
    if coverage is not None:
        coverage.add(run.rulesets, run.seen)
    return Result(
        name=name or test.name,
        path=read.document.path,
        line=test.span.line,
        seconds=time.perf_counter() - began,
        failures=tuple(run.failures),
        timeline=tuple(run.seen.lines) if run.failures else (),
    )

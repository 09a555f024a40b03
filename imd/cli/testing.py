"""`imd test`: runs `*.test.yaml`, and says what was not as expected and what led there.

Owns which files are meant and what people, programs and CI servers read of the outcome. The run is imd.replay.ruletest.
"""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from imd.cli import junit
from imd.cli.failure import Failed, Misused
from imd.cli.screen import Cell, Screen
from imd.config.diagnostic import Diagnostic
from imd.config.disk import NotAFile
from imd.config.load import Faulty, load
from imd.replay.coverage import Coverage, Part
from imd.replay.playing import Failure
from imd.replay.ruletest import Result, RuleSets, Unrunnable, find_files, read_file, run_test, title
from imd.replay.seen import Line, time_text

DEFAULT_FOLDER = Path("rules")
_TIMELINE_MAX = 40  # lines before a failure that are shown, unless -v asks for all
_DIFF_COLOURS = {"-": "red", "+": "green"}


class _Moment(msgspec.Struct, frozen=True):
    at: str
    incident: int | None
    text: str


class _Tested(msgspec.Struct, frozen=True, omit_defaults=True):
    """One test as `--json` has it. `outcome` is passed, failed or error; an error has a diagnostic."""

    path: str
    line: int
    name: str
    outcome: str
    seconds: float
    failures: tuple[Failure, ...] = ()
    timeline: tuple[_Moment, ...] = ()


class _Counted(msgspec.Struct, frozen=True):
    reached: int
    of: int


class _Covered(msgspec.Struct, frozen=True):
    percent: float
    kinds: dict[str, _Counted]
    unreached: list[Part]


class _Report(msgspec.Struct):
    """What `test --json` prints."""

    passed: int
    failed: int
    errors: int
    seconds: float
    tests: list[_Tested]
    diagnostics: list[Diagnostic]
    coverage: _Covered | None


def run(arguments: Namespace) -> int:
    """0: every test passed. 1: one did not, could not run, or there is none. Raises Misused, Failed."""
    _refuse_missing(arguments)
    began = time.perf_counter()
    session = _Session(arguments)
    for file in find_files(_paths(arguments)):
        session.file(file)
    if not session.tests:
        raise Failed(_none_found(arguments))
    seconds = time.perf_counter() - began
    if arguments.junit is not None:
        _write_junit(arguments.junit, session)
    report = session.report(seconds)
    if arguments.json:
        print(msgspec.json.encode(report).decode())
    else:
        session.summarise(report)
    return 1 if report.failed or report.errors or session.too_little_covered(report) else 0


def _refuse_missing(arguments: Namespace) -> None:
    config = [arguments.config] if arguments.config is not None else []
    for path in [*arguments.paths, *config]:
        if not path.exists():
            raise Misused(f"no such file or folder: {path}")
    if arguments.junit is not None and not arguments.junit.parent.is_dir():
        raise Misused(f"no such folder: {arguments.junit.parent}")


def _paths(arguments: Namespace) -> list[Path]:
    """Those named; else where the config has its rules; else rules/ here; else here."""
    if arguments.paths:
        return list(arguments.paths)
    if arguments.config is not None:
        try:
            named = load(arguments.config, secrets=False).settings.rules
        except Faulty as faulty:
            _print_diagnostics(Screen.of_process(sys.stderr), faulty.diagnostics)
            raise Failed(str(faulty)) from None
        return list(dict.fromkeys(path if path.is_dir() else path.parent for path in named)) or [Path()]
    return [DEFAULT_FOLDER if DEFAULT_FOLDER.is_dir() else Path()]


def _none_found(arguments: Namespace) -> str:
    where = ", ".join(str(path) for path in _paths(arguments))
    chosen = f" whose file or name holds {arguments.k!r}" if arguments.k else ""
    return f"no test{chosen} in {where}: tests are files that end in .test.yaml"


def _print_diagnostics(screen: Screen, diagnostics: Sequence[Diagnostic]) -> None:
    for one in diagnostics:
        print(one.render(color=screen.colour), file=screen.out)


class _Session:
    """All tests of one run. Text is printed as they run, so that the first failure is seen at once."""

    def __init__(self, arguments: Namespace) -> None:
        self._arguments = arguments
        self._rule_sets = RuleSets(arguments.config)
        measured = arguments.coverage or arguments.coverage_min is not None
        self._coverage = Coverage() if measured else None
        self._screen = Screen.of_process()
        self._quiet: bool = arguments.json
        self._told: dict[Diagnostic, None] = {}
        self.tests: list[_Tested] = []
        self.cases: list[junit.Case] = []

    def file(self, file: Path) -> None:
        try:
            read = read_file(file)
        except Unrunnable as faulty:
            if self._meant(str(file)):
                self._error(str(file), 1, file.name, faulty.diagnostics)
            return
        except (OSError, NotAFile) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise Failed(f"cannot read {file}: {reason}") from None
        for number, test in enumerate(read.tests, 1):
            name = title(test, file, number)
            if not self._meant(f"{file} {name}"):
                continue
            try:
                result = run_test(test, read, file, self._rule_sets, name=name, coverage=self._coverage)
            except Unrunnable as faulty:
                self._error(str(file), test.span.line, name, faulty.diagnostics)
            else:
                self._ran(result)

    def report(self, seconds: float) -> _Report:
        outcomes = [one.outcome for one in self.tests]
        return _Report(
            passed=outcomes.count("passed"),
            failed=outcomes.count("failed"),
            errors=outcomes.count("error"),
            seconds=round(seconds, 3),
            tests=self.tests,
            diagnostics=list(self._told),
            coverage=self._covered(),
        )

    def _covered(self) -> _Covered | None:
        if self._coverage is None:
            return None
        kinds = {kind: _Counted(*counts) for kind, counts in self._coverage.counts().items()}
        return _Covered(round(self._coverage.percent, 1), kinds, self._coverage.unreached())

    def too_little_covered(self, report: _Report) -> bool:
        least = self._arguments.coverage_min
        return least is not None and report.coverage is not None and report.coverage.percent < least

    def _meant(self, words: str) -> bool:
        return not self._arguments.k or self._arguments.k.lower() in words.lower()

    # -- one test -----------------------------------------------------------------------------------------------------

    def _ran(self, result: Result) -> None:
        outcome = "passed" if result.passed else "failed"
        timeline = tuple(_Moment(time_text(one.at), one.incident or None, one.text) for one in result.timeline)
        self.tests.append(
            _Tested(result.path, result.line, result.name, outcome, round(result.seconds, 6), result.failures, timeline)
        )
        told = "\n".join(_plain(result, all_of_it=self._arguments.verbose)) if result.failures else ""
        self.cases.append(junit.Case(result.path, result.line, result.name, result.seconds, failure=told))
        if self._quiet:
            return
        if result.passed:
            if self._arguments.verbose:
                self._screen.line(Cell("ok  ", "green"), f"{result.path}:{result.line} {result.name}")
            return
        self._screen.line(Cell("FAIL", "red"), Cell(f"{result.path}:{result.line} {result.name}", "bold"))
        for line in _lines(result, all_of_it=self._arguments.verbose):
            self._screen.line(line)
        self._screen.line()

    def _error(self, path: str, line: int, name: str, diagnostics: tuple[Diagnostic, ...]) -> None:
        """Faults are printed once, however many tests they keep from running."""
        self.tests.append(_Tested(path, line, name, "error", 0.0))
        told = "\n".join(one.render() for one in diagnostics)
        self.cases.append(junit.Case(path, line, name, 0.0, error=told))
        new = [one for one in diagnostics if one not in self._told]
        self._told.update(dict.fromkeys(new))
        if self._quiet:
            return
        _print_diagnostics(self._screen, new)
        self._screen.line(Cell("NOT RUN", "red"), Cell(f"{path}:{line} {name}", "bold"))
        self._screen.line()

    # -- the end ------------------------------------------------------------------------------------------------------

    def summarise(self, report: _Report) -> None:
        if report.coverage is not None:
            self._print_coverage(report.coverage)
        if self.too_little_covered(report):
            least, percent = self._arguments.coverage_min, report.coverage.percent if report.coverage else 0
            self._screen.line(Cell(f"coverage is {percent:g}%, at least {least:g}% is asked for", "red"))
        counts = [
            (report.passed, "passed", "green"),
            (report.failed, "failed", "red"),
            (report.errors, "not run", "red"),
        ]
        cells = [Cell(f"{number} {what},", colour) for number, what, colour in counts if number]
        self._screen.line(*cells, f"{report.seconds:.2f} s")

    def _print_coverage(self, covered: _Covered) -> None:
        counts = ", ".join(f"{one.reached} of {one.of} {_many(kind)}" for kind, one in covered.kinds.items())
        self._screen.line(f"Reached by these tests: {counts or 'there is nothing to reach'} ({covered.percent:g}%)")
        for part in covered.unreached:
            place = f" ({part.where})" if part.where else ""
            self._screen.line("  ", Cell(f"not reached: {part}{place}", "yellow"))
        self._screen.line()


def _many(kind: str) -> str:
    return {"step": "escalation steps", "maintenance": "maintenance windows"}.get(kind, f"{kind}s")


def _plain(result: Result, *, all_of_it: bool) -> list[str]:
    return [line.text if isinstance(line, Cell) else line for line in _lines(result, all_of_it=all_of_it)]


def _lines(result: Result, *, all_of_it: bool) -> Iterator[Cell | str]:
    """What was not as expected, and what led there."""
    for failure in result.failures:
        yield f"  {failure.headline()}"
        if failure.source.strip():
            gutter = str(failure.line)
            yield Cell(f"    {gutter} | {failure.source}", "dim")
            yield Cell(f"    {' ' * len(gutter)} | {' ' * failure.caret}{'^' * failure.width}", "dim")
        for line in failure.diff:
            yield Cell(f"    {line}", _DIFF_COLOURS.get(line[:1], ""))
        if failure.help:
            yield f"    help: {failure.help}"
    if any(failure.diff for failure in result.failures):
        yield Cell("    (- expected, + was)", "dim")
    yield "  what led there:"
    last = max(failure.after_seconds for failure in result.failures)
    led = _folded([line for line in result.timeline if line.at.total_seconds() <= last])
    left_out = 0 if all_of_it else max(0, len(led) - _TIMELINE_MAX)
    if left_out:
        yield Cell(f"    … {left_out} lines before these; -v shows them", "dim")
    width = max((len(at) for at, _, _ in led[left_out:]), default=0)
    for at, who, text in led[left_out:]:
        yield Cell(f"    {at:<{width}}  {who}{text}", "" if who.startswith("#") else "bold")


def _folded(timeline: Sequence[Line]) -> list[tuple[str, str, str]]:
    """When, whose line, what; an event that comes again and again with nothing between is one line."""
    found: list[tuple[str, str, str]] = []
    times = 0
    before: Line | None = None
    for line in timeline:
        same = before is not None and (line.incident, line.text) == (0, before.text) and before.incident == 0
        times = times + 1 if same else 1
        at, who = time_text(line.at), f"#{line.incident} " if line.incident else ""
        if same:
            at, _, _ = found.pop()
        found.append(
            (at, who, f"{line.text} ({times} times, last at {time_text(line.at)})" if times > 1 else line.text)
        )
        before = line
    return found


def _write_junit(file: Path, session: _Session) -> None:
    try:
        junit.write(file, session.cases)
    except OSError as error:
        raise Failed(f"cannot write {file}: {error.strerror}") from None

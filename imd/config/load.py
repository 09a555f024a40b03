"""Opens the files, and makes of them either settings and a Ruleset or every diagnostic of every file.

Owns all file access of this floor (secrets and tables too), the order of rule files, and how their content becomes one
Ruleset. Faults never cascade: names are checked only where none can be hidden behind another fault, lints only where
there is no fault at all. Nothing is kept between calls; a reload is another call.

Names come from files, so they are asked about with os.path, which answers False where pathlib raises (a name too long,
a folder that may not be entered, a loop of links).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from imd.config import codes
from imd.config.allowing import allow
from imd.config.configfile import Found, read_config
from imd.config.diagnostic import Diagnostic, Severity, Span
from imd.config.disk import Disk, Outside, folder_of, folders_for
from imd.config.document import Document
from imd.config.lint import WholeSet, check_names, lint
from imd.config.oncalllint import FindGap
from imd.config.rulefile import DEFAULT, RuleFiles, read_rules
from imd.config.settings import Settings
from imd.config.shape import NO_SECRETS, Refused, Scope
from imd.config.tablefile import TableFile, read_table
from imd.config.topologyfile import MAP_BYTES_MAX, MapFile, Placed, read_topology, take_json, take_prometheus
from imd.config.yamlfile import BYTES_MAX, DATA_BYTES_MAX, read_document
from imd.model.calendar import Calendar
from imd.model.condition import Condition
from imd.model.digest import Storm
from imd.model.enrich import TABLE_BYTES_MAX, Table
from imd.model.policy import BUILT_IN_RULE, NOBODY, Policy, Receiver, Route, Ruleset, built_in_policy
from imd.model.quiet import Maintenance
from imd.model.rule import MATCH_ALL, PriorityTable, Rule
from imd.model.template import Template

RULE_SUFFIXES = (".yaml", ".yml")
TEST_SUFFIXES = (".test.yaml", ".test.yml")
CREDENTIALS = "CREDENTIALS_DIRECTORY"
SECRET_BYTES_MAX = 65_536
BUILT_IN_NAME = "built-in"
HASH_BYTES = 6  # 48 bits, which a float of the metrics holds exactly
_TOP = Span(1, 1, 1, 2)


class Looked(msgspec.Struct, frozen=True):
    """What `watch` looks at: the files that were asked for, secrets and tables included, and the folders that were
    looked through."""

    files: tuple[Path, ...] = ()
    folders: tuple[Path, ...] = ()


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A set of files without errors."""

    settings: Settings
    ruleset: Ruleset
    warnings: tuple[Diagnostic, ...]
    looked: Looked


class Faulty(Exception):
    """The files have errors; `diagnostics` are all of them, warnings included, in order of file, line and column."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...], looked: Looked = Looked()) -> None:  # noqa: B008 - frozen
        errors = [found for found in diagnostics if found.severity is Severity.ERROR]
        super().__init__(f"{len(errors)} error{'s' if len(errors) != 1 else ''}, the first: {errors[0].headline()}")
        self.diagnostics = diagnostics
        self.looked = looked


def load(
    config: Path | None,
    paths: Sequence[Path] = (),
    environ: Mapping[str, str] = os.environ,
    maps: Sequence[Path] = (),
    secrets: bool = True,
) -> Loaded:
    """Settings and rules. `paths`, files and folders, stand in for the config's own `rules:` where any are given.
    `maps` are files of entities beside those that the rules name.

    Without a config settings are the defaults, and every receiver that the rules name is known; where they name none
    there is one, `default`. Without `secrets` none is read, and what needs one is as if it had it: for those who send
    nothing, on a machine that has none. Raises Faulty.
    """
    loading = _Loading(environ, secrets=secrets)
    loading.read(config, paths, maps)
    diagnostics = loading.diagnostics()
    if any(document.failed for document in loading.documents):
        raise Faulty(diagnostics, loading.looked)
    settings = loading.found.settings if loading.found else Settings()
    return Loaded(
        settings=settings,
        ruleset=_ruleset(loading.files, settings if config is not None else None),
        warnings=diagnostics,
        looked=loading.looked,
    )


def load_config(path: Path) -> Loaded:
    """config.yaml and the rules that it names. Raises Faulty."""
    return load(path)


def load_rules(paths: Sequence[Path]) -> Loaded:
    """Rules alone, for replay and tests: every receiver they name is known. Raises Faulty."""
    return load(None, paths)


def check(
    config: Path | None,
    paths: Sequence[Path] = (),
    environ: Mapping[str, str] = os.environ,
    now: datetime | None = None,
    find_gap: FindGap | None = None,
) -> list[Diagnostic]:
    """Every fault and every lint, in order of file, line and column. With `now`, windows that are over are linted too;
    with `find_gap`, times at which nobody is on call. Never raises."""
    return list(examine(config, paths, environ, now, find_gap).diagnostics)


class Examined(msgspec.Struct, frozen=True):
    """What `check` has to say, in order of file, line and column. `allowed` are the warnings that a comment takes as
    meant."""

    diagnostics: Sequence[Diagnostic]
    allowed: Sequence[Diagnostic] = ()


def examine(
    config: Path | None,
    paths: Sequence[Path] = (),
    environ: Mapping[str, str] = os.environ,
    now: datetime | None = None,
    find_gap: FindGap | None = None,
    secrets: bool = True,
) -> Examined:
    """As `check`, with the warnings that are allowed; without `secrets` as if all of them were there. Never raises."""
    loading = _Loading(environ, now, find_gap, secrets=secrets)
    loading.read(config, paths)
    return Examined(loading.diagnostics(), _ordered(loading.allowed))


def _ordered(found: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    return tuple(sorted(found, key=lambda one: one.order))


class _Loading:
    """One run over all files."""

    def __init__(
        self,
        environ: Mapping[str, str],
        now: datetime | None = None,
        find_gap: FindGap | None = None,
        *,
        secrets: bool = True,
    ) -> None:
        self._environ = environ
        self._secret = secrets
        self._now = now
        self._find_gap = find_gap
        self.documents: list[Document] = []
        self.allowed: list[Diagnostic] = []
        self._disk = Disk()
        self.files = RuleFiles()
        self._tables: dict[str, TableFile | None] = {}
        self.found: Found | None = None

    def read(self, config: Path | None, paths: Sequence[Path], maps: Sequence[Path] = ()) -> None:
        document = None
        places: list[tuple[Path, Document | None, Span]] = [(path, None, _TOP) for path in paths]
        if config is not None:
            document = self._open(config, BYTES_MAX, secrets=True)
            source = _Secrets(config.parent, self._environ, self._disk) if self._secret else NO_SECRETS
            self.found = read_config(document, source)
            if not places:
                places = [(path, document, span) for path, span in self.found.rules]
        for folder in [config.parent] if config is not None else [each for path in paths for each in folders_for(path)]:
            self._disk.reach(folder)
        for path, _, _ in places:
            self._disk.reach(folder_of(path))
        self._read_rules(places)
        self._read_maps(maps)
        whole = WholeSet(self.files, self.found, document, self._now, self._find_gap)
        check_names(whole)
        sound = not any(document.failed for document in self.documents)
        if sound:
            lint(whole)
        # Without a config, a clock or a way to find gaps some lints are not looked for.
        complete = sound and document is not None and self._now is not None and self._find_gap is not None
        for one in self.documents:
            self.allowed += allow(one, complete)

    @property
    def looked(self) -> Looked:
        return Looked(tuple(self._disk.opened), tuple(self._disk.listed))

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        return _ordered(fault for document in self.documents for fault in document.faults)

    def _read_rules(self, places: list[tuple[Path, Document | None, Span]]) -> None:
        bytes_max = self.found.settings.limits.rule_file_bytes_max if self.found else BYTES_MAX
        seen: set[str] = set()
        for path, document, span in places:
            folder = os.path.isdir(path)
            for file in self._listed(path, document, span):
                real = os.path.realpath(file)
                if file.name.endswith(TEST_SUFFIXES) or real in seen:
                    continue
                seen.add(real)
                read = self._open(file, bytes_max, document, span, within=folder)
                read_rules(read, self.files, self)

    def _read_maps(self, maps: Sequence[Path]) -> None:
        """The maps and the Prometheus rules that the rule files name, once each, and the maps given besides."""
        mapped = self.files.mapped
        named = [(_beside(one), one.document, one.span) for one in mapped.files]
        for path, document, span in [*named, *((path, None, _TOP) for path in maps)]:
            raw = self._bytes(path, MAP_BYTES_MAX, document, span, within=document is not None)
            place = Placed(document, span, str(path)) if document is not None else None
            reason = take_json(raw, mapped, place) if raw is not None else ""
            if raw is not None and reason:
                self._read_map(path, raw, reason)
        for one in mapped.prometheus:
            self._read_prometheus(one)

    def _read_map(self, path: Path, raw: bytes, reason: str) -> None:
        """As a document, with the places of its faults. `reason`: why it is not read the short way."""
        document = read_document(str(path), raw, DATA_BYTES_MAX)
        if len(raw) > DATA_BYTES_MAX:
            document = Document(path=str(path), lines=[], whole=False)
            said = f"the map has more than {DATA_BYTES_MAX} bytes"
            hint = f"a sound JSON map of entities alone may have {MAP_BYTES_MAX}; of this one: {reason}"
            document.fault(codes.TOO_LARGE, _TOP, said, help=hint)
        self.documents.append(document)
        if document.root is not None:
            with suppress(Refused):
                read_topology(document.root, Scope(document, "", "this file"), self.files.mapped)

    def _read_prometheus(self, named: MapFile) -> None:
        try:
            paths = self._disk.matching(_beside(named))
        except (OSError, ValueError, Outside) as error:
            self._unreadable(_beside(named), error, named.document, named.span)
            return
        if not paths:
            named.document.fault(codes.UNREADABLE, named.span, f"no file matches {named.path}")
        for found in paths:
            raw = self._bytes(found, MAP_BYTES_MAX, named.document, named.span, within=True)
            reason = take_prometheus(raw, self.files.mapped) if raw is not None else ""
            if reason:
                named.document.fault(codes.BAD_PROMETHEUS_RULES, named.span, f"{found}: {reason}")

    def _listed(self, path: Path, document: Document | None, span: Span) -> Iterator[Path]:
        """The file itself, or a folder's rule files by name."""
        if not os.path.isdir(path):
            yield path
            return
        self._disk.listed.append(path)
        try:
            files = sorted(file for file in path.iterdir() if _is_rule_file(file))
        except OSError as error:
            self._unreadable(path, error, document, span)
            return
        if not files:
            place = document or self._nowhere(path)
            place.lint(codes.NO_RULE_FILE, span, f"{path} holds no rule file", help="rule files end in .yaml or .yml")
        yield from files

    def open(self, name: str, document: Document, span: Span) -> TableFile | None:
        """A table beside the file that names it; several entries may share one."""
        path = Path(document.path).parent / name
        real = os.path.realpath(path)
        if real not in self._tables:
            self._tables[real] = self._open_table(path, document, span)
        return self._tables[real]

    def bytes_of(self, name: str, document: Document, span: Span, bytes_max: int) -> bytes | None:
        """A file beside the file that names it."""
        return self._bytes(Path(document.path).parent / name, bytes_max, document, span, within=True)

    def _open_table(self, path: Path, document: Document, span: Span) -> TableFile | None:
        raw = self._bytes(path, TABLE_BYTES_MAX, document, span, within=True)
        if raw is None:
            return None
        table, found = read_table(str(path), raw)
        self.documents.append(found)
        return table

    def _open(
        self,
        path: Path,
        bytes_max: int,
        namer: Document | None = None,
        span: Span = _TOP,
        *,
        secrets: bool = False,
        within: bool = False,
    ) -> Document:
        """The file's nodes. Where it cannot be read, the fault stands where it was named."""
        raw = self._bytes(path, bytes_max, namer, span, within)
        if raw is None:
            return Document(path=str(path), lines=[], whole=False)
        document = read_document(str(path), raw, bytes_max, secrets)
        if not raw.strip():  # an editor, a full disk or a copy under way leaves such a file; nobody writes one
            document.fault(codes.EMPTY_FILE, _TOP, "the file is empty", help="where nothing is meant, write {}")
        self.documents.append(document)
        return document

    def _bytes(
        self, path: Path, bytes_max: int, namer: Document | None, span: Span, within: bool = False
    ) -> bytes | None:
        """`within`: not the operator named it but a rule file did, or it was found in a folder."""
        try:
            return self._disk.read(self._disk.within(path) if within else path, bytes_max)
        except (OSError, ValueError, Outside) as error:
            self._unreadable(path, error, namer, span)
            return None

    def _unreadable(self, path: Path, error: Exception, namer: Document | None, span: Span) -> None:
        place = namer or self._nowhere(path)
        if isinstance(error, Outside):
            hint = "put it into the folder of config.yaml or of the rules"
            place.fault(codes.OUTSIDE, span, f"{path} lies outside the folder, and is not read", help=hint)
            return
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        place.fault(codes.UNREADABLE, span, f"cannot read {path}: {reason}")

    def _nowhere(self, path: Path) -> Document:
        document = Document(path=str(path), lines=[])
        self.documents.append(document)
        return document


def _beside(named: MapFile) -> Path:
    """A named file is looked for beside the file that names it."""
    return Path(named.document.path).parent / named.path


def _is_rule_file(file: Path) -> bool:
    """By its name: what cannot be read, such as a link that leads nowhere, is a fault when it is read."""
    return file.suffix in RULE_SUFFIXES and not file.name.startswith(".") and not os.path.isdir(file)


class _Secrets:
    """Files beside the config, systemd credentials, the environment."""

    def __init__(self, base: Path, environ: Mapping[str, str], disk: Disk) -> None:
        self._base = base
        self._environ = environ
        self._disk = disk

    def read(self, name: str) -> str:
        path = self._path(name)
        raw = self._disk.read(path, SECRET_BYTES_MAX)
        if len(raw) > SECRET_BYTES_MAX:
            raise ValueError(f"more than {SECRET_BYTES_MAX} bytes")
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise ValueError("it is not UTF-8") from None

    def variable(self, name: str) -> str | None:
        return self._environ.get(name)

    def _path(self, name: str) -> Path:
        folder = self._environ.get(CREDENTIALS)
        if folder and "/" not in name and os.path.isfile(Path(folder) / name):
            return Path(folder) / name
        return self._base / name


def _ruleset(files: RuleFiles, settings: Settings | None) -> Ruleset:
    """Everything that decisions depend on. `settings` None: without a config."""
    receivers = _receivers(files, settings)
    policies = {named.name: named.value for named in files.policies.values() if named.value is not None}
    ruleset = Ruleset(
        rules=tuple(_rules(files)),
        enrich=tuple(named.value for named in files.enrich.values() if named.value is not None),
        routes=tuple(_routes(files)),
        policies=_with_built_in(policies, receivers),
        receivers=receivers,
        people={named.name: named.value for named in files.people.values() if named.value is not None},
        teams={named.name: named.value for named in files.teams.values() if named.value is not None},
        schedules={named.name: named.value for named in files.schedules.values() if named.value is not None},
        sources={word: one.source for word, one in settings.sources.items()} if settings else {},
        priority=files.priority or PriorityTable(),
        inhibitions=tuple(named.value for named in files.inhibitions.values() if named.value is not None),
        times={named.name: named.value for named in files.times.values() if named.value is not None},
        maintenance=tuple(_maintenance(files)),
        topology=files.mapped.topology(),
        heartbeats=tuple(named.value for named in files.heartbeats.values() if named.value is not None),
        storm=settings.storm if settings else Storm(),
        fallback=settings.fallback if settings else "",
        tee=settings.tee if settings else False,
        external_url=settings.external_url if settings else "",
        bounds=(settings or Settings()).limits.engine_bounds(),
    )
    return msgspec.structs.replace(ruleset, config_hash=config_hash(ruleset))


def _receivers(files: RuleFiles, settings: Settings | None) -> dict[str, Receiver]:
    if settings is not None:
        return {word: one.receiver for word, one in settings.receivers.items()}
    named = dict.fromkeys(reference.name for reference in files.references if reference.kind == "receiver")
    return {word: Receiver(name=word) for word in named or (DEFAULT,)}


def _with_built_in(policies: dict[str, Policy], receivers: Iterable[str]) -> dict[str, Policy]:
    """With the built-in policies whose names nobody has taken."""
    built_in = {DEFAULT: built_in_policy(tuple(receivers)), NOBODY: Policy(name=NOBODY, steps=(), remind=None)}
    return policies | {word: policy for word, policy in built_in.items() if word not in policies}


def _rules(files: RuleFiles) -> Iterator[Rule]:
    """In the order of the files, the rule `default` last wherever it stands.

    Where it has a match or a condition, the built-in one stands behind it under another name: the last takes every
    alert.
    """
    rules = {named.name: named.value for named in files.rules.values() if named.value is not None}
    last = rules.pop(DEFAULT, BUILT_IN_RULE)
    yield from rules.values()
    yield last
    if last.match != MATCH_ALL or last.when is not None:
        yield msgspec.structs.replace(BUILT_IN_RULE, name=BUILT_IN_NAME)


def _maintenance(files: RuleFiles) -> Iterator[Maintenance]:
    for planned in files.maintenance.values():
        if planned.value is not None:
            named = files.times.get(planned.value.during)
            yield planned.value.resolved(named.value if named is not None else None)


def _routes(files: RuleFiles) -> Iterator[Route]:
    yield from (placed.route for placed in files.routes)
    if files.matchless_route is not None:
        yield files.matchless_route.route


def config_hash(ruleset: Ruleset) -> str:
    """Names what decides, by content: 12 hex digits. Comments, the order of keys, file names and lines do not count."""
    content = msgspec.structs.replace(
        ruleset,
        config_hash="",
        rules=tuple(msgspec.structs.replace(rule, where="") for rule in ruleset.rules),
        heartbeats=tuple(msgspec.structs.replace(one, where="") for one in ruleset.heartbeats),
    )
    return blake2b(_encode(content), digest_size=HASH_BYTES).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Template | Condition | Table | Calendar):
        return value.source
    raise TypeError(f"{type(value)} has no place in a Ruleset")


_encode = msgspec.json.Encoder(enc_hook=_plain, order="sorted").encode

"""Every code of a diagnostic, once. Codes are stable and never reused; docs/errors.md has a section for each.

R0 shape of a document, R1 the file as YAML, R2 small grammars, R3 config.yaml, R4 rule files, R5 names across files,
R6 enrichment, R7 test files.
W are lints: they never stop anything, `--strict` turns them into exit 1.
"""

from __future__ import annotations

MISSING_KEY = "R002"
UNKNOWN_KEY = "R003"
WRONG_TYPE = "R004"
NOT_ONE_OF = "R005"
OUT_OF_BOUNDS = "R006"
DUPLICATE_KEY = "R007"
NOT_BUILT = "R008"
EMPTY = "R009"
EXCLUSIVE_KEYS = "R010"

UNREADABLE = "R101"
TOO_LARGE = "R102"
NOT_UTF8 = "R103"
BYTE_ORDER_MARK = "R104"
CONTROL_CHARACTER = "R105"
YAML_SYNTAX = "R106"
TAB = "R107"
ALIAS = "R108"
TAG = "R109"
TOO_DEEP = "R110"
SECOND_DOCUMENT = "R111"
BAD_KEY = "R112"
OUTSIDE = "R113"
EMPTY_FILE = "R114"

BAD_DURATION = "R201"
BAD_MATCHER = "R202"
BAD_REGEX = "R203"
BAD_TEMPLATE = "R204"
BAD_URL = "R205"
BAD_ADDRESS = "R206"
BAD_NAME = "R207"
BAD_TIMEZONE = "R208"
BAD_TARGET = "R209"
BAD_ENTITY = "R210"
TEMPLATE_FAILS = "R211"
BAD_MAIL_ADDRESS = "R212"
BAD_CONDITION = "R220"
CONDITION_EXTRA = "R221"
CALENDAR_EXTRA = "R222"
BAD_TIME = "R230"
BAD_PATH = "R241"

OPEN_TO_ALL = "R301"
SECRET_UNREADABLE = "R302"  # noqa: S105
SECRET_UNSET = "R303"  # noqa: S105
BAD_SECRET = "R304"  # noqa: S105
RECEIVER_UNAVAILABLE = "R305"
BAD_STORE = "R307"
NOT_OF_THIS_TYPE = "R321"
READS_NOTHING = "R322"
KEY_TAKEN = "R323"
SIGNATURE_EXTRA = "R324"

NAME_TAKEN = "R401"
SECOND_PRIORITY = "R402"
SECOND_MATCHLESS_ROUTE = "R403"
BAD_REACH = "R404"
ALL_LABELS_AND_MORE = "R405"
BAD_PROMETHEUS_RULES = "R406"
BAD_ROTATION = "R407"
BAD_CALENDAR = "R408"

UNKNOWN_RECEIVER = "R501"
UNKNOWN_POLICY = "R502"
UNKNOWN_PERSON = "R503"
UNKNOWN_SCHEDULE = "R504"
UNKNOWN_TEAM = "R505"
UNKNOWN_TIMES = "R510"

BAD_TABLE = "R601"
UNKNOWN_COLUMN = "R602"
NOTHING_NAMED = "R603"
BAD_RELABEL = "R604"

BAD_MOMENT = "R701"
UNKNOWN_ALERT = "R702"
OUT_OF_ORDER = "R703"
NOTHING_EXPECTED = "R704"
UNKNOWN_SILENCE = "R705"

BUILT_IN_POLICY_PAGES = "W001"
UNUSED_RECEIVER = "W002"
UNUSED_POLICY = "W003"
UNUSED_PERSON = "W004"
UNREACHABLE_RULE = "W005"
BUILT_IN_RULE_TAKES = "W006"
NO_RECEIVER = "W007"
NO_RULE_FILE = "W008"
OPEN_BEYOND_LOOPBACK = "W009"
TARGET_TAKES_NO_PAGES = "W010"
OPENS_AT_ONCE = "W011"
NEVER_OPENS = "W012"
HOLD_OUTLASTS_WINDOW = "W013"
TABLE_KEY_TWICE = "W020"
NEVER_OCCURS = "W030"
UNUSED_TIMES = "W031"
MUTES_NOTHING = "W032"
MUTES_EVERYWHERE = "W033"
NEVER_MATCHES = "W050"
LOOKS_LIKE_REGEX = "W051"
EMPTY_GROUP_LABEL = "W052"
HOLD_OUTLASTS_GAP = "W053"
NEVER_RAISES = "W054"
RELATED_APART = "W055"
TAKES_NEARLY_ALL = "W056"
P1_QUIET = "W057"
NO_RUNBOOK = "W058"
NOT_MONOTONE = "W059"
TEMPLATE_FAILS_AT_TIMES = "W080"
NO_PLACE_FOR_KIND = "W081"
UNREACHABLE_ROUTE = "W062"
ALLOWS_NOTHING = "W063"
TYPOGRAPHIC_QUOTES = "W064"
PAGES_NOBODY = "W065"
QUIET_WITHOUT_END = "W061"
UNUSED_SCHEDULE = "W040"
UNUSED_TEAM = "W041"
SCHEDULE_GAP = "W042"
NEVER_RESOLVES = "W060"
SOURCES_ALIKE = "W071"
LEADS_NOWHERE = "W090"
NO_CAUSE_KNOWN = "W091"
CONTAINS_ITSELF = "W092"

TITLES = {
    MISSING_KEY: "a key that must be there is missing",
    UNKNOWN_KEY: "unknown key",
    WRONG_TYPE: "a value of the wrong type",
    NOT_ONE_OF: "a value that is none of those allowed",
    OUT_OF_BOUNDS: "a number, duration or text out of bounds",
    DUPLICATE_KEY: "a key stands twice in one map",
    NOT_BUILT: "not built in this version",
    EMPTY: "an empty value where something must stand",
    EXCLUSIVE_KEYS: "keys that exclude each other",
    UNREADABLE: "a file or folder cannot be read",
    TOO_LARGE: "a file is too large",
    NOT_UTF8: "a file is not UTF-8",
    BYTE_ORDER_MARK: "a file starts with a byte order mark",
    CONTROL_CHARACTER: "a character that may not stand there",
    YAML_SYNTAX: "not valid YAML",
    TAB: "a tab where YAML wants spaces",
    ALIAS: "anchors, aliases and merge keys are not taken",
    TAG: "tags are not taken",
    TOO_DEEP: "nested too deep",
    SECOND_DOCUMENT: "a second document in one file",
    BAD_KEY: "a key that is not text",
    OUTSIDE: "a file outside the folder",
    EMPTY_FILE: "a file with nothing in it",
    BAD_DURATION: "not a duration",
    BAD_MATCHER: "not a matcher",
    BAD_REGEX: "not a regular expression",
    BAD_TEMPLATE: "a template does not compile",
    BAD_URL: "not a URL",
    BAD_ADDRESS: "not an address to listen on",
    BAD_NAME: "not a name",
    BAD_TIMEZONE: "unknown time zone",
    BAD_TARGET: "not a target",
    BAD_ENTITY: "not an entity's template",
    TEMPLATE_FAILS: "a template fails on every message",
    BAD_MAIL_ADDRESS: "not a mail address",
    BAD_CONDITION: "a condition does not compile",
    CONDITION_EXTRA: "a condition needs an extra that is not installed",
    CALENDAR_EXTRA: "a calendar needs an extra that is not installed",
    BAD_TIME: "not a time",
    BAD_PATH: "not a path in a body",
    OPEN_TO_ALL: "listening beyond loopback without auth",
    SECRET_UNREADABLE: "a secret's file cannot be read",
    SECRET_UNSET: "a secret names a variable that is not set",
    BAD_SECRET: "a secret of the wrong form",
    RECEIVER_UNAVAILABLE: "a receiver type is not available",
    BAD_STORE: "not a store",
    NOT_OF_THIS_TYPE: "a key that does not go with the source's type",
    READS_NOTHING: "a value that is the same for every body",
    KEY_TAKEN: "two sources have the same key",
    SIGNATURE_EXTRA: "signatures need an extra that is not installed",
    NAME_TAKEN: "a name is used twice",
    SECOND_PRIORITY: "priority stands in two files",
    SECOND_MATCHLESS_ROUTE: "a second route without a match",
    BAD_REACH: "ways to reach a person that do not add up",
    ALL_LABELS_AND_MORE: "'...' stands beside other labels",
    BAD_PROMETHEUS_RULES: "a Prometheus rule file says nothing of alerts",
    BAD_ROTATION: "a rotation's keys make no turns",
    BAD_CALENDAR: "a calendar that cannot be a layer",
    UNKNOWN_RECEIVER: "unknown receiver",
    UNKNOWN_POLICY: "unknown policy",
    UNKNOWN_PERSON: "unknown person",
    BAD_TABLE: "a table is not read as one",
    UNKNOWN_COLUMN: "unknown column of a table",
    NOTHING_NAMED: "an extraction names no group",
    BAD_RELABEL: "relabelling keys that do not go together",
    UNKNOWN_SCHEDULE: "unknown schedule",
    UNKNOWN_TEAM: "unknown team",
    UNKNOWN_TIMES: "unknown times",
    BAD_MOMENT: "not a time of a test",
    UNKNOWN_ALERT: "a test names an alert that it does not have",
    OUT_OF_ORDER: "times of a test are out of order",
    NOTHING_EXPECTED: "a test expects nothing",
    UNKNOWN_SILENCE: "a test ends a silence that it does not have",
    BUILT_IN_POLICY_PAGES: "some incidents go to the built-in policy",
    UNUSED_RECEIVER: "a receiver is never used",
    UNUSED_POLICY: "a policy is never used",
    UNUSED_PERSON: "a person is never paged",
    UNREACHABLE_RULE: "a rule can never take an alert",
    BUILT_IN_RULE_TAKES: "some alerts go to the built-in rule",
    NO_RECEIVER: "no receiver: nobody is paged",
    NO_RULE_FILE: "a folder holds no rule file",
    OPEN_BEYOND_LOOPBACK: "open to everyone who can connect",
    TARGET_TAKES_NO_PAGES: "a target does not take pages",
    OPENS_AT_ONCE: "open_when is met by the first alert",
    NEVER_OPENS: "open_when can never be met",
    HOLD_OUTLASTS_WINDOW: "hold is longer than the window of open_when",
    TABLE_KEY_TWICE: "a table has two rows for one key",
    NEVER_OCCURS: "a window never occurs",
    UNUSED_TIMES: "times are never used",
    MUTES_NOTHING: "an inhibition mutes nothing",
    MUTES_EVERYWHERE: "an inhibition mutes everywhere at once",
    NEVER_MATCHES: "matchers that can never hold together",
    LOOKS_LIKE_REGEX: "a value looks like a regular expression",
    EMPTY_GROUP_LABEL: "a label of group_by is always empty",
    HOLD_OUTLASTS_GAP: "hold is longer than an incident takes alerts in",
    NEVER_RAISES: "raise can never raise",
    RELATED_APART: "rules with relate share no incidents",
    TAKES_NEARLY_ALL: "what keeps quiet takes nearly everything",
    P1_QUIET: "P1 incidents of which nobody hears",
    NO_RUNBOOK: "P1 incidents without a runbook",
    NOT_MONOTONE: "a priority falls where impact or urgency rises",
    TEMPLATE_FAILS_AT_TIMES: "a template fails on some messages",
    NO_PLACE_FOR_KIND: "a kind of message that the service has no place for",
    UNREACHABLE_ROUTE: "a route can never be taken",
    QUIET_WITHOUT_END: "a maintenance never ends",
    ALLOWS_NOTHING: "a comment allows nothing",
    TYPOGRAPHIC_QUOTES: "quotes or an operator that are none",
    PAGES_NOBODY: "an escalation that ends in nobody",
    UNUSED_SCHEDULE: "a schedule is never used",
    UNUSED_TEAM: "a team is never used",
    SCHEDULE_GAP: "a schedule has nobody on call",
    NEVER_RESOLVES: "nothing resolves the alerts of a source",
    SOURCES_ALIKE: "two sources of one type have the same labels",
    LEADS_NOWHERE: "edges of the map lead nowhere",
    CONTAINS_ITSELF: "entities contain each other",
    NO_CAUSE_KNOWN: "an incident is to end with a cause that nothing finds",
}

"""Which case of the shared suite each receiver has, by name of the test (`python -m tests.channels.test_matrix`).

What speaks HTTP has all of them by `test_suite`, each against its vendor's server. Of the others a case that their way
has no word for (a mail server sends no Retry-After) stands as "-", with what takes its place in a test of their own."""

from __future__ import annotations

import ast
from pathlib import Path

from imd.channels import CHANNELS
from tests.channels.vendors import VENDORS

HERE = Path(__file__).parent
SUITE = {
    "success": "test_each_kind_is_taken",
    "edit, reply, resolve": "test_the_whole_story_is_taken",
    "documented errors": "test_documented_errors_that_do_not_pass",
    "errors that pass": "test_documented_errors_that_pass",
    "429 Retry-After": "test_retry_after_is_honoured",
    "5xx": "test_failures_by_status",
    "time-out, reset": "test_no_answer_is_ambiguous_and_bounded",
    "failing later on": "test_what_follows_is_tried_again_too",
    "malformed body": "test_a_malformed_body_on_200",
    "over-long": "test_what_is_far_too_long_is_cut",
    "non-ASCII, CRLF, markup": "test_whatever_labels_hold_is_taken",
    "no secret": "test_no_secret_is_in_log_metric_or_store",
    "redirects": "test_redirects_are_not_followed",
    "same at each attempt": "test_attempts_of_one_message_are_alike",
}
EACH_PLAIN = {
    "success": "test_plain.test_each_kind_is_taken_whatever_it_holds",
    "edit, reply, resolve": "test_plain.test_the_whole_story_is_taken",
    "documented errors": "test_plain.test_what_cannot_be_taken_is_no_receipt",
    "over-long": "test_plain.test_each_kind_is_taken_whatever_it_holds",
    "non-ASCII, CRLF, markup": "test_plain.test_each_kind_is_taken_whatever_it_holds",
    "no secret": "test_plain.test_no_secret_is_in_log_metric_or_store",
}
OWN: dict[str, dict[str, str]] = {
    "email": {
        "documented errors": "test_email.test_four_passes_and_five_does_not",
        "errors that pass": "test_email.test_those_put_off_are_tried_again_alone",
        "5xx": "test_email.test_all_refused_is_a_refusal",
        "time-out, reset": "test_email.test_reset_while_the_mail_leaves_is_ambiguous",
        "malformed body": "test_email.test_a_server_that_does_not_talk",
        "edit, reply, resolve": "test_email.test_all_mails_of_an_incident_are_one_thread",
        "same at each attempt": "test_email.test_a_mail_has_one_message_id_over_its_attempts",
    },
    "apprise": {
        "errors that pass": "test_apprise.test_a_no_is_tried_again",
        "5xx": "test_apprise.test_a_no_is_tried_again",
        "time-out, reset": "test_apprise.test_a_stuck_service_is_given_up_in_time",
    },
    "exec": {
        "errors that pass": "test_local.test_exit_codes",
        "documented errors": "test_local.test_exit_codes",
        "time-out, reset": "test_local.test_the_whole_group_is_killed",
    },
    "file": {
        "errors that pass": "test_local.test_a_full_disk_leaves_no_half_line",
        "malformed body": "test_local.test_a_line_torn_by_a_kill_is_dropped",
    },
    "console": {"errors that pass": "test_local.test_a_reader_that_went_away_is_temporary"},
}
ORACLES = {
    "webhook": ("standardwebhooks", "test_webhook.test_the_signature_verifies"),
    "pagerduty": ("pagerduty", "test_oracles.test_pagerduty_events_are_those_of_its_sdk"),
    "opsgenie": ("opsgenie_sdk", "test_sdks.test_opsgenie_calls_are_those_of_its_sdk"),
    "slack": ("slack_sdk", "test_oracles.test_slack_calls_are_those_of_its_sdk"),
    "slack-webhook": ("slack_sdk", "test_oracles.test_slack_webhooks_are_those_of_its_sdk"),
    "teams": ("apprise", "test_oracles.test_fields_are_those_that_apprise_sends"),
    "telegram": ("python-telegram-bot", "test_sdks.test_telegram_calls_are_those_of_python_telegram_bot"),
    "discord": ("discord.py", "test_sdks.test_discord_messages_are_those_of_discord_py"),
    "mattermost": ("mattermostautodriver", "test_sdks.test_mattermost_posts_are_those_of_its_driver"),
    "mattermost-webhook": ("apprise", "test_oracles.test_the_same_text_is_the_same_fields"),
    "ntfy": ("apprise", "test_oracles.test_the_same_text_is_the_same_fields"),
    "pushover": (
        "pushover_complete, apprise",
        "test_sdks.test_pushovers_receipts_are_asked_and_cancelled_as_its_library_does",
    ),
    "twilio": ("twilio", "test_oracles.test_sms_and_calls_are_those_of_twilios_sdk"),
    "twilio-voice": ("twilio", "test_oracles.test_sms_and_calls_are_those_of_twilios_sdk"),
    "matrix": ("matrix-nio, apprise", "test_sdks.test_matrix_events_are_those_of_matrix_nio"),
    "webex": ("webexpythonsdk, apprise", "test_sdks.test_webex_messages_are_those_of_its_sdk"),
    "victorops": ("apprise", "test_oracles.test_the_same_text_is_the_same_fields"),
    "servicenow": ("pysnc; changes: documented example", "test_sdks.test_servicenow_records_are_those_of_its_sdk"),
    "email": ("email of the standard library reads it", "test_email.test_a_page_is_a_mail_in_plain_text_and_html"),
}
"""Whose request ours is held against, and where. A program, a file, a screen and apprise itself have none."""


def matrix() -> dict[str, dict[str, str]]:
    """By receiver and form, the case and the test that is it."""
    by_http = {name: {case: f"test_suite.{test}" for case, test in SUITE.items()} for name in VENDORS}
    return by_http | {name: EACH_PLAIN | own for name, own in OWN.items()}


def _tests(module: str) -> set[str]:
    tree = ast.parse((HERE / f"{module}.py").read_text())
    return {one.name for one in tree.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_receiver_has_a_row() -> None:
    kinds = {vendor.kind for vendor in VENDORS.values()}
    assert kinds | set(OWN) == set(CHANNELS)


def test_every_vendor_has_an_oracle() -> None:
    assert set(ORACLES) == {*VENDORS, "email"}


def test_every_case_is_a_test_that_is_there() -> None:
    wanted = {test for cases in matrix().values() for test in cases.values()}
    wanted |= {test for _, test in ORACLES.values()}
    known = {f"{module}.{name}" for module in {test.partition(".")[0] for test in wanted} for name in _tests(module)}
    assert wanted <= known, wanted - known


def test_every_case_of_the_suite_runs_for_every_vendor() -> None:
    """None of them leaves a vendor out: `name` is the fixture over all."""
    tree = ast.parse((HERE / "test_suite.py").read_text())
    functions = {one.name: one for one in tree.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
    for test in SUITE.values():
        assert "name" in {argument.arg for argument in functions[test].args.args}, test


def main() -> None:
    cases = list(SUITE)
    print(f"{'receiver':20}" + "".join(f"{case[:11]:12}" for case in cases))
    for name, row in matrix().items():
        print(f"{name:20}" + "".join(f"{'yes' if case in row else '-':12}" for case in cases))
    print()
    for name, (oracle, test) in ORACLES.items():
        print(f"{name:20}{oracle:40}{test}")


if __name__ == "__main__":
    main()

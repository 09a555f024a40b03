"""CloudWatch alarms by Amazon SNS: an envelope that holds the alarm as JSON in a text.

Source: recorded bodies (tests/payloads), and docs.aws.amazon.com, Fanout to HTTPS endpoints (read 2026-11-21). SNS
posts JSON as text/plain. With raw message delivery there is no envelope. An alarm that goes to INSUFFICIENT_DATA posts
only where an action was asked for: so it fires, as a warning, until it is OK again.

Messages about the subscription itself say nothing of an alert; confirming one is the API's (`api.sns`).
"""

from __future__ import annotations

from imd.model.bodymap import BodyMap
from imd.sources.shapes import is_, moment, path, there, value

_SEVERITY = {"alarm": "critical", "insufficient_data": "warning"}
_REGION = r"arn:[^:]*:[^:]*:([^:]+):.*"


def _alarm(at: str) -> BodyMap:
    """`at` is where its fields stand: in the envelope's message, or at the top."""
    return BodyMap(
        when=there(f"{at}AlarmName"),
        json=(path("Message"),),
        resolved=is_(f"{at}NewStateValue", "OK"),
        firing=is_(f"{at}NewStateValue", "ALARM|INSUFFICIENT_DATA"),
        key=value(f"{{{at}AlarmArn}}", f"{{{at}AWSAccountId}}/{{{at}Region}}/{{{at}AlarmName}}", f"{{{at}AlarmName}}"),
        labels={
            "alertname": value(f"{{{at}AlarmName}}"),
            "severity": value(f"{{{at}NewStateValue}}", table=_SEVERITY),
            "account": value(f"{{{at}AWSAccountId}}"),
            "aws_region": value(f"{{{at}AlarmArn}}", "{TopicArn}", regex=_REGION),
            "aws_namespace": value(f"{{{at}Trigger.Namespace}}"),
            "metric": value(f"{{{at}Trigger.MetricName}}"),
        },
        spread_labels=(
            path(f"{at}Trigger.Dimensions"),
            path(f"{at}Trigger.Metrics[*].MetricStat.Metric.Dimensions[*]"),
        ),
        annotations={
            "summary": value(f"{{{at}NewStateReason}}"),
            "description": value(f"{{{at}AlarmDescription}}"),
            "topic": value("{TopicArn}"),
        },
        at=moment(f"{{{at}StateChangeTime}}", "{Timestamp}"),
    )


MAPS = (
    _alarm("Message."),
    _alarm(""),
    BodyMap(
        when=is_("Type", "SubscriptionConfirmation|UnsubscribeConfirmation"),
        ignore=there("Type"),
        labels={"alertname": value("{Type}")},
    ),
)

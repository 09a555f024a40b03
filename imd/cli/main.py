"""The command `imd`: from arguments to an exit code.

0: done. 1: faults found, or the daemon refused or failed. 2: used wrongly, a path that does not exist too.

Knows which module runs which command and nothing of what they do. Imports are late, so that `imd --help` and the
commands to a running daemon start in a tenth of a second.
"""

from __future__ import annotations

import io
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence

from imd.cli.arguments import build_parser
from imd.cli.failure import Failed, Misused

DONE, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. `argv` without the program's name; None takes the process's own."""
    _settle_streams()
    try:
        given = [_text(one) for one in (sys.argv[1:] if argv is None else argv)]
    except Misused as misuse:
        return _complain(str(misuse), MISUSED)
    arguments = build_parser().parse_args(given)
    run = _RUN[arguments.command]
    try:
        code = run(arguments)
        sys.stdout.flush()
        return code
    except Misused as misuse:
        return _complain(str(misuse), MISUSED)
    except Failed as failure:
        return _complain(str(failure), FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()  # whoever read it has seen enough: `imd incidents | head`
        return FAILED
    except OSError as error:
        if arguments.command == "serve":
            raise
        _drop_output()
        return _complain(f"{error.filename or 'standard output'}: {error.strerror or error}", FAILED)


def _settle_streams() -> None:
    """Streams that were closed are as good as /dev/null, and no character stops what a terminal cannot show."""
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.encoding.lower() not in ("utf-8", "utf8"):
        sys.stdout.reconfigure(errors="replace")


def _text(argument: str) -> str:
    """The argument's bytes as UTF-8, whatever the locale made of them."""
    if argument.isascii():
        return argument
    try:
        argument.encode()
    except UnicodeEncodeError:
        try:
            return os.fsencode(argument).decode("utf-8")
        except UnicodeError:
            raise Misused(f"the argument {argument!a} is not UTF-8") from None
    return argument


def _drop_output() -> None:
    """What is left of it goes nowhere: Python would complain once more when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(text: str, code: int) -> int:
    print(f"imd: {text}", file=sys.stderr)
    return code


def _serve(arguments: Namespace) -> int:
    if not arguments.config.is_file():
        raise Misused(f"no such file: {arguments.config}")
    from imd.daemon import app

    return app.run(arguments.config)


def _check(arguments: Namespace) -> int:
    from imd.cli import offline

    return offline.check(arguments)


def _send(arguments: Namespace) -> int:
    from imd.cli import sending

    return sending.run(arguments)


def _mail(arguments: Namespace) -> int:
    from imd.cli import mail

    return mail.run(arguments)


def _work(arguments: Namespace) -> int:
    from imd.cli import incidents

    return incidents.run(arguments)


def _heartbeat(arguments: Namespace) -> int:
    from imd.cli import heartbeats

    return heartbeats.run(arguments)


def _quiet(arguments: Namespace) -> int:
    from imd.cli import quiet

    return quiet.run(arguments)


def _on_call(arguments: Namespace) -> int:
    from imd.cli import oncall

    return oncall.run(arguments)


def _observe(arguments: Namespace) -> int:
    from imd.cli import observing

    return observing.run(arguments)


def _test(arguments: Namespace) -> int:
    from imd.cli import testing

    return testing.run(arguments)


def _schema(arguments: Namespace) -> int:
    from imd.cli import schema

    return schema.run(arguments)


def _replay(arguments: Namespace) -> int:
    from imd.cli import replaying

    return replaying.run(arguments)


def _explain(arguments: Namespace) -> int:
    from imd.cli import explaining

    return explaining.run(arguments)


def _backtest(arguments: Namespace) -> int:
    from imd.cli import backtesting

    return backtesting.run(arguments)


def _journal(arguments: Namespace) -> int:
    from imd.cli import journal

    return journal.export(arguments)


def _database(arguments: Namespace) -> int:
    from imd.cli import database

    return database.run(arguments)


def _import(arguments: Namespace) -> int:
    from imd.cli import importing

    return importing.run(arguments)


def _tee(arguments: Namespace) -> int:
    from imd.cli import teeing

    return teeing.run(arguments)


_RUN: dict[str, Callable[[Namespace], int]] = {
    "serve": _serve,
    "check": _check,
    "heartbeat": _heartbeat,
    "send": _send,
    "page": _send,
    "mail": _mail,
    "incidents": _work,
    "why": _work,
    "ack": _work,
    "unack": _work,
    "resolve": _work,
    "snooze": _work,
    "assign": _work,
    "responder": _work,
    "escalate": _work,
    "reopen": _work,
    "close": _work,
    "merge": _work,
    "split": _work,
    "note": _work,
    "silence": _quiet,
    "maintenance": _quiet,
    "pause": _quiet,
    "oncall": _on_call,
    "alerts": _observe,
    "deliveries": _observe,
    "rejected": _observe,
    "status": _observe,
    "test": _test,
    "schema": _schema,
    "replay": _replay,
    "backtest": _backtest,
    "explain": _explain,
    "journal": _journal,
    "db": _database,
    "import": _import,
    "tee": _tee,
}

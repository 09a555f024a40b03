"""Rows in statements of several: all of them, once, in their order."""

from __future__ import annotations

import apsw
import pytest

from imd.store.sqlite_many import Insert


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 63, 64, 65, 72, 200])
def test_every_row_is_written_in_its_order(count: int) -> None:
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE word (place INTEGER PRIMARY KEY, id INTEGER UNIQUE, text TEXT)")
    rows = [(3 * number, f"row {number}") for number in range(count)]
    Insert("INSERT INTO word (id, text)", "(?, ?)").put(connection, rows)
    assert [row[1:] for row in connection.execute("SELECT * FROM word ORDER BY place")] == rows


def test_the_last_word_on_a_row_holds() -> None:
    """Within one statement and across two."""
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE word (id INTEGER PRIMARY KEY, text TEXT)")
    insert = Insert("INSERT INTO word (id, text)", "(?, ?)", "ON CONFLICT (id) DO UPDATE SET text = excluded.text")
    insert.put(connection, {number: (number % 5, f"row {number}") for number in range(70)}.values())
    assert list(connection.execute("SELECT * FROM word")) == [(n, f"row {65 + n}") for n in range(5)]

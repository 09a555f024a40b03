"""A Secret shows itself by reveal() alone."""

from __future__ import annotations

import copy
import pickle

import msgspec
import pytest

from imd.model.secret import Secret


def test_a_secret_does_not_show() -> None:
    """In no text form, in no encoding, by no copy."""
    secret = Secret("canary")
    assert "canary" not in f"{secret} {secret!r} {[secret]} {secret!s:>20}"
    assert secret.reveal() == "canary"
    for leak in (pickle.dumps, msgspec.json.encode, copy.copy):
        with pytest.raises(TypeError) as raised:
            leak(secret)
        assert "canary" not in str(raised.value)


def test_secrets_are_equal_by_text() -> None:
    """For a reload to see that nothing changed."""
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1

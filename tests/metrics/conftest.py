"""Fixtures of the metric tests."""

import jaxtyping
import pytest


@pytest.fixture
def unchecked(monkeypatch):
    """Without run-time annotation checks: a user has none, so the functions' own sentences are tested."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)

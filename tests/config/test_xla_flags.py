"""Flags of XLA in the environment."""

from __future__ import annotations

import pytest

from keras_retinanet.config import xla_flags
from keras_retinanet.config.xla_flags import CLUSTER_FLAGS, VARIABLE, allow_clusters, has_clusters


@pytest.mark.parametrize(("given", "expected"), [({}, CLUSTER_FLAGS), ({VARIABLE: "--xla_a=9"}, "--xla_a=9")])
def test_what_the_user_says_has_precedence(
    given: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = dict(given)
    monkeypatch.setattr(xla_flags.os, "environ", environment)
    assert not has_clusters()
    allow_clusters()
    assert environment == {VARIABLE: expected}
    assert has_clusters() is not bool(given)

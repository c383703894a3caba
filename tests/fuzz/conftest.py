"""Keras is started as the workflow does, once a process, before a test uses it by itself."""

import pytest

from at4ramt.training.backend import start_backend


@pytest.fixture(scope="session", autouse=True)
def backend() -> None:
    start_backend(1, 0)

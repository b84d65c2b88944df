"""The lab's fixtures serve the contract too."""

from tests.lab.conftest import (  # noqa: F401 - pytest finds fixtures and hooks by their names here
    definition,
    host,
    lab,
    pair,
    peer,
    pytest_generate_tests,
    wire,
)

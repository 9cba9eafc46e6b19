"""Fixtures of the tests of the book: the built site, and the extensions that build it."""

import importlib.util
from pathlib import Path

import pytest
from browsing import address, browser, site, visit  # noqa: F401

EXTENSIONS = Path(__file__).resolve().parents[2] / "book" / "_extensions"


@pytest.fixture(scope="session")
def load_extension():
    """``load_extension(name)`` imports one of the book's Sphinx extensions by its name."""

    def load(name: str):
        spec = importlib.util.spec_from_file_location(name, EXTENSIONS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load

"""Fixtures of the tests that read the built site."""

from browsing import address, browser, pages, site, visit  # noqa: F401

"""Addresses of databases may hold logins, which no message may tell."""

from __future__ import annotations

from sqlalchemy import make_url


def without_login_of(address: str, text: str) -> str:
    """What is told of a database, without its address and password.

    Raises ArgumentError or ValueError for an address that SQLAlchemy cannot read.
    """
    url = make_url(address)
    # An @ in a password must be written %40: else what comes after it is taken for the host.
    rest, at, _ = (url.host or "").rpartition("@")
    for secret in filter(None, (address, url.password and str(url.password), rest + at)):
        text = text.replace(secret, "***")
    return text

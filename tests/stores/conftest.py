# SPDX-License-Identifier: MIT
"""The servers that tests of this folder may ask for."""

from __future__ import annotations

from tests.stores.servers import postgres_url, valkey_socket

__all__ = ["postgres_url", "valkey_socket"]

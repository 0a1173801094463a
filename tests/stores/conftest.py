# SPDX-License-Identifier: MIT
"""The servers that tests of this folder may ask for."""

from __future__ import annotations

from tests.servers.redis import redis_cluster_port, redis_url, valkey_socket
from tests.stores.servers import postgres_url

__all__ = ["postgres_url", "redis_cluster_port", "redis_url", "valkey_socket"]

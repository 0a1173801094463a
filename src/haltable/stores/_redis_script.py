# SPDX-License-Identifier: MIT
"""What a record is on Redis: one hash a key, and the scripts that read and change it.

It knows names, bytes and replies, and no connection.  A deleted record keeps
its version, and a version is never below the server's time in microseconds, so
that none is given out twice: not after a delete, and not after the server has
forgotten all, or a replica that lacked the last writes took over.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import attrs

from haltable.store import Entry

__all__ = ["ABOUT", "PAGE", "RECORD", "Script", "entry_of", "key_of", "name_of", "pattern_of"]

#: How many names the server looks at for one page of a scan.
KEYS_A_PAGE = 200

_SPECIAL = re.compile(rb"([\\*?\[\]^-])")


@attrs.frozen
class Script:
    """A script, and the digest under which a server remembers it."""

    text: str
    digest: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        # The server's own name for a script; nothing is kept safe by it.
        digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "digest", digest)


#: Reads, writes or deletes one record.  The only command that changes something
#: is the last one, so that a script that ends in an error has changed nothing.
RECORD = Script("""\
local value, version, written =
    unpack(redis.call('HMGET', KEYS[1], 'value', 'version', 'written'))
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if ARGV[1] == 'read' or (value and version or '0') ~= ARGV[2] then
    if not value then
        return {0}
    end
    return {0, value, tonumber(version), now - written}
end
if ARGV[1] == 'delete' then
    return {redis.call('HDEL', KEYS[1], 'value', 'written')}
end
local following = math.max(now, (tonumber(version) or 0) + 1)
redis.call('HSET', KEYS[1], 'value', ARGV[3],
    'version', string.format('%.0f', following), 'written', string.format('%.0f', now))
return {1, following}
""")

#: Reads one page of records whose names match a pattern.
PAGE = Script(f"""\
local cursor, names =
    unpack(redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', {KEYS_A_PAGE}))
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local found = {{}}
for _, name in ipairs(names) do
    if redis.call('TYPE', name).ok == 'hash' then
        local value, version, written =
            unpack(redis.call('HMGET', name, 'value', 'version', 'written'))
        if value and version and written then
            table.insert(found, {{name, value, tonumber(version), now - written}})
        end
    end
end
return {{cursor, found}}
""")

#: Asks the server about itself, in words that no client reads for us.
ABOUT = Script("return redis.call('INFO')")


def name_of(prefix: str, key: str) -> bytes:
    """Returns the name under which Redis holds a key; any text has one."""
    return f"{prefix}{key}".encode("utf-8", "surrogatepass")


def key_of(prefix: str, name: bytes) -> str:
    """Returns the key that is held under a name."""
    return name.decode("utf-8", "surrogatepass").removeprefix(prefix)


def pattern_of(prefix: str, start: str) -> bytes:
    """Returns the pattern that matches the names of keys that start so, and nothing else."""
    return _SPECIAL.sub(rb"\\\1", name_of(prefix, start)) + b"*"


def entry_of(held: Sequence[Any]) -> Entry | None:
    """Returns the entry that a script found; nothing at all is an absent key."""
    if not held:
        return None
    value, version, microseconds = held
    return Entry(bytes(value), int(version), max(0.0, microseconds / 1e6))

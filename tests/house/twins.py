# SPDX-License-Identifier: MIT
"""Compares a file with its async twin: line under line the same, but for the waiting.

The async file's syntax tree is stripped of its ``await`` and ``async``, its
names are translated, and what is left must be the other file's tree.  What the
stripping hides, a forgotten ``await``, is looked for by itself.  It reads
sources as text and runs nothing.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator, Mapping
from typing import TypeGuard

import attrs

#: What Python itself calls the async half of something.
OF_PYTHON = {
    "AsyncGenerator": "Generator",
    "AsyncIterable": "Iterable",
    "AsyncIterator": "Iterator",
    "StopAsyncIteration": "StopIteration",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "aclosing": "closing",
    "aclose": "close",
    "anext": "next",
    "asynccontextmanager": "contextmanager",
}
#: Types that only say that a value must be awaited; the last argument is the value.
AWAITED_TYPES = {"Awaitable", "Coroutine"}


@attrs.frozen
class Twins:
    """Two sources that must say the same.

    Args:
        sync: the source that waits by blocking.
        awaiting: the source that waits by ``await``.
        renamed: names of the async source that are called otherwise in the sync one.
        only_sync: qualified names of functions and constants that have no async twin.
        only_async: qualified names of functions and constants that have no sync twin.
        verbs: what must be awaited when it is called, as it is written there
            (``ports.read``), besides what the async source defines itself.
    """

    sync: str
    awaiting: str
    renamed: Mapping[str, str] = attrs.field(factory=dict, kw_only=True)
    only_sync: frozenset[str] = attrs.field(default=frozenset(), kw_only=True)
    only_async: frozenset[str] = attrs.field(default=frozenset(), kw_only=True)
    verbs: frozenset[str] = attrs.field(default=frozenset(), kw_only=True)


def drifts(twins: Twins) -> list[str]:
    """Returns in words where the twins differ, an empty list if nowhere."""
    tree = ast.parse(twins.awaiting)
    found = _unawaited(tree, twins.verbs)
    ours = _definitions(ast.parse(twins.sync))
    theirs = _definitions(_Stripped({**OF_PYTHON, **twins.renamed}).visit(tree))
    found += [f"{name} has no async twin" for name in ours.keys() - theirs.keys() - twins.only_sync]
    found += [f"{name} has no sync twin" for name in theirs.keys() - ours.keys() - twins.only_async]
    found += [f"{name} has a twin after all" for name in twins.only_sync & theirs.keys()]
    found += [f"{name} has a twin after all" for name in twins.only_async & ours.keys()]
    found += [
        f"{name} is not there"
        for name in (twins.only_sync - ours.keys() | twins.only_async - theirs.keys())
    ]
    found += [f"{name} differs:\n{text}" for name, text in _differing(ours, theirs)]
    here, there = (
        [name for name in ours if name in theirs],
        [name for name in theirs if name in ours],
    )
    if here != there:
        found.append(f"the order differs: {here} and {there}")
    return sorted(found)


def world_verbs(tree: ast.AST) -> frozenset[str]:
    """Returns the names of a module's coroutine functions, those in its classes aside.

    An async generator is none: calling it is not awaited.
    """
    return frozenset(node.name for node in ast.iter_child_nodes(tree) if _is_coroutine(node))


def _is_coroutine(node: ast.AST) -> TypeGuard[ast.AsyncFunctionDef]:
    return isinstance(node, ast.AsyncFunctionDef) and not _yields(node)


def _yields(function: ast.AsyncFunctionDef) -> bool:
    waiting: list[ast.AST] = [*function.body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting += ast.iter_child_nodes(node)
    return False


def _unawaited(tree: ast.AST, verbs: frozenset[str]) -> list[str]:
    own = world_verbs(tree)
    methods = {node.name for node in ast.walk(tree) if _is_coroutine(node)} - own
    awaited = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Await)}
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and id(node) not in awaited:
            written = ast.unparse(node.func)
            method = isinstance(node.func, ast.Attribute) and node.func.attr in methods
            if method or written in verbs | own:
                found.append(f"line {node.lineno}: {written}() is not awaited")
    return found


def _last_name(function: ast.expr) -> str | None:
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return None


def _definitions(tree: ast.AST, prefix: str = "") -> dict[str, ast.stmt]:
    """Returns the functions and constants of a module and of its classes by their names."""
    found: dict[str, ast.stmt] = {}
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            found |= _definitions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for inner in ast.walk(node):
                _drop_docstring(inner)
            found[f"{prefix}{node.name}"] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            found[f"{prefix}{ast.unparse(target)}"] = node
    return found


def _drop_docstring(node: ast.AST) -> None:
    match node:
        case ast.FunctionDef(body=body) | ast.AsyncFunctionDef(body=body) | ast.ClassDef(body=body):
            match body:
                case [ast.Expr(value=ast.Constant(value=str())), *rest]:
                    node.body = rest or [ast.Pass()]


def _differing(ours: dict[str, ast.stmt], theirs: dict[str, ast.stmt]) -> Iterator[tuple[str, str]]:
    for name in ours.keys() & theirs.keys():
        if ast.dump(ours[name]) != ast.dump(theirs[name]):
            lines = [ast.unparse(tree[name]).splitlines() for tree in (ours, theirs)]
            yield name, "\n".join(difflib.unified_diff(*lines, "sync", "async", lineterm="", n=1))


def _as(kind: type[ast.stmt], node: ast.stmt) -> ast.stmt:
    return ast.copy_location(kind(**dict(ast.iter_fields(node))), node)


class _Stripped(ast.NodeTransformer):
    """Takes the waiting out of a tree."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def _named(self, name: str) -> str:
        return self._names.get(name, name)

    def visit_Await(self, node):
        return self.visit(node.value)

    def visit_AsyncFunctionDef(self, node):
        return self.visit(_as(ast.FunctionDef, node))

    def visit_AsyncWith(self, node):
        return self.visit(_as(ast.With, node))

    def visit_AsyncFor(self, node):
        return self.visit(_as(ast.For, node))

    def visit_comprehension(self, node):
        node.is_async = 0
        return self.generic_visit(node)

    def visit_Subscript(self, node):
        if _last_name(node.value) in AWAITED_TYPES:
            inner = node.slice
            return self.visit(inner.elts[-1] if isinstance(inner, ast.Tuple) else inner)
        return self.generic_visit(node)

    def visit_Name(self, node):
        node.id = self._named(node.id)
        return node

    def visit_Attribute(self, node):
        node.attr = self._named(node.attr)
        return self.generic_visit(node)

    def visit_FunctionDef(self, node):
        node.name = self._named(node.name)
        return self.generic_visit(node)

    def visit_ClassDef(self, node):
        node.name = self._named(node.name)
        return self.generic_visit(node)

    def visit_arg(self, node):
        node.arg = self._named(node.arg)
        return self.generic_visit(node)

    def visit_keyword(self, node):
        node.arg = None if node.arg is None else self._named(node.arg)
        return self.generic_visit(node)

    def visit_alias(self, node):
        node.name = ".".join(self._named(part) for part in node.name.split("."))
        return node

    def visit_ImportFrom(self, node):
        if node.module is not None:
            node.module = ".".join(self._named(part) for part in node.module.split("."))
        return self.generic_visit(node)

# SPDX-License-Identifier: MIT
"""What `@bounded_loop` gives back looks and behaves like the function that it was given."""

from __future__ import annotations

import copy
import functools
import inspect
import pickle
import sys

import pytest

from haltable import (
    ConfigurationError,
    ExitCondition,
    IterationCap,
    LoopTripped,
    MemoryStore,
    Status,
    bounded_loop,
)
from haltable.conditions import never, returned

once = bounded_loop(IterationCap(3), ExitCondition(success=returned))
thrice = bounded_loop(IterationCap(3), ExitCondition(success=never))
steps = bounded_loop(IterationCap(3))


def plain(url: str, /, *more: int, retries: int = 2, **named: str) -> str:
    """Fetches a page."""
    return f"{url} {more} {retries} {named}"


async def coroutine(url: str) -> str:
    """Fetches a page in a while."""
    return url


def generator(url: str):
    """Yields pages."""
    yield url


async def async_generator(url: str):
    """Yields pages in a while."""
    yield url


FUNCTIONS = [plain, coroutine, generator, async_generator]
fetch = once(plain)
fetch.__name__ = fetch.__qualname__ = "fetch"


class Site:
    """Methods of all kinds under the decorator."""

    def __init__(self, name="site"):
        self.name = name

    def __eq__(self, other):
        return self.name == other.name

    __hash__ = None

    @once
    def page(self, url: str, *, deep: bool = False) -> str:
        """Fetches one page."""
        return f"{self.name} {url} {deep}"

    @once
    async def apage(self, url: str) -> str:
        """Fetches one page in a while."""
        return f"{self.name} {url}"

    @steps
    def pages(self, url: str):
        """Yields the name, and the page."""
        yield self.name
        yield url

    @classmethod
    @once
    def inner(cls, url: str) -> str:
        """Decorated inside."""
        return f"{cls.__name__} {url}"

    @once
    @classmethod
    def outer(cls, url: str) -> str:
        """Decorated outside."""
        return f"{cls.__name__} {url}"

    @staticmethod
    @once
    def inner_static(url: str) -> str:
        """Decorated inside."""
        return url

    @once
    @staticmethod
    def outer_static(url: str) -> str:
        """Decorated outside."""
        return url


class Subsite(Site):
    """A subclass, which class methods must see."""


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_decorated_function_is_described_like_the_function(function):
    """Signature, name, documentation, annotations, module and kind are the function's own."""
    decorated = steps(function) if "generator" in function.__name__ else once(function)

    assert inspect.signature(decorated) == inspect.signature(function)
    for name in ("__name__", "__qualname__", "__doc__", "__module__", "__annotations__"):
        assert getattr(decorated, name) == getattr(function, name)
    for kind in (
        inspect.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
    ):
        assert kind(decorated) == kind(function)
    assert inspect.unwrap(decorated) is function


@pytest.mark.parametrize("name", ["page", "apage", "pages", "outer", "outer_static"])
def test_a_bound_method_is_described_like_a_method(name):
    """Its signature has no place for the instance, and its name and documentation are its own."""
    method, function = getattr(Site(), name), inspect.unwrap(vars(Site)[name])
    function = getattr(function, "__func__", function)

    own = [p for p in inspect.signature(function).parameters if p not in {"self", "cls"}]
    assert list(inspect.signature(method).parameters) == own
    assert (method.__name__, method.__doc__) == (function.__name__, function.__doc__)
    assert method.__module__ == __name__
    assert inspect.iscoroutinefunction(method) == inspect.iscoroutinefunction(function)
    assert inspect.isgeneratorfunction(method) == inspect.isgeneratorfunction(function)


def test_arguments_go_through_as_they_are():
    """Positional-only, variadic and keyword arguments reach the function unchanged."""
    assert fetch("a", 1, 2, retries=3, deep="x") == "a (1, 2) 3 {'deep': 'x'}"
    with pytest.raises(LoopTripped) as halted:
        fetch(url="a")
    assert isinstance(halted.value.__cause__, TypeError)


def test_methods_of_every_kind_are_bound():
    """Instances and classes arrive where they do without the decorator."""
    site = Subsite("sub")

    assert site.page("a", deep=True) == Site.page(site, "a", deep=True) == "sub a True"
    assert list(site.pages("a")) == list(Subsite.pages(site, "a")) == ["sub", "a"]
    assert [way("a") for way in (site.inner, Subsite.inner)] == ["Subsite a"] * 2
    assert [way("a") for way in (site.outer, Subsite.outer)] == ["Subsite a"] * 2
    assert [way("a") for way in (site.inner_static, Site.outer_static)] == ["a"] * 2


async def test_coroutine_methods_are_bound():
    """Awaiting a decorated coroutine method gives its result, and its report the same."""
    site = Site()

    assert await site.apage("a") == await Site.apage(site, "a") == "site a"
    assert (await site.apage.report("a")).result == "site a"


def test_the_report_is_asked_for_in_place_of_the_result():
    """`report` takes the same arguments as the call, also of a bound method."""
    reports = [
        fetch.report("a"),
        Site().page.report("a"),
        Site.page.report(Site(), "a"),
        Subsite.outer.report("a"),
        Subsite().outer.report("a"),
        Site.inner_static.report("a"),
        Site.outer_static.report("a"),
    ]
    if sys.version_info < (3, 13):  # From there on, `classmethod` binds without asking.
        reports.append(Subsite.inner.report("a"))

    assert {report.status for report in reports} == {Status.SUCCEEDED}
    assert reports[1].result == "site a False"
    assert reports[3].result == reports[4].result == "Subsite a"


def test_a_report_that_is_no_success_is_returned_all_the_same():
    """`report` raises nothing where the call raises."""
    bounded = thrice(lambda: 7)
    with pytest.raises(LoopTripped) as halted:
        bounded()

    assert halted.value.report.result == 7
    assert bounded.report().status is Status.TRIPPED


def test_decorated_functions_pickle_by_name():
    """A module's decorated function comes back as itself, and so does a copy of it."""
    assert pickle.loads(pickle.dumps(fetch)) is fetch
    assert copy.deepcopy(fetch) is copy.copy(fetch) is fetch


def test_bound_methods_pickle_with_their_instance():
    """A decorated method goes to another process like any other."""
    method = pickle.loads(pickle.dumps(Site("elsewhere").page))

    assert method("a") == "elsewhere a False"


def test_bound_methods_are_equal_like_methods():
    """Two look-ups give equal methods with equal hashes; another instance's is another."""
    site, twin = Site(), Site()

    assert site.page == site.page
    assert hash(site.page) == hash(site.page)
    assert site.page != twin.page
    assert site.page != site.apage
    assert site.page != "page"


def test_a_bound_method_says_whose_it_is():
    """Among others in a log it can be told apart: by its function and by its instance."""
    words = repr(Site("mine").page)

    assert "page" in words
    assert "of <" in words
    assert "Site object" in words


def test_whatever_can_be_called_can_be_decorated():
    """A partial, a builtin and a callable object have no names, and loop all the same."""

    class Called:
        def __call__(self, number):
            return number

    assert once(functools.partial(int, "7"))() == 7
    assert once(Called())(7) == 7
    assert once(len)("seven") == 5
    with pytest.raises(TypeError, match="has no name"):
        pickle.dumps(once(Called()))


@pytest.mark.parametrize("thing", [7, None, "fetch", Site])
def test_what_is_no_function_is_refused(thing):
    """The decorator says so when it decorates, not when it is called."""
    with pytest.raises(ConfigurationError, match=r"@bounded_loop: .* is no function"):
        once(thing)


def test_a_decorator_without_breakers_is_refused():
    """`@bounded_loop` without brackets takes the function for a breaker, and says so."""
    with pytest.raises(ConfigurationError, match="is no breaker"):
        bounded_loop(plain)


@pytest.mark.parametrize("function", [plain, coroutine])
def test_a_function_needs_a_success_condition(function):
    """Without one nobody knows when to stop calling: the error names the two usual ones."""
    with pytest.raises(ConfigurationError, match=r"success=returned.*success=never"):
        steps(function)


def test_a_generator_needs_no_success_condition():
    """Its return is success."""
    assert list(steps(generator)("a")) == ["a"]


def test_calls_share_nothing():
    """Each call is a run of its own: the cap is for each of them."""
    starts = []
    bounded = thrice(starts.append)
    for number in (1, 2):
        with pytest.raises(LoopTripped):
            bounded(number)

    assert starts == [1, 1, 1, 2, 2, 2]


def test_a_key_may_be_made_of_the_arguments():
    """Calls with the same arguments share a key's counts, others do not."""
    bounded = bounded_loop(
        IterationCap(2),
        ExitCondition(success=returned),
        key=lambda url, retries=0: f"{url}-{retries}",
        store=MemoryStore(),
    )(lambda url, retries=0: url)

    first, second, other = bounded.report("a"), bounded.report("a"), bounded.report("a", retries=1)
    assert (first.key, first.ran) == ("a-0", True)
    assert (second.key, second.ran, second.result) == ("a-0", False, "a")
    assert (other.key, other.ran) == ("a-1", True)


def test_a_key_of_the_arguments_sees_the_instance():
    """For a method the instance is the first of the arguments."""

    class Keyed(Site):
        @bounded_loop(
            IterationCap(2),
            ExitCondition(success=returned),
            key=lambda self, url: f"{self.name}/{url}",
            store=MemoryStore(),
        )
        def get(self, url):
            return url

    assert Keyed("k").get.report("a").key == "k/a"

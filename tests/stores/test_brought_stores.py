# SPDX-License-Identifier: MIT
"""The stores that the page on bringing one's own shows pass the contract, on real databases."""

from __future__ import annotations

import importlib
import sys

import pytest
import sqlalchemy
from django.apps import apps
from django.conf import settings
from django.db import connection, connections, transaction

from haltable import IterationCap, Loop, StoreError
from haltable.stores import Durability
from haltable.testing.store_contract import StoreContract
from tests.house.tree import ROOT

PAGE = ROOT / "docs" / "how-to" / "bring-your-own-store.md"
FOLDER = ROOT / "examples" / "stores"
#: What a host of the store has before the first import of a model.
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "named by each test"},
    "server": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "OPTIONS": {"pool": {"min_size": 1, "max_size": 3}},
    },
}


def example(name):
    """Imports an example as its host does: from a folder of its own."""
    sys.path.insert(0, str(FOLDER))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def core():
    """The example over SQLAlchemy Core."""
    return example("over_sqlalchemy")


@pytest.fixture(scope="module")
def model():
    """The example over a Django model, in a Django that is set up."""
    settings.configure(DATABASES=DATABASES, USE_TZ=True)
    apps.populate([])
    return example("over_django")


class SQLAlchemyContract(StoreContract):
    @pytest.fixture(autouse=True)
    def _engine(self, core, url):
        self.core, self.url = core, url
        engine = sqlalchemy.create_engine(url)
        core.records.metadata.create_all(engine)
        engine.dispose()

    def make_store(self):
        return self.core.RecordStore(sqlalchemy.create_engine(self.url), Durability.MACHINE)

    def close_store(self, store):
        store._engine.dispose()

    def another_handle(self, store):
        return self.make_store()


class TestSQLAlchemyOnSQLite(SQLAlchemyContract):
    @pytest.fixture
    def url(self, tmp_path):
        return f"sqlite:///{tmp_path}/shop.db"


class TestSQLAlchemyOnPostgreSQL(SQLAlchemyContract):
    @pytest.fixture
    def url(self, postgres_url):
        values = parts(postgres_url)
        return sqlalchemy.URL.create(
            "postgresql+psycopg",
            username=values["user"],
            database=values["dbname"],
            query={"host": values["host"]},
        )


def parts(url):
    """Returns what libpq's words for a server say."""
    return dict(part.split("=", 1) for part in url.split())


@pytest.fixture
def django(model, tmp_path):
    """Gives the model a SQLite file of its own, and takes it away again."""
    connection.settings_dict["NAME"] = str(tmp_path / "shop.db")
    with connection.schema_editor() as editor:
        editor.create_model(model.LoopRecord)
    yield model
    connections.close_all()


class TestDjangoOnSQLite(StoreContract):
    @pytest.fixture(autouse=True)
    def _model(self, django):
        self.model = django

    def make_store(self):
        return self.model.ModelStore(Durability.MACHINE)

    def another_handle(self, store):
        return self.make_store()


class TestDjangoOnPostgreSQL(StoreContract):
    @pytest.fixture(autouse=True)
    def _model(self, model, postgres_url):
        self.model = model
        values = parts(postgres_url)
        server = connections["server"]
        server.settings_dict.update(HOST=values["host"], USER=values["user"])
        with server.schema_editor() as editor:
            editor.create_model(model.LoopRecord)
        yield
        with server.schema_editor() as editor:
            editor.delete_model(model.LoopRecord)
        connections.close_all()
        server.close_pool()

    def make_store(self):
        return self.model.ModelStore(Durability.MACHINE, using="server")

    def another_handle(self, store):
        return self.make_store()


@pytest.mark.parametrize("name", ["over_sqlalchemy", "over_django"])
def test_the_page_shows_the_file(name):
    """What is proven here is what the page shows, letter by letter, in about 50 lines."""
    _, code = (FOLDER / f"{name}.py").read_text().split('"""\n\n', 1)

    assert f"```python\n{code}```\n" in PAGE.read_text()
    assert len([line for line in code.splitlines() if line.strip()]) <= 70


def test_a_model_is_not_written_in_a_transaction(django):
    """A charge that the host's transaction could undo is refused, and not made."""
    store = django.ModelStore(Durability.MACHINE)
    loop = Loop(IterationCap(3), key="import", store=store)
    ran = []
    with transaction.atomic():
        report = loop.run(lambda: ran.append(1))
        with pytest.raises(StoreError, match="inside a transaction") as caught:
            store.write("key", b"value", expected=0)

    assert caught.value.outcome == "refused"
    assert not report.durable
    assert (ran, store.read("key")) == ([], None)


def test_a_model_keeps_a_loop(django):
    """A loop over the host's table stays ended, for whoever opens the table next."""
    ran = []
    reports = [
        Loop(IterationCap(3), key="import", store=django.ModelStore(Durability.MACHINE)).run(
            lambda: ran.append(1)
        )
        for _ in range(2)
    ]

    assert [report.ran for report in reports] == [True, False]
    assert len(ran) == 3


@pytest.mark.parametrize("verb", ["read", "write", "delete", "scan"])
@pytest.mark.parametrize("over", ["core", "model"])
def test_a_missing_table_is_a_store_error(verb, over, core, model, tmp_path):
    """What the database refuses is told as a fault of the store, which may not claim more."""
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/empty.db")
    connection.settings_dict["NAME"] = str(tmp_path / "empty.db")
    store = (
        core.RecordStore(engine, Durability.MACHINE)
        if over == "core"
        else model.ModelStore(Durability.MACHINE)
    )
    acts = {
        "read": lambda: store.read("key"),
        "write": lambda: store.write("key", b"", expected=1),
        "delete": lambda: store.delete("key", expected=1),
        "scan": lambda: list(store.scan("key")),
    }
    with pytest.raises(StoreError, match=rf"no such table: loop.*tried to {verb} 'key'") as caught:
        acts[verb]()
    engine.dispose()

    assert caught.value.outcome == "unknown"

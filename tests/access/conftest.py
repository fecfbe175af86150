"""A server that asks who is calling, with two tenants."""

import pytest
from support import histories
from support.access import Guarded


@pytest.fixture(scope="module")
def guarded():
    server = Guarded().start()
    yield server
    histories.finish_unseen(server)


@pytest.fixture
def make_guarded(tmp_path):
    """Makes further servers, for tests that restart them or configure them otherwise."""
    made: list[Guarded] = []

    def make(**options) -> Guarded:
        made.append(Guarded(tmp_path / f"server-{len(made)}", **options))
        return made[-1]

    yield make
    for server in made:
        histories.finish_unseen(server)

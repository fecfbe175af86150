"""Fixtures of the end-to-end suite: one server for each test file, a task queue for each test."""

import asyncio
import contextlib
import uuid

import pytest
import pytest_asyncio
from support import histories, matrix
from support.server import Mainspring, TemporalDev
from temporalio.worker import Worker

SUPPORT, WRONG = pytest.StashKey[matrix.Matrix](), pytest.StashKey[str]()


def pytest_addoption(parser):
    parser.addoption(
        "--backend",
        choices=["mainspring", "temporal"],
        default="mainspring",
        help="run the tests of Temporal's rules against Temporal's own dev server instead",
    )


def pytest_collection_modifyitems(config, items):
    if config.getoption("--backend") == "temporal":
        for item in items:
            if item.get_closest_marker("mainspring_only"):
                item.add_marker(pytest.mark.skip(reason="about what only Mainspring has"))


def pytest_configure(config):
    config.stash[SUPPORT] = matrix.load()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    item.config.stash[SUPPORT].note(report.nodeid.removeprefix("tests/"), report.passed)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session):
    """Where all that the support matrix is about was run, it has to say what came of that."""
    support = session.config.stash[SUPPORT]
    whole = not session.config.option.keyword and session.config.getoption("--backend") == "mainspring"
    if not (whole and support.files() <= support.files_run()):
        return
    if missing := support.missing():
        wrong = "languages/support.toml names tests that do not exist:\n  " + "\n  ".join(missing)
    else:
        wrong = matrix.difference(support.table())
    session.config.stash[WRONG] = wrong
    if wrong:
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    wrong = config.stash.get(WRONG, None)
    if wrong is not None:
        terminalreporter.write_line(f"the support matrix is wrong:\n{wrong}" if wrong else "the support matrix says what passes")
        if wrong:
            terminalreporter.write_line(f"{matrix.WRITE}=1 writes {matrix.PAGE.name} anew")
    if events := histories.replayed_events:
        terminalreporter.write_line(f"replayed {len(events)} histories of {sum(events)} events")


@pytest.fixture(scope="session")
def backend(request) -> str:
    return request.config.getoption("--backend")


@pytest.fixture(scope="module")
def server(backend):
    """A running server. When the file's tests are done, all their histories are replayed and the store is verified."""
    if backend == "temporal":
        temporal = TemporalDev().start()
        yield temporal
        temporal.stop()
        temporal.remove()
    else:
        mainspring = Mainspring().start()
        yield mainspring
        histories.finish(mainspring)


@pytest.fixture
def servers(tmp_path):
    """Makes further servers, for tests that stop, kill or break them; what they stored is checked like everybody's."""
    made: list[Mainspring] = []

    def make(**options) -> Mainspring:
        made.append(Mainspring(tmp_path / f"server-{len(made)}", **options))
        return made[-1]

    yield make
    for server in made:
        histories.finish(server)


@pytest_asyncio.fixture
async def client(server):
    return await server.connect()


@pytest.fixture
def queue(request) -> str:
    return f"{request.node.name[:60]}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def new_id(request):
    """Makes workflow ids that say which test they belong to."""
    return lambda: f"{request.node.name[:60]}-{uuid.uuid4().hex[:8]}"


@pytest_asyncio.fixture
async def deploy(server, queue):
    """Makes a guest answer for the test's task queue, or another one."""
    async with contextlib.AsyncExitStack() as stack:

        async def deploy(guest: str = "guest-kitchen", task_queue: str = queue) -> str:
            await stack.enter_async_context(server.deployed(guest, task_queue))
            return task_queue

        yield deploy


@pytest_asyncio.fixture
async def activities(client, queue):
    """Runs a worker for these activities on the test's task queue until the test ends."""
    async with contextlib.AsyncExitStack() as stack:

        async def run(*functions, task_queue: str = queue, **options) -> Worker:
            worker = Worker(client, task_queue=task_queue, activities=functions, **options)
            await stack.enter_async_context(worker)
            return worker

        yield run


@pytest.fixture
def in_thread():
    """Calls something that blocks, such as a command, without stopping the test's own workers."""
    return asyncio.to_thread

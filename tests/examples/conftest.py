"""Each scenario is written once and runs against the example's component of every language that there is one in.

A file of tests says by `EXAMPLE` whose they are: the folder of that name in `examples/`.
"""

import launch
import pytest
import pytest_asyncio
from example import Example


def pytest_generate_tests(metafunc):
    if "language" in metafunc.fixturenames:
        languages = launch.languages(metafunc.module.EXAMPLE)
        assert languages, f"the example {metafunc.module.EXAMPLE} is written in no language"
        metafunc.parametrize("language", languages)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(launch.ROOT / "tests" / "examples"):
            item.add_marker(pytest.mark.mainspring_only)


@pytest_asyncio.fixture
async def deployed(request, language, server, client, queue):
    """The example, deployed to the test's task queue, without a worker for its activities."""
    example = Example(request.module.EXAMPLE, language, client, queue, server.deploy_file)
    await example.deploy()
    return example


@pytest_asyncio.fixture
async def example(deployed):
    """The example, deployed to the test's task queue, with a worker for its activities."""
    async with deployed.worker():
        yield deployed

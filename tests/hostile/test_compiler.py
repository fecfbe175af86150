"""Uploads that are hard on the compiler: it has a process of its own, and nobody else notices what becomes of it."""

import asyncio
import contextlib
import signal

import psutil
import pytest
from support import paths
from support.server import Mainspring
from support.waiting import eventually, eventually_sync

pytestmark = pytest.mark.mainspring_only
MIB = 1024 * 1024


def number(value: int) -> bytes:
    """A LEB128, unsigned."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def section(kind: int, content: bytes) -> bytes:
    return bytes([kind]) + number(len(content)) + content


def with_core(functions: int, body: bytes) -> bytes:
    """A module that is all right, with a core module in it that nobody uses and that has this function so many times."""
    core = b"\0asm\x01\0\0\0"
    core += section(1, b"\x01\x60\x01\x7f\x01\x7f")
    core += section(3, number(functions) + b"\0" * functions)
    core += section(10, number(functions) + (number(len(body)) + body) * functions)
    return paths.guest("order-workflow").read_bytes() + section(1, core)


def long_to_compile() -> bytes:
    return with_core(40, b"\x00" + b"\x20\x00\x41\x07\x6c\x21\x00" * 100_000 + b"\x20\x00\x0b")


def large_to_compile() -> bytes:
    """A thousand variables that are alive in thousands of blocks."""
    body = b"\x01" + number(1_000) + b"\x7f"
    for n in range(20_000):
        a, b = number(1 + n % 1_000), number(1 + (7 * n + 3) % 1_000)
        body += b"\x02\x40\x20" + a + b"\x0d\x00\x20" + a + b"\x20" + b + b"\x6a\x21" + b + b"\x0b"
    return with_core(1, body + b"\x20\x00\x0b")


class Configured(Mainspring):
    """A server with these lines in `[sandbox]`."""

    def __init__(self, directory, *sandbox: str):
        super().__init__(directory)
        self.sandbox = sandbox

    def command(self):
        config = self.directory / "mainspring.toml"
        lines = [f"port = {self.port}", f'data_dir = "{self.data}"', "[sandbox]", *self.sandbox]
        config.write_text("\n".join(lines))
        return [paths.mainspring_binary(), "server", "--config", config]


@pytest.fixture
def configured(tmp_path):
    with contextlib.ExitStack() as stack:

        def start(*sandbox: str) -> Configured:
            server = Configured(tmp_path / "server", *sandbox).start()
            stack.callback(server.remove)
            return server

        yield start


def compilers(server: Mainspring) -> list[psutil.Process]:
    return [child for child in server.psutil().children() if "compile-module" in child.cmdline()]


@pytest.fixture
def heavy(tmp_path):
    path = tmp_path / "bomb.wasm"
    path.write_bytes(long_to_compile())
    return path


async def test_a_compiler_that_is_killed_is_an_error_of_its_upload_alone(server, queue, heavy, in_thread, neighbour):
    upload = asyncio.create_task(in_thread(server.deploy_file, heavy, queue, check=False))
    [compiler] = await eventually(lambda: compilers(server), "the compiler runs", 60)
    # It is nobody but a compiler, and comes after everybody else.
    assert compiler.cwd() == "/" and compiler.nice() == 5
    assert compiler.environ() == {}
    await neighbour()
    compiler.kill()
    done = await upload
    assert done.returncode == 1
    assert "the compiler was killed" in done.stderr
    assert server.is_running()
    await neighbour()


async def test_a_compiler_that_crashes_is_an_error_of_its_upload_alone(server, queue, heavy, in_thread):
    upload = asyncio.create_task(in_thread(server.deploy_file, heavy, queue, check=False))
    [compiler] = await eventually(lambda: compilers(server), "the compiler runs", 60)
    compiler.send_signal(signal.SIGABRT)
    done = await upload
    assert done.returncode == 1
    assert "the module cannot be compiled: the compiler crashed" in done.stderr
    assert server.is_running()


def test_a_module_that_takes_too_much_memory_to_compile_is_refused(configured, tmp_path):
    server = configured(f"compiler_memory_bytes = {256 * MIB}")
    large = tmp_path / "large.wasm"
    large.write_bytes(large_to_compile())
    done = server.deploy_file(large, "q", check=False)
    assert done.returncode == 1
    assert "compiling the module needs more than 256 MiB of memory" in done.stderr
    # What needs less is taken.
    assert server.deploy_file(paths.guest("order-workflow"), "q").returncode == 0


def test_a_module_that_takes_too_long_to_compile_is_refused_and_its_compiler_is_no_more(configured, heavy):
    server = configured('compile_time = "2s"')
    done = server.deploy_file(heavy, "q", check=False)
    assert done.returncode == 1
    assert "compiling the module took longer than 2 s" in done.stderr
    assert server.psutil().children() == []


def test_a_compiler_ends_with_its_server(configured, heavy):
    server = configured()
    command = [paths.mainspring_binary(), "module", "deploy", heavy, "--task-queue", "q", "--address", server.address]
    with psutil.Popen([str(word) for word in command], stdout=-3, stderr=-3) as upload:
        [compiler] = eventually_sync(lambda: compilers(server), "the compiler runs", 60)
        server.kill()
        eventually_sync(lambda: not compiler.is_running() or compiler.status() == "zombie", "the compiler has ended", 30)
        upload.kill()


def test_compiled_code_that_somebody_else_wrote_is_compiled_again(configured, tmp_path):
    server = configured()
    order, kitchen = paths.guest("order-workflow"), paths.guest("guest-kitchen")
    server.deploy_file(order, "order")
    cache, key = server.data / "modules-cache", server.data / "modules-cache.key"
    modes = [path.stat().st_mode & 0o777 for path in (server.data, cache, key)]
    assert modes == [0o700, 0o700, 0o600]
    [compiled] = cache.iterdir()
    server.deploy_file(kitchen, "kitchen")
    [other] = set(cache.iterdir()) - {compiled}
    assert server.stop() == 0
    # Code that is whole, but another module's.
    compiled.write_bytes(other.read_bytes())
    server.start()
    start = ("workflow", "start", "--type", "OrderWorkflow", "--task-queue", "order", "--workflow-id", "order-1")
    server.mainspring(*start, "--input", '{"amount": 9.5, "user_id": "u", "email": "e"}')
    eventually_sync(lambda: compiled.read_bytes() != other.read_bytes(), "the module was compiled again", 60)
    show = ("workflow", "show", "--workflow-id", "order-1")
    eventually_sync(lambda: "ActivityTaskScheduled" in server.mainspring(*show).stdout, "the workflow has run", 30)
    assert "a compiled module is not loaded; compiling it again" in server.log()

"""What activities reach by HTTP: what their deployment was granted, and nothing else; and secrets that they never have."""

import os
import subprocess

import pytest
from support import paths
from support.peer import Peer

SECRET = "hunter2-never-shown"

pytestmark = pytest.mark.mainspring_only


@pytest.fixture
def peer():
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def cli(server, queue):
    """The CLI with a variable that holds a secret."""

    def call(*arguments, check=True):
        command = [paths.mainspring_binary(), "module", *arguments, "--task-queue", queue, "--address", server.address]
        environment = os.environ | {"THE_SECRET": SECRET}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert not check or done.returncode == 0, done.stderr
        return done

    return call


async def test_a_grant_is_for_a_host_and_counts_from_the_next_attempt_on(run, hosted, peer, cli, in_thread):
    fetch = {"url": f"{peer.url}/a"}
    assert "HttpRequestDenied" in (await run("fetch", fetch))["result"]["error"]
    # A host, but not the private address that it is.
    await hosted("--allow-host", peer.url)
    assert "DestinationIpProhibited" in (await run("fetch", fetch))["result"]["error"]
    assert peer.requests == []
    await hosted("--allow-private-host", peer.url)
    answer = (await run("fetch", fetch))["result"]
    assert (answer["status"], answer["body"]) == (200, "peer")
    await in_thread(cli, "revoke", "--host", peer.url)
    assert "HttpRequestDenied" in (await run("fetch", fetch))["result"]["error"]
    assert [path for path, _ in peer.requests] == ["/a"]


async def test_a_redirect_leads_nowhere_that_was_not_granted(run, hosted, peer):
    inside = Peer()
    await hosted("--allow-private-host", peer.url)
    answer = (await run("fetch", {"url": f"{peer.url}/redirect?to={inside.url}/"}))["result"]
    assert (answer["status"], answer["location"]) == (302, f"{inside.url}/")
    assert "HttpRequestDenied" in (await run("fetch", {"url": answer["location"]}))["result"]["error"]
    assert inside.requests == []
    inside.close()


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]", "localhost", "169.254.169.254"])
async def test_no_spelling_of_a_private_address_gets_through(run, hosted, peer, host):
    url = f"http://{host}:{peer.port}"
    await hosted("--allow-host", url)
    error = (await run("fetch", {"url": url}))["result"]["error"]
    assert "DestinationIpProhibited" in error or "Dns" in error
    assert peer.requests == []


async def test_a_secret_goes_to_its_host_and_is_seen_nowhere(run, hosted, peer, cli, server, in_thread):
    other = Peer()
    granted = await in_thread(
        cli,
        "grant",
        *("--allow-private-host", peer.url, "--allow-private-host", other.url, "--env", "COLOUR=blue"),
        *("--secret", f"API_KEY=THE_SECRET@{peer.url}"),
    )
    headers = [["authorization", "Bearer {{secret:API_KEY}}"]]
    answer = (await run("fetch", {"url": peer.url, "headers": headers}))["result"]
    assert answer["status"] == 200
    assert peer.requests[0][1]["authorization"] == f"Bearer {SECRET}"
    refused = (await run("fetch", {"url": other.url, "headers": headers}))["result"]
    assert "HttpRequestDenied" in refused["error"] and other.requests == []

    facts = (await run("facts"))["result"]
    assert facts["config"] == [["COLOUR", "blue"]]
    listed = await in_thread(server.mainspring, "module", "activities", "--output", "json")
    assert "API_KEY" in listed.stdout and "API_KEY" in granted.stdout
    for shown in (str(answer), str(refused), str(facts), listed.stdout, granted.stdout, server.log_path.read_text()):
        assert SECRET not in shown
    stored = b"".join(file.read_bytes() for file in server.data.rglob("*") if file.is_file())
    assert SECRET.encode() not in stored
    assert (server.data / "secrets.key").stat().st_mode & 0o777 == 0o600
    other.close()


async def test_an_answer_that_is_cut_off_says_nothing_of_the_server(servers, new_id, in_thread, peer, monkeypatch):
    monkeypatch.setenv("RUST_BACKTRACE", "full")
    server = servers()
    await in_thread(server.start)
    for guest, flags in (("guest-kitchen", ()), ("guest-activities", ("--allow-private-host", peer.url))):
        await in_thread(server.mainspring, "module", "deploy", paths.guest(guest), "--task-queue", "q", *flags)
    client = await server.connect()
    args = ["fetch", {"start_to_close_ms": 20_000}, {"url": f"{peer.url}/cut"}]
    answer = await client.execute_workflow("ActivityWithOptions", args=args, id=new_id(), task_queue="q")
    error = answer["result"]["error"]
    assert error.startswith("the response cannot be read: ")
    assert "\n" not in error and ".rs" not in error and len(error) < 200, error


async def test_a_secret_is_kept_over_a_restart(servers, new_id, in_thread, peer):
    server = servers()
    await in_thread(server.start)
    for guest, flags in (("guest-kitchen", ()), ("guest-activities", ("--allow-private-host", peer.url))):
        await in_thread(server.mainspring, "module", "deploy", paths.guest(guest), "--task-queue", "q", *flags)
    command = [paths.mainspring_binary(), "module", "grant", "--task-queue", "q", "--address", server.address]
    command += ["--secret", f"KEY=THE_SECRET@{peer.url}"]
    await in_thread(subprocess.run, command, env=os.environ | {"THE_SECRET": SECRET}, check=True, capture_output=True)
    await in_thread(server.kill)
    await in_thread(server.start)
    client = await server.connect()
    call = {"url": peer.url, "headers": [["x-key", "{{secret:KEY}}"]]}
    args = ["fetch", {"start_to_close_ms": 20_000}, call]
    answer = await client.execute_workflow("ActivityWithOptions", args=args, id=new_id(), task_queue="q")
    assert answer["result"]["status"] == 200
    assert peer.requests[-1][1]["x-key"] == SECRET


async def test_what_cannot_be_granted_is_refused(cli, hosted, in_thread):
    for arguments, words in [
        (("--allow-host", "example.com"), "names no host"),
        (("--allow-host", "https://user@example.com"), "names no host"),
        (("--allow-host", "https://*"), "names no host"),
        (("--env", "1X=y"), "no name"),
        (("--env", "X"), "NAME=VALUE"),
        (("--secret", "KEY=THE_SECRET@nowhere"), "names no host"),
        (("--secret", "KEY=NO_SUCH_VARIABLE@https://a.example"), "no environment variable"),
        (("--secret", SECRET), "NAME=VARIABLE@URL"),
        ((), "nothing to grant"),
    ]:
        done = await in_thread(lambda arguments=arguments: cli("grant", *arguments, check=False))
        assert done.returncode in (1, 2) and words in done.stderr, done.stderr
        assert SECRET not in done.stderr
    done = await in_thread(lambda: cli("revoke", "--host", "https://never.example", check=False))
    assert done.returncode == 1 and "was not granted" in done.stderr


async def test_undeploying_forgets_the_grants(run, hosted, peer, cli, server, queue, in_thread):
    await hosted("--allow-private-host", peer.url, "--env", "A=1")
    await in_thread(cli, "undeploy", "--activities")
    await in_thread(server.deploy_file, paths.guest("guest-activities"), queue)
    assert "HttpRequestDenied" in (await run("fetch", {"url": peer.url}))["result"]["error"]
    assert (await run("facts"))["result"]["config"] == []

"""TLS, client certificates, and the official tools' own options for them."""

import pytest
from support import paths
from support.access import Authority, Guarded
from support.server import run
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

CERTIFICATES = """
[auth]
[[auth.certificates]]
identity = "cn:alpha-worker"
permissions = ["alpha:worker", "alpha:read"]
[[auth.certificates]]
identity = "uri:spiffe://test/beta"
permissions = ["beta:admin"]
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(authority, tmp_path_factory):
    from support import histories

    guarded = Guarded(tmp_path_factory.mktemp("tls"), settings=CERTIFICATES, tls=authority).start()
    yield guarded
    histories.finish_unseen(guarded)


def ask(server, authority, *words, certificate=None, key=None, tool=None, check=True):
    """One of the two command lines against the server."""
    words = [*words, "--address", server.address, "--tls-ca-path", authority.certificate_path]
    if certificate:
        words += ["--tls-cert-path", certificate[0], "--tls-key-path", certificate[1]]
    if key:
        words += ["--api-key", key]
    return run([tool or paths.mainspring_binary(), *words], check, 60)


async def test_the_sdk_speaks_tls_and_shows_its_key(server, authority):
    client = await server.connect_with(server.admin, tls=authority.config_for())
    assert (await client.count_workflows()).count == 0


async def test_a_certificate_says_who_one_is(server, authority):
    certificate = authority.issue("alpha-worker")
    client = await Client.connect(server.address, namespace="alpha", tls=authority.config_for(certificate))
    assert (await client.count_workflows()).count == 0
    with pytest.raises(RPCError) as refused:
        await client.start_workflow("OrderWorkflow", id="w", task_queue="q")
    assert refused.value.status == RPCStatusCode.PERMISSION_DENIED
    assert "certificate:cn:alpha-worker lacks the role write" in refused.value.message


def test_a_certificate_is_known_by_its_alternative_name_too(server, authority):
    certificate = authority.issue("whoever", uri="spiffe://test/beta")
    said = ask(server, authority, "whoami", certificate=certificate).stdout
    assert "certificate:uri:spiffe://test/beta" in said and "beta:admin" in said


def test_a_certificate_that_nobody_named_permits_nothing(server, authority):
    certificate = authority.issue("unheard-of")
    said = ask(server, authority, "workflow", "list", "-n", "alpha", certificate=certificate, check=False)
    assert said.returncode == 1 and "certificate:cn:unheard-of lacks the role read" in said.stderr


def test_a_key_beside_a_certificate_decides(server, authority):
    key = ask(server, authority, "whoami", certificate=authority.issue("alpha-worker"), key=server.admin).stdout
    assert "admin-key:" in key
    bad = ask(server, authority, "whoami", certificate=authority.issue("alpha-worker"), key="msk_x", check=False)
    assert bad.returncode == 1 and "UNAUTHENTICATED" in bad.stderr


def test_without_a_certificate_one_is_nobody(server, authority):
    done = ask(server, authority, "whoami", check=False)
    assert done.returncode == 1 and "UNAUTHENTICATED" in done.stderr


def test_a_certificate_of_another_authority_is_not_even_heard(server, authority, tmp_path):
    impostor = Authority(tmp_path / "impostor").issue("alpha-worker")
    done = ask(server, authority, "whoami", certificate=impostor, check=False)
    assert done.returncode != 0 and "alpha" not in done.stdout


def test_a_server_of_another_authority_is_not_trusted(server, tmp_path):
    done = ask(server, Authority(tmp_path / "other"), "whoami", key=server.admin, check=False)
    assert done.returncode == 2 and "--tls-ca-path" in done.stderr, done.stderr


def test_plain_text_gets_no_answer(server):
    done = server.mainspring("whoami", "--api-key", server.admin, check=False)
    assert done.returncode != 0 and "admin-key" not in done.stdout


def test_the_temporal_cli_takes_its_own_options(server, authority):
    temporal = dict(tool=paths.TEMPORAL_CLI)
    listed = ask(server, authority, "workflow", "list", "--namespace", "alpha", key=server.admin, **temporal)
    assert listed.returncode == 0
    certificate = authority.issue("alpha-worker")
    ask(server, authority, "workflow", "count", "--namespace", "alpha", certificate=certificate, **temporal)
    words = ("workflow", "start", "--type", "T", "--task-queue", "q", "--namespace", "alpha")
    done = ask(server, authority, *words, certificate=certificate, check=False, **temporal)
    assert done.returncode != 0 and "unauthorized" in done.stderr.lower(), done.stderr


def test_a_client_certificate_can_be_a_must(authority, make_guarded, tmp_path):
    server = make_guarded(settings=CERTIFICATES, tls=authority)
    server.config.write_text(server.config.read_text() + "client_certificate_required = true\n")
    server.start()
    # Not even with the admin's key.
    done = ask(server, authority, "whoami", key=server.admin, check=False)
    assert done.returncode != 0 and "admin-key" not in done.stdout
    said = ask(server, authority, "whoami", certificate=authority.issue("alpha-worker"), key=server.admin)
    assert "admin-key:" in said.stdout


@pytest.mark.parametrize("name", ["certificate", "key", "client_ca"])
def test_a_file_that_is_not_there_or_not_right_is_named(authority, make_guarded, tmp_path, name):
    server = make_guarded(settings=CERTIFICATES, tls=authority)
    right, missing = server.config.read_text(), tmp_path / "missing.pem"
    lines = [f'{name} = "{missing}"' if line.startswith(f"{name} =") else line for line in right.splitlines()]
    server.config.write_text("\n".join(lines))
    for content, said in ((None, f"tls.{name}"), ("no certificate", "[tls]")):
        if content:
            missing.write_text(content)
        assert server.spawn().wait(30) != 0
        assert said in server.log(), server.log()
        server.process = None


def test_beyond_the_machine_a_server_wants_both(tmp_path):
    for flags, said in ((("--ip", "0.0.0.0"), "auth.required"),):
        done = run([paths.mainspring_binary(), "dev", "--ephemeral", "--port", "0", *flags], False, 60)
        assert done.returncode == 2 and said in done.stderr, done.stderr

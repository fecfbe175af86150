"""JSON Web Tokens: who signed them, for how long, for whom, and what they permit."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
import pytest
from support.access import Issuer
from support.waiting import eventually_sync


def settings(directory, issuers: list[Issuer], more: str = "") -> str:
    files = []
    for number, issuer in enumerate(issuers):
        files.append(directory / f"issuer-{number}.pem")
        files[-1].write_bytes(issuer.public_pem())
    return f"[auth.jwt]\nkeys = {json.dumps([str(file) for file in files])}\n{more}\n"


@pytest.fixture(scope="module")
def issuers():
    return {algorithm: Issuer(algorithm) for algorithm in Issuer.KEYS}


@pytest.fixture(scope="module")
def server(issuers, tmp_path_factory):
    from support import histories
    from support.access import Guarded

    directory = tmp_path_factory.mktemp("tokens")
    text = settings(directory, list(issuers.values()), 'issuer = "https://issuer.test"\naudience = "mainspring"')
    guarded = Guarded(directory / "server", settings=text).start()
    yield guarded
    histories.finish_unseen(guarded)


CLAIMS = {"iss": "https://issuer.test", "aud": ["others", "mainspring"]}


@pytest.mark.parametrize("algorithm", Issuer.KEYS)
def test_a_token_permits_what_it_says(server, issuers, algorithm):
    token = issuers[algorithm].token("alpha:write", "beta:read", "read:users", "alpha:boss", **CLAIMS)
    # What is meant for others is passed over.
    assert server.whoami(token)["permissions"] == ["alpha:write", "beta:read"]
    assert server.whoami(token)["principal"] == "jwt:alice"


async def test_the_sdk_works_with_a_token(server, issuers):
    client = await server.connect_with(issuers["RS256"].token("alpha:read", **CLAIMS))
    assert (await client.count_workflows()).count == 0


def test_a_token_without_permissions_permits_nothing(server, issuers):
    assert server.whoami(issuers["RS256"].token(**CLAIMS))["permissions"] == []


def forged(issuer: Issuer) -> dict[str, tuple[str, str]]:
    """Tokens that must not be taken, and what is said of them."""
    good = issuer.token("temporal-system:admin", **CLAIMS)
    head, claims, signature = good.split(".")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    other = json.loads(base64.urlsafe_b64decode(claims + "==")) | {"sub": "mallory"}
    changed = base64.urlsafe_b64encode(json.dumps(other).encode()).rstrip(b"=").decode()
    symmetric = jwt.api_jws.PyJWS().encode(
        json.dumps(other).encode(), b"0" * 32, "HS256"
    )
    return {
        "expired": (issuer.token("alpha:read", seconds=-60, **CLAIMS), "has expired"),
        "without an end": (issuer.token("alpha:read", exp=None, **CLAIMS), 'no claim "exp"'),
        "not yet": (issuer.token("alpha:read", nbf=4_000_000_000, **CLAIMS), "not valid yet"),
        "another issuer": (issuer.token("alpha:read", **CLAIMS | {"iss": "https://evil.test"}), "another issuer"),
        "another audience": (issuer.token("alpha:read", **CLAIMS | {"aud": "others"}), "another audience"),
        "no audience": (issuer.token("alpha:read", **CLAIMS | {"aud": None}), 'no claim "aud"'),
        "another key": (Issuer("RS256").token("alpha:read", **CLAIMS), "does not know"),
        "unsigned": (f"{unsigned}.{claims}.", "neither"),
        "changed": (f"{head}.{changed}.{signature}", "does not know"),
        "without its signature": (f"{head}.{claims}.", "does not know"),
        "with a shared secret": (symmetric, "does not know"),
        "no token": ("a.b.c", "neither"),
    }


KINDS = list(forged(Issuer("RS256")))


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_that_is_not_good_is_refused(server, issuers, kind):
    token, said = forged(issuers["RS256"])[kind]
    done = server.whoami(token, check=False)
    assert done.returncode == 1 and "UNAUTHENTICATED" in done.stderr and said in done.stderr, done.stderr


class KeySet:
    """An issuer's address, from which its present keys can be had."""

    def __init__(self):
        self.keys: list[dict] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                body = json.dumps({"keys": outer.keys}).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/keys"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def test_keys_are_taken_from_an_address_and_change_with_it(make_guarded):
    old, new, keys = Issuer("ES256", "2026-10"), Issuer("RS256", "2026-11"), KeySet()
    keys.keys = [old.jwk()]
    text = f'[auth.jwt]\njwks = "{keys.address}"\nrefresh = "200ms"\npermissions_claim = "scope_list"\n'
    server = make_guarded(settings=text).start()
    claims = {"scope_list": ["alpha:read"]}
    in_time = lambda token, what: eventually_sync(lambda: server.whoami(token, check=False).returncode == 0, what)
    in_time(old.token(**claims), "the first key is known")
    assert server.whoami(new.token(**claims), check=False).returncode == 1
    keys.keys = [new.jwk()]
    in_time(new.token(**claims), "the new key is known")
    # A token that was good is not remembered longer than its key is there.
    done = server.whoami(old.token(**claims), check=False)
    assert done.returncode == 1 and "does not know" in done.stderr
    # An issuer that is away, or that answers nonsense, shuts nobody out.
    keys.keys = []
    assert server.whoami(new.token(**claims))["permissions"] == ["alpha:read"]
    keys.stop()
    eventually_sync(lambda: "the keys cannot be fetched" in server.log(), "the server has noticed")
    assert server.whoami(new.token(**claims))["permissions"] == ["alpha:read"]


def test_a_key_that_is_none_stops_the_server_with_its_name(make_guarded, tmp_path):
    file = tmp_path / "key.pem"
    for text, said in (("nothing", "no public key in PEM"), ("-----BEGIN PRIVATE KEY-----\n", "give the public one")):
        file.write_text(text)
        server = make_guarded(settings=f'[auth.jwt]\nkeys = ["{file}"]\n')
        process = server.spawn()
        assert process.wait(30) != 0
        assert said in server.log() and file.name in server.log(), server.log()
        server.process = None

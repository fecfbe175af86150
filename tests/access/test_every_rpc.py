"""Every RPC, by everybody: who is let in is a golden file."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from support.access import Api

GOLDEN = Path(__file__).with_name("every_rpc.txt")
# What the others say in a field `namespace`, these say elsewhere.
ABOUT_ALPHA = {
    "DeployModule": {"target": {"namespace": "alpha"}},
    "UploadModule": {"target": {"namespace": "alpha"}},
    "CreateApiKey": {"name": "test", "permissions": ["alpha:read"]},
}
REFUSED = {"UNAUTHENTICATED": "unknown", "PERMISSION_DENIED": "denied"}


def callers(server) -> dict[str, str | None]:
    """What each column of the table shows as its credentials."""
    key = lambda *permissions: server.create_key(*permissions)["key"]
    return {
        "nobody": None,
        "stranger": "msk_0123456789abcdef_" + "A" * 43,
        "a:read": key("alpha:read"),
        "a:worker": key("alpha:worker"),
        "a:write": key("alpha:write"),
        "a:admin": key("alpha:admin"),
        # Another tenant, with all that it can have.
        "b:admin": key("beta:admin"),
        "all:read": key("temporal-system:read"),
        "all:admin": server.admin,
    }


def test_who_may_call_what_is_as_agreed(guarded):
    api, shown = Api(guarded), callers(guarded)
    names = [f"{method.containing_service.full_name}/{method.name}" for method in api.methods]
    assert len(names) > 100 and len(set(names)) == len(names)

    def answer(method, key):
        # All about tenant alpha. Where a call is let in, what it then makes of such a request is not asked here.
        fields = {"namespace": "alpha", "id": "0" * 16} | ABOUT_ALPHA.get(method.name, {})
        code, message = api.call(method, key, **fields)
        if code == "PERMISSION_DENIED":
            assert message.startswith("Request unauthorized"), (method.full_name, message)
        return REFUSED.get(code, "in")

    with ThreadPoolExecutor(16) as pool:
        rows = [[pool.submit(answer, method, key) for key in shown.values()] for method in api.methods]
        answers = [[cell.result() for cell in row] for row in rows]
    width = max(len(name) for name in names)
    lines = [" ".join([f"{'':{width}}", *(f"{name:9}" for name in shown)]).rstrip()]
    for name, row in zip(names, answers):
        lines.append(" ".join([f"{name:{width}}", *(f"{cell:9}" for cell in row)]).rstrip())
    table = "\n".join(lines) + "\n"
    api.close()
    if os.environ.get("MAINSPRING_WRITE_GOLDENS"):
        GOLDEN.write_text(table)
    assert table == GOLDEN.read_text()

    # What must hold whatever the file says: nobody gets in unknown, and no other tenant gets at alpha by its name.
    for name, row in zip(names, answers):
        by = dict(zip(shown, row))
        assert by["nobody"] == by["stranger"] == "unknown", name
        assert by["all:admin"] == "in", name


def test_another_tenant_reaches_nothing_that_names_alpha(guarded):
    """With requests that are about alpha and nothing else, its credential is worth nothing at any RPC."""
    api, beta = Api(guarded), guarded.create_key("beta:admin")["key"]
    named = [method for method in api.methods if "namespace" in method.input_type.fields_by_name]
    scoped = named + [method for method in api.methods if method.name in ABOUT_ALPHA]
    assert len(scoped) > 80
    for method in scoped:
        code, _ = api.call(method, beta, **{"namespace": "alpha"} | ABOUT_ALPHA.get(method.name, {}))
        assert code == "PERMISSION_DENIED", method.full_name
        # Nor does it learn by the answer which namespaces there are.
        if method in named:
            code, _ = api.call(method, beta, namespace="no-such-namespace")
            assert code == "PERMISSION_DENIED", method.full_name
    api.close()

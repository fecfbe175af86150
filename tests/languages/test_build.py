"""`mainspring build`, `new`, `module deploy` of a source and `dev --watch`: from a file to a workflow that runs."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support import building, paths
from support.histories import event_types
from support.server import Mainspring, environment, run
from support.waiting import eventually, eventually_sync

pytestmark = [pytest.mark.mainspring_only, pytest.mark.timeout(900)]

MAINSPRING = paths.mainspring_binary
ORDER_IN_C = paths.ROOT / "examples" / "order" / "c" / "workflow.c"

ANSWER = """
#include <mainspring.h>

MS_WORKFLOW(Answer) {{
    ms_result told = ms_wait_signal("go", MS_FOREVER);
    if (ms_failed(told)) return ms_fail(told);
    return ms_return_string("{answer}");
}}
"""


def mainspring(*arguments, cwd: Path, **variables) -> subprocess.CompletedProcess:
    command = [str(word) for word in (MAINSPRING(), *arguments)]
    return subprocess.run(command, cwd=cwd, env=environment() | variables, capture_output=True, text=True, timeout=900)


def test_the_same_source_is_the_same_module(tmp_path):
    for name in ("a", "b"):
        assert mainspring("build", ORDER_IN_C, "-o", tmp_path / f"{name}.wasm", cwd=tmp_path).returncode == 0
    assert (tmp_path / "a.wasm").read_bytes() == (tmp_path / "b.wasm").read_bytes()


def test_what_was_built_is_told(tmp_path):
    done = mainspring("build", ORDER_IN_C, "--output", "json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["file"] == "workflow.wasm"
    assert int(told["sizeBytes"]) == (tmp_path / "workflow.wasm").stat().st_size < 100_000
    assert (told["lang"], told["workflows"]) == ("C", [{"name": "OrderWorkflow"}])
    # Nothing of WASI: a C workflow has only what Mainspring gives it.
    assert all(name.startswith("mainspring:workflow/") for name in told["imports"])


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("#include <mainspring.h>\nMS_WORKFLOW(A) {\n    return ms_return(oops);\n}\n", r"workflow.c:3:22: error:"),
        ("#include <mainspring.h>\n\n#include <time.h>\n", r"workflow.c:3:10: fatal error: 'time.h' file not found"),
        (
            "#include <mainspring.h>\nint fork(void);\nMS_WORKFLOW(A) {\n    return ms_return(ms_int(fork()));\n}\n",
            "undefined symbol: fork",
        ),
        ("#include <mainspring.h>\nint x;\n", "the module holds no workflow"),
    ],
    ids=["syntax", "header", "function", "no workflow"],
)
def test_a_mistake_in_c_is_told_as_the_compiler_tells_it(tmp_path, source, said):
    (tmp_path / "workflow.c").write_text(source)
    done = mainspring("build", "workflow.c", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert not (tmp_path / "workflow.wasm").exists()


def test_a_mistake_in_rust_is_told_as_the_compiler_tells_it(tmp_path):
    project = new_rust_project(tmp_path, "mistaken")
    library = project / "src" / "lib.rs"
    library.write_text(library.read_text().replace("Ok(greeting)", "Ok(oops)", 1))
    done = mainspring("build", "mistaken", cwd=tmp_path, **rust_variables())
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot find value `oops`" in done.stderr and "src/lib.rs:16:8" in done.stderr, done.stderr


async def test_a_source_is_deployed_as_it_is(server, client, queue, new_id, tmp_path, in_thread):
    source = tmp_path / "answer.c"
    source.write_text(ANSWER.format(answer="at once"))
    # So that its histories can be replayed when the server ends.
    building.build(server, source)
    done = await in_thread(server.mainspring, "module", "deploy", source, "--task-queue", queue, "--output", "json")
    assert json.loads(done.stdout)["module"]["workflows"] == [{"name": "Answer"}]
    handle = await client.start_workflow("Answer", id=new_id(), task_queue=queue)
    await handle.signal("go")
    assert await handle.result() == "at once"
    source.write_text("int x = ;")
    failed = await in_thread(server.mainspring, "module", "deploy", source, "--task-queue", queue, check=False)
    assert failed.returncode == 1 and "answer.c:1:9: error: expected expression" in failed.stderr


async def test_a_watched_project_is_deployed_whenever_it_changes(servers, tmp_path, new_id, in_thread):
    project = tmp_path / "answers"
    project.mkdir()
    source = project / "workflow.c"

    def save(answer: str, server: Mainspring | None = None) -> None:
        source.write_text(ANSWER.format(answer=answer))
        if server:
            built = building.build(server, source)
            built.rename(built.with_name(f"{answer}.wasm"))

    save("first")
    server = servers(flags=("--watch", str(project), "--task-queue", "watched")).start()
    save("first", server)

    def deployments() -> int:
        return server.log().count("watch: deployed Answer to task queue watched")

    await in_thread(eventually_sync, lambda: deployments() == 1, "the first module is deployed", 60)
    client = await server.connect()
    early = await client.start_workflow("Answer", id=new_id(), task_queue="watched")

    async def has_begun():
        return "WorkflowTaskCompleted" in event_types(await early.fetch_history())

    await eventually(has_begun, "the first run has begun")
    await in_thread(save, "second", server)
    await in_thread(eventually_sync, lambda: deployments() == 2, "the second module is deployed", 60)
    late = await client.start_workflow("Answer", id=new_id(), task_queue="watched")
    for handle in (early, late):
        await handle.signal("go")
    assert [await early.result(), await late.result()] == ["first", "second"]

    source.write_text("mistake")
    await in_thread(eventually_sync, lambda: "waiting for a change" in server.log(), "the mistake is told", 60)
    assert "workflow.c:1:1: error" in server.log()
    assert server.is_running()
    await in_thread(save, "third", server)
    await in_thread(eventually_sync, lambda: deployments() == 3, "the third module is deployed", 60)


def rust_variables() -> dict[str, str]:
    # Kept from one run of the tests to the next, and apart from what the workspace builds.
    return {"CARGO_TARGET_DIR": str(paths.target_directory() / "new-projects")}


def new_rust_project(folder: Path, name: str) -> Path:
    made = mainspring("new", name, "--lang", "rust", cwd=folder)
    assert made.returncode == 0, made.stderr
    # The versions that everything here is tested with.
    shutil.copy(paths.ROOT / "Cargo.lock", folder / name / "Cargo.lock")
    return folder / name


async def greet(server, client, queue, module: Path, new_id, in_thread) -> str:
    await in_thread(server.deploy_file, module, queue)
    return await client.execute_workflow("Greet", "World", id=new_id(), task_queue=queue)


# Those whose SDKs are here.
LANGUAGES = [lang for lang in ("rust", "c", "python", "js") if (paths.ROOT / "guest-sdk" / lang).is_dir()]


@pytest.mark.parametrize("lang", LANGUAGES)
async def test_a_new_project_builds_runs_and_passes_its_test(
    server, client, queue, activities, new_id, tmp_path, in_thread, lang
):
    from temporalio import activity

    @activity.defn
    async def compose_greeting(name: str) -> str:
        return f"Hello, {name}!"

    if lang == "rust":
        project = new_rust_project(tmp_path, "greeting")
    else:
        made = mainspring("new", "greeting", "--lang", lang, cwd=tmp_path)
        assert made.returncode == 0, made.stderr
        project = tmp_path / "greeting"
        # What the project's README has people install.
        if lang == "python":
            (project / ".venv").symlink_to(paths.ROOT / ".venv")
        elif lang == "js":
            (project / "node_modules").symlink_to(paths.ROOT / "guest-sdk" / "js" / "node_modules")
    module = server.directory / f"greeting-{lang}.wasm"
    done = await in_thread(lambda: mainspring("build", project, "-o", module, cwd=tmp_path, **rust_variables()))
    assert done.returncode == 0, done.stderr
    await activities(compose_greeting)
    assert await greet(server, client, queue, module, new_id, in_thread) == "Hello, World!"

    test = ["cargo", "test", "--quiet"] if lang == "rust" else ["sh", "test.sh"]
    variables = os.environ | rust_variables() | {"MAINSPRING": str(MAINSPRING())}
    done = await in_thread(lambda: subprocess.run(test, cwd=project, env=variables, capture_output=True, text=True))
    assert done.returncode == 0, done.stdout + done.stderr
    assert ("2 passed" if lang == "rust" else "Replayed exactly") in done.stdout

    # A test that cannot fail would be none.
    source = project / {"rust": "src/lib.rs", "c": "workflow.c", "python": "workflow.py", "js": "workflow.ts"}[lang]
    changed = source.read_text()
    for called in ("compose_greeting(name", '"compose_greeting"', "compose_greeting }"):
        # The test in Rust keeps what it expects.
        if lang != "rust" or "(" in called:
            changed = changed.replace(called, called.replace("compose_greeting", "say_nothing"))
    source.write_text(changed)
    failed = await in_thread(lambda: subprocess.run(test, cwd=project, env=variables, capture_output=True, text=True))
    assert failed.returncode != 0


def test_a_module_that_is_no_use_is_refused_when_it_is_built(tmp_path):
    """What a server would refuse, the build refuses: here two workflows of one type."""
    twice = '#include <mainspring.h>\nMS_WORKFLOW_NAMED("A", a) { return ms_return_nothing(); }\n'
    (tmp_path / "workflow.c").write_text(twice + twice.replace(", a)", ", b)").replace("#include <mainspring.h>", ""))
    done = mainspring("build", "workflow.c", cwd=tmp_path)
    assert done.returncode == 1
    assert "it was built, and a server would refuse it" in done.stderr and '"A" is there twice' in done.stderr
    assert run([MAINSPRING(), "build", tmp_path / "absent"], False, 30).returncode == 2

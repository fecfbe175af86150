//! `mainspring build` and `mainspring new`, as far as they can be told without running a toolchain for long: what is
//! recognised, what is missing, and what is said of it. `tests/languages/` builds and runs workflows.

mod common;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use common::{Ran, mainspring, ran};

/// A folder with these files in it.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

/// Runs in a folder, where nothing but the tools of one folder is installed.
fn run_with_tools(folder: &Path, tools: &Path, arguments: &[&str]) -> Ran {
    let mut command = mainspring(arguments);
    for variable in ["CLANG", "WASM_OPT", "GO"] {
        command.env_remove(variable);
    }
    ran(command.current_dir(folder).env("PATH", tools).output().unwrap())
}

/// A program that prints something and ends with an exit code.
fn tool(tools: &Path, name: &str, script: &str) -> PathBuf {
    let path = tools.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[track_caller]
fn check(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, code, "{ran:?}");
    assert_eq!(ran.stdout, "", "errors belong to stderr");
    for word in words {
        assert!(ran.stderr.contains(word), "{word:?} is not in {:?}", ran.stderr);
    }
}

const CARGO_TOML: &str =
    "[package]\nname = \"a\"\nversion = \"0.1.0\"\n[lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n";

#[test]
fn what_is_no_workflow_says_what_would_be_one() {
    let dir = folder(&[("notes.txt", ""), ("a.wasm", "\0asm"), ("both/a.c", ""), ("both/b.py", "")]);
    let run = |path: &str| run_with_tools(dir.path(), dir.path(), &["build", path]);
    check(&run("absent"), 2, &["cannot read absent"]);
    check(
        &run("notes.txt"),
        2,
        &["no workflow that is recognised", "Cargo.toml", "package.json", "go.mod", "a .c file"],
    );
    check(&run("."), 2, &["no workflow that is recognised"]);
    check(&run("both"), 2, &["both holds Python and C: say with --lang which one to build"]);
    check(&run("a.wasm"), 2, &["a.wasm is a module already", "mainspring module deploy"]);
}

#[test]
fn a_missing_tool_says_what_to_install() {
    let dir = folder(&[("rust/Cargo.toml", CARGO_TOML), ("rust/src/lib.rs", ""), ("c/a.c", "int x;"), ("go/a.go", "")]);
    let none = tempfile::tempdir().unwrap();
    let run = |tools: &Path, path: &str| run_with_tools(dir.path(), tools, &["build", path]);
    check(&run(none.path(), "rust"), 2, &["`cargo` is needed to build Rust workflows", "https://rustup.rs"]);
    check(&run(none.path(), "go"), 2, &["`go` is needed to build Go workflows", "https://go.dev/dl"]);
    check(
        &run(none.path(), "c/a.c"),
        2,
        &["`clang` is needed to build C workflows", "apt-get install clang lld binaryen"],
    );

    let clang = tempfile::tempdir().unwrap();
    tool(clang.path(), "clang", "case $1 in --print-targets) echo wasm32;; *) echo wasm-ld;; esac");
    check(&run(clang.path(), "c/a.c"), 2, &["`wasm-ld` is needed to link C workflows", "apt-get install lld"]);
    tool(clang.path(), "wasm-ld", "");
    check(&run(clang.path(), "c/a.c"), 2, &["`wasm-opt` is needed", "apt-get install binaryen"]);

    let other = tempfile::tempdir().unwrap();
    tool(other.path(), "clang", "echo x86");
    tool(other.path(), "wasm-opt", "");
    check(&run(other.path(), "c/a.c"), 2, &["cannot make WebAssembly", "CLANG"]);
}

#[test]
fn a_rust_project_that_makes_no_module_is_told_what_it_lacks() {
    let plain = CARGO_TOML.replace("crate-type = [\"cdylib\"]\n", "");
    let workspace = "[workspace]\nmembers = [\"member\"]\nresolver = \"3\"\n";
    let member = CARGO_TOML.replace("[workspace]\n", "");
    let dir = folder(&[
        ("plain/Cargo.toml", &plain),
        ("plain/src/lib.rs", ""),
        ("all/Cargo.toml", workspace),
        ("all/member/Cargo.toml", &member),
        ("all/member/src/lib.rs", ""),
        ("loose.rs", ""),
        ("broken/Cargo.toml", "[package]\nname ="),
    ]);
    let run = |path: &str| ran(mainspring(&["build", path]).current_dir(dir.path()).output().unwrap());
    check(&run("plain"), 2, &["makes no module", "crate-type = [\"cdylib\"]"]);
    check(&run("all"), 2, &["a workspace without a package of its own", "all/member/Cargo.toml"]);
    check(&run("loose.rs"), 2, &["belongs to no Cargo.toml", "mainspring new"]);
    // The toolchain's own words, with file and line.
    check(&run("broken"), 1, &["Cargo.toml:2", "`cargo` could not read the project"]);
}

#[test]
fn a_toolchain_that_fails_is_heard_whole() {
    let dir = folder(&[("a.c", "")]);
    let tools = tempfile::tempdir().unwrap();
    let compiles = "for word; do case $word in --print-targets) echo wasm32; exit;; -print-prog-name=*) echo $0; exit;; \
                    esac; done; echo 'a.c:3:7: error: no such thing' >&2; exit 1";
    tool(tools.path(), "clang", compiles);
    tool(tools.path(), "wasm-opt", "");
    let ran = run_with_tools(dir.path(), tools.path(), &["build", "a.c"]);
    check(&ran, 1, &["a.c:3:7: error: no such thing\n", "could not compile the workflow"]);
    assert!(!dir.path().join("a.wasm").exists());
}

#[test]
fn a_new_project_has_what_its_readme_names() {
    let dir = tempfile::tempdir().unwrap();
    let run = |name: &str, lang: &str| {
        ran(mainspring(&["new", name, "--lang", lang]).current_dir(dir.path()).output().unwrap())
    };
    let begun = run("first", "rust");
    assert_eq!((begun.code, begun.stderr.as_str()), (0, ""), "{begun:?}");
    for file in ["Cargo.toml", "src/lib.rs", "worker.py", ".gitignore", "mainspring/guest-sdk/rust/Cargo.toml"] {
        assert!(dir.path().join("first").join(file).is_file(), "{file}");
    }
    assert_eq!(run("second", "c").code, 0);
    for file in ["workflow.c", "worker/worker.py", "test.sh", "test/greet.json", ".gitignore"] {
        let text = fs::read_to_string(dir.path().join("second").join(file)).unwrap();
        assert!(!text.contains("{{"), "{file}: {text}");
    }
    assert_eq!(run("fourth", "go").code, 0);
    for file in ["workflow.go", "go.mod", "worker/worker.py", "test.sh", "test/greet.json", ".gitignore"] {
        let text = fs::read_to_string(dir.path().join("fourth").join(file)).unwrap();
        assert!(!text.contains("{{"), "{file}: {text}");
    }

    check(&run("first", "rust"), 2, &["cannot make the folder first"]);
    check(&run("2nd", "rust"), 2, &["is no name for a project"]);
    check(&run("third", "cobol"), 2, &["possible values"]);
    assert!(!dir.path().join("third").exists());
}

#[test]
fn the_server_watches_only_what_can_be_built() {
    let dir = folder(&[("notes.txt", ""), ("a.wasm", "\0asm")]);
    let run = |arguments: &[&str]| {
        ran(mainspring(&[&["dev", "--ephemeral"], arguments].concat()).current_dir(dir.path()).output().unwrap())
    };
    check(&run(&["--watch", "notes.txt"]), 2, &["no workflow that is recognised"]);
    check(&run(&["--watch", "a.wasm"]), 2, &["--watch builds from source"]);
    check(&run(&["--task-queue", "q"]), 2, &["--watch"]);
    check(&run(&["--lang", "c"]), 2, &["--lang belongs to --watch"]);
}

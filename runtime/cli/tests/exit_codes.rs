//! Exit codes and streams of what needs no server.

mod common;

use std::{fs, net::TcpListener};

use common::{Ran, run};

/// An address where nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[track_caller]
fn check(ran: &Ran, code: i32, stderr: &str) {
    assert_eq!(ran.code, code, "{ran:?}");
    assert_eq!(ran.stdout, "", "errors belong to stderr");
    assert!(ran.stderr.contains(stderr), "{stderr:?} is not in {:?}", ran.stderr);
}

#[test]
fn wrong_flags_are_2() {
    check(&run(&["workflow", "list", "--bad"]), 2, "unexpected argument '--bad'");
    check(&run(&["nonsense"]), 2, "unrecognized subcommand");
    check(&run(&["workflow", "start", "--type", "T"]), 2, "--task-queue");
    check(&run(&["workflow", "start", "--type", "T", "-t", "q", "--run-timeout", "5"]), 2, "is no duration");
    check(&run(&["workflow", "start", "--type", "T", "-t", "q", "--id-reuse-policy", "Maybe"]), 2, "AllowDuplicate");
    check(&run(&["workflow", "list", "--address", "ftp://a:1"]), 2, "it can be http or https");
    check(&run(&["workflow", "delete", "-w", "a"]), 2, "--yes");
}

#[test]
fn arguments_are_checked_before_anybody_is_asked() {
    check(&run(&["workflow", "start", "--type", "T", "-t", "q", "--input", "text"]), 2, "--input #1 is not JSON");
    check(&run(&["workflow", "signal", "-w", "a", "--name", "s", "--input-file", "/no/such"]), 2, "/no/such");
    check(&run(&["module", "deploy", "/no/such.wasm", "-t", "q"]), 2, "/no/such.wasm");
    let dir = tempfile::tempdir().unwrap();
    check(&run(&["module", "deploy", dir.path().to_str().unwrap(), "-t", "q"]), 2, "no workflow that is recognised");
    let empty = dir.path().join("empty.wasm");
    fs::write(&empty, "").unwrap();
    check(&run(&["module", "deploy", empty.to_str().unwrap(), "-t", "q"]), 2, "is empty");
}

#[test]
fn no_connection_is_2_and_says_what_to_do() {
    let address = nobody();
    let connecting: [&[&str]; 4] = [
        &["workflow", "list"],
        &["workflow", "result", "-w", "a"],
        &["module", "list"],
        &["workflow", "start", "--type", "T", "-t", "q"],
    ];
    for verb in connecting {
        let ran = run(&[verb, &["--address", &address, "--output", "json"]].concat());
        check(&ran, 2, &format!("cannot connect to {address}: "));
        check(&ran, 2, "mainspring dev");
    }
}

#[test]
fn the_address_comes_from_the_environment_too() {
    let address = nobody();
    for name in ["MAINSPRING_ADDRESS", "TEMPORAL_ADDRESS"] {
        let mut command = common::mainspring(&["workflow", "list"]);
        let ran = common::ran(command.env(name, &address).output().unwrap());
        check(&ran, 2, &format!("cannot connect to {address}: "));
    }
}

#[test]
fn a_replay_of_what_is_not_there_is_2() {
    check(&run(&["replay", "--history", "/no/such.json", "--module", "/no/such.wasm"]), 2, "/no/such.json");
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let started = br#"{"events": [{"eventId": "1", "eventType": "EVENT_TYPE_WORKFLOW_EXECUTION_STARTED",
        "workflowExecutionStartedEventAttributes": {}}]}"#;
    let history = file("history.json", started);
    check(&run(&["replay", "--history", &history, "--module", "/no/such.wasm"]), 2, "/no/such.wasm");
    let module = file("module.wasm", b"no module");
    check(&run(&["replay", "--history", &history, "--module", &module]), 2, "this is not a wasm file");
    let broken = file("broken.json", b"{\"events\": [\n{\"eventId\": \"x\"}]}");
    let ran = run(&["replay", "--history", &broken, "--module", &module]);
    check(&ran, 2, "line 2, column 15: field events[0].eventId: invalid digit");
    let not_encoded = file("broken.bin", b"\xff\xff\xff");
    check(&run(&["replay", "--history", &not_encoded, "--module", &module]), 2, "is no encoded temporal.api");
    let nothing = file("nothing.json", b"{}");
    check(&run(&["replay", "--history", &nothing, "--module", &module]), 2, "holds no events");
}

#[test]
fn a_store_that_is_not_there_is_2_and_is_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    check(&run(&["store", "verify", "--data-dir", missing.to_str().unwrap()]), 2, "missing");
    assert!(!missing.exists());
    check(&run(&["store", "verify", "--data-dir", dir.path().to_str().unwrap()]), 2, "is empty");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_server_with_wrong_settings_is_2() {
    check(&run(&["dev", "--ephemeral", "--ip", "0.0.0.0"]), 2, "loopback");
    check(&run(&["server", "--config", "/no/such.toml"]), 2, "/no/such.toml");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    fs::write(&file, "prot = 1\n").unwrap();
    check(&run(&["server", "--config", file.to_str().unwrap()]), 2, "prot");
}

#[test]
fn settings_are_taken_from_file_then_environment_then_flags() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    fs::write(&file, "port = 1\nshards = 2\nnamespaces = [\"a\"]\n[log]\nfilter = \"warn\"\n").unwrap();
    let mut command = common::mainspring(&["server", "--config", file.to_str().unwrap(), "--print-config"]);
    let ran = common::ran(
        command.args(["--port", "3"]).env("MAINSPRING_PORT", "2").env("MAINSPRING_SHARDS", "4").output().unwrap(),
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    for line in ["port = 3", "shards = 4", "namespaces = [\"a\"]", "filter = \"warn\""] {
        assert!(ran.stdout.lines().any(|found| found == line), "{line} is not in {}", ran.stdout);
    }
    // The filter of every verb's log lines is no setting of that name.
    let mut command = common::mainspring(&["server", "--print-config"]);
    let ran = common::ran(command.env("MAINSPRING_LOG", "debug").output().unwrap());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("filter = \"debug\""), "{}", ran.stdout);
}

#[test]
fn every_shell_gets_a_script_that_knows_the_verbs() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = run(&["completions", shell]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{shell}");
        for word in ["store", "restore", "--data-dir".trim_start_matches('-')] {
            assert!(ran.stdout.contains(word), "{shell} does not know {word}");
        }
    }
    check(&run(&["completions", "tcsh"]), 2, "possible values: bash");
}

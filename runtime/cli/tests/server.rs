//! The binary as server and as client of it.

mod common;

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, ChildStderr, Command, Stdio},
};

use common::{Ran, mainspring, run};
use serde_json::Value;

/// A development server on a free port, stopped at the latest when it is dropped.
struct Server {
    child: Child,
    address: String,
    stderr: BufReader<ChildStderr>,
}

impl Server {
    #[allow(clippy::zombie_processes)] // `stop` and `drop` wait for it; where this panics, the test is over.
    fn start(arguments: &[&str]) -> Server {
        let mut command = mainspring(&["dev", "--port", "0"]);
        let mut child = command.args(arguments).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "the server ended: {seen}");
            seen.push_str(&line);
            if let Some((_, address)) = line.split_once(" listens on ") {
                return Server { child, address: address.trim().to_owned(), stderr };
            }
        }
    }

    fn client(&self, arguments: &[&str]) -> Ran {
        run(&[arguments, &["--address", &self.address]].concat())
    }

    /// Sends SIGTERM and waits for the end.
    fn stop(mut self) -> (i32, String) {
        let process = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &process]).status().unwrap().success());
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code().unwrap(), rest)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn json(ran: &Ran) -> Value {
    assert_eq!(ran.code, 0, "{ran:?}");
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn a_workflow_is_started_seen_and_ended() {
    let server = Server::start(&["--ephemeral", "--namespace", "other"]);
    let target = ["--workflow-id", "order-1"];

    let start = ["workflow", "start", "--type", "T", "-t", "q", "--input", "{\"a\":1}", "--memo", "k=\"v\""];
    let started = json(&server.client(&[&start[..], &target, &["-o", "json"]].concat()));
    assert_eq!(started["workflowId"], "order-1");
    assert_eq!(started["namespace"], "default");

    let again = server.client(&[&start[..], &target].concat());
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.stderr.contains("ALREADY_EXISTS") && again.stderr.contains("--id-conflict-policy"), "{again:?}");

    let signal = ["workflow", "signal", "--name", "go", "--input", "2"];
    assert_eq!(server.client(&[&signal[..], &target].concat()).code, 0);

    let described = json(&server.client(&[&["workflow", "describe", "-o", "json"][..], &target].concat()));
    assert_eq!(described["workflowExecutionInfo"]["status"], "WORKFLOW_EXECUTION_STATUS_RUNNING");
    assert_eq!(described["workflowExecutionInfo"]["memo"]["fields"]["k"], "v");

    let shown = server.client(&[&["workflow", "show"][..], &target].concat());
    assert!(shown.stdout.contains("WorkflowExecutionStarted") && shown.stdout.contains("go"), "{shown:?}");

    let listed = json(&server.client(&["workflow", "list", "-o", "json"]));
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let counted = json(&server.client(&["workflow", "count", "-q", "ExecutionStatus='Running'", "-o", "json"]));
    assert_eq!(counted["count"], "1");
    let elsewhere = json(&server.client(&["workflow", "list", "-o", "json", "--namespace", "other"]));
    assert_eq!(elsewhere.as_array().unwrap().len(), 0);

    assert_eq!(server.client(&[&["workflow", "terminate", "--reason", "enough"][..], &target].concat()).code, 0);
    let result = server.client(&[&["workflow", "result"][..], &target].concat());
    assert_eq!(result.code, 1, "{result:?}");
    assert!(result.stdout.contains("TERMINATED"), "{result:?}");
    assert!(result.stderr.contains("enough"), "{result:?}");

    assert_eq!(server.client(&[&["workflow", "delete", "--yes"][..], &target].concat()).code, 0);
    let gone = server.client(&[&["workflow", "describe"][..], &target].concat());
    assert_eq!(gone.code, 1, "{gone:?}");
    assert!(gone.stderr.contains("NOT_FOUND"), "{gone:?}");

    assert_eq!(server.stop().0, 0);
}

#[test]
fn a_file_that_is_no_module_is_refused_by_the_server() {
    let server = Server::start(&["--ephemeral"]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.wasm");
    std::fs::write(&file, "not wasm").unwrap();
    let refused = server.client(&["module", "deploy", file.to_str().unwrap(), "-t", "q"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("this is not a wasm file"), "{refused:?}");

    // It is refused by its size before it is sent: nothing of this file takes room on the disk or the wire.
    let large = dir.path().join("large.wasm");
    std::fs::File::create(&large).unwrap().set_len(1 << 30).unwrap();
    let refused = server.client(&["module", "deploy", large.to_str().unwrap(), "-t", "q"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("the limit is"), "{refused:?}");

    let listed = json(&server.client(&["module", "list", "-o", "json"]));
    assert_eq!(listed, Value::Array(vec![]));
    let unknown = server.client(&["module", "describe", "00000000"]);
    assert_eq!(unknown.code, 1, "{unknown:?}");
}

#[test]
fn a_store_is_verified_once_its_server_has_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let data = data.to_str().unwrap();
    let server = Server::start(&["--data-dir", data]);
    let start = ["workflow", "start", "--type", "T", "-t", "q"];
    for _ in 0..3 {
        assert_eq!(server.client(&start).code, 0);
    }

    let verify = ["store", "verify", "--data-dir", data];
    let in_use = run(&verify);
    assert_eq!(in_use.code, 2, "{in_use:?}");
    assert!(in_use.stderr.contains("in use by another process"), "{in_use:?}");

    assert_eq!(server.stop().0, 0);
    let report = json(&run(&[&verify[..], &["-o", "json"]].concat()));
    assert_eq!((&report["sound"], &report["runs"]), (&Value::Bool(true), &Value::from(3)), "{report}");
    let text = run(&verify);
    assert_eq!(text.code, 0, "{text:?}");
    assert!(text.stdout.contains("Verdict"), "{text:?}");
}

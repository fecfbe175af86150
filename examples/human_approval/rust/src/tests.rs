use mainspring_workflow::testing::{TestConfig, TestRun};
use serde_json::{Value, json};

use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn expense() -> [Value; 1] {
    [json!({
        "purpose": "a new bicycle", "reviewers": ["ann", "bob"], "needed": 2, "manager": "cem",
        "reviewers_have_ms": (2 * DAY).as_millis() as u64, "manager_has_ms": (2 * DAY).as_millis() as u64,
    })]
}

fn start() -> TestRun {
    TestConfig::new().activity("notify", |_person: String, _text: String| {}).start::<approve_expense>(expense())
}

fn decide(run: &mut TestRun, person: &str, approve: bool) -> Result<usize, String> {
    let update = run.update("decide", [json!(person), json!(approve)]);
    run.update_result(update).unwrap().map_err(|refusal| refusal.to_string())
}

fn asked(run: &TestRun) -> Vec<String> {
    run.activity_calls("notify").iter().map(|args| args.get(0).unwrap()).collect()
}

#[test]
fn it_is_approved_when_enough_have_approved() {
    let mut run = start();
    run.signal("comment", "ignored: it has one argument only");
    assert_eq!(decide(&mut run, "ann", true), Ok(1));
    assert_eq!(run.query::<Value>("status", [(); 0]).unwrap()["approved_by"], json!(["ann"]));
    assert_eq!(decide(&mut run, "bob", true), Ok(0));
    assert_eq!(run.result::<Value>().unwrap()["approved_by"], json!(["ann", "bob"]));
    run.assert_replays();
}

#[test]
fn nobody_decides_twice_or_unasked() {
    let mut run = start();
    decide(&mut run, "ann", true).unwrap();
    assert!(decide(&mut run, "ann", true).unwrap_err().contains("DecidedTwice"));
    assert!(decide(&mut run, "cem", true).unwrap_err().contains("NotAsked"));
    assert!(run.is_blocked());
}

#[test]
fn one_who_rejects_is_enough() {
    let mut run = start();
    decide(&mut run, "bob", false).unwrap();
    assert_eq!(run.result::<Value>().unwrap()["rejected_by"], "bob");
}

#[test]
fn after_two_days_the_manager_is_asked_and_decides_alone() {
    let mut run = start();
    run.skip_time(2 * DAY - Duration::from_secs(1));
    assert_eq!(asked(&run), ["ann", "bob"]);
    run.skip_time(Duration::from_secs(1));
    assert_eq!(asked(&run), ["ann", "bob", "cem"]);
    assert_eq!(decide(&mut run, "cem", true), Ok(0));
    run.result::<Value>().unwrap();
    run.assert_replays();
}

#[test]
fn after_four_days_it_has_expired() {
    let mut run = start();
    run.skip_to_end();
    assert_eq!(run.elapsed(), 4 * DAY);
    assert!(run.result::<Value>().unwrap_err().to_string().contains("Expired"));
}

#[test]
fn a_reviewer_who_decides_while_the_manager_is_being_asked_is_heard() {
    let mut run = TestRun::start::<approve_expense>(expense());
    run.complete_activity(1, ());
    run.complete_activity(2, ());
    assert_eq!(decide(&mut run, "ann", true), Ok(1));
    run.fire_timer(3);
    assert_eq!(asked(&run), ["ann", "bob", "cem"]);
    assert_eq!(decide(&mut run, "bob", true), Ok(0));
    assert!(decide(&mut run, "cem", false).unwrap_err().contains("TooLate"));
    run.complete_activity(4, ());
    assert_eq!(run.result::<Value>().unwrap()["approved_by"], json!(["ann", "bob"]));
    run.assert_replays();
}

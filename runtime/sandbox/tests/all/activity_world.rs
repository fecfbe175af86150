//! Activities that are components: what they may use, what they may not reach, and what requests may go where.

use std::{
    collections::HashMap,
    future::Future,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use mainspring_api::common::{Payload, Payloads};
use mainspring_core::activity::ActivityOutcome;
use mainspring_sandbox::{
    Account, ActivityAccount, ActivityAttempt, ActivityEnd, ActivityLimits, ActivityTerms, Digest, Grants, Heart,
    ModuleBytes, ModuleKind, Pulse, Sandbox, SandboxConfig, SecretGrant, SecretValue,
};
use serde_json::{Value, json};

use crate::support::guest;

/// The only module that there is.
struct Only(Vec<u8>);

impl ModuleBytes for Only {
    fn module_bytes(&self, _digest: &Digest) -> Result<Option<Vec<u8>>, String> {
        Ok(Some(self.0.clone()))
    }
}

/// Keeps what heartbeats bring, and answers them all alike.
struct Pulses {
    answer: Pulse,
    seen: Mutex<usize>,
}

impl Heart for Pulses {
    fn beat(&self, _details: Option<Payloads>) -> Pin<Box<dyn Future<Output = Pulse> + Send + '_>> {
        *self.seen.lock().unwrap() += 1;
        Box::pin(async { self.answer.clone() })
    }
}

pub struct World {
    sandbox: Sandbox,
    module: Digest,
    bytes: Arc<Only>,
    grants: Arc<Grants>,
    pulse: Pulse,
    time_left: Duration,
    account: Option<Arc<dyn ActivityAccount>>,
}

/// Counts, and lets so many requests out.
#[derive(Default)]
struct Counting {
    fuel: AtomicU64,
    turns: AtomicU64,
    requests: AtomicU64,
}

impl Account for Counting {
    fn used_fuel(&self, units: u64) {
        self.fuel.fetch_add(units, Relaxed);
    }

    fn may_log(&self, _bytes: usize) -> bool {
        true
    }
}

impl ActivityAccount for Counting {
    fn may_request(&self) -> bool {
        self.requests.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    fn turn(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let turns = self.turns.fetch_add(1, Relaxed);
        Box::pin(async move {
            if turns == 0 {
                tokio::task::yield_now().await;
            } else {
                // The second one never comes.
                std::future::pending().await
            }
        })
    }
}

impl World {
    pub fn new(limits: ActivityLimits) -> World {
        let compiled = concat!(env!("CARGO_TARGET_TMPDIR"), "/activities-compiled");
        let config = SandboxConfig { cache_dir: Some(compiled.into()), activities: limits, ..SandboxConfig::default() };
        let sandbox = Sandbox::new(config).unwrap();
        let bytes = guest("guest_activities");
        let description = sandbox.load(&bytes).unwrap();
        assert_eq!(description.kind(), ModuleKind::Activities);
        World {
            sandbox,
            module: description.digest,
            bytes: Arc::new(Only(bytes)),
            grants: Arc::default(),
            pulse: Pulse::GoOn,
            time_left: Duration::from_secs(60),
            account: None,
        }
    }

    pub fn within(self, time_left: Duration) -> World {
        World { time_left, ..self }
    }

    pub fn granted(limits: ActivityLimits, grants: Grants) -> World {
        World { grants: Arc::new(grants), ..World::new(limits) }
    }

    pub fn run(&self, activity: &str, argument: Value) -> ActivityEnd {
        let attempt = ActivityAttempt {
            activity_type: activity.into(),
            attempt: 1,
            input: Some(Payloads { payloads: vec![payload(&argument)] }),
            time_left: self.time_left,
            ..ActivityAttempt::default()
        };
        let heart = Arc::new(Pulses { answer: self.pulse.clone(), seen: Mutex::default() });
        let terms = ActivityTerms {
            grants: self.grants.clone(),
            heart,
            memory_bytes: usize::MAX,
            account: self.account.clone(),
        };
        let run = self.sandbox.run_activity(self.module, self.bytes.clone(), attempt, terms);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run).unwrap()
    }

    pub fn result(&self, activity: &str, argument: Value) -> Value {
        match self.run(activity, argument) {
            ActivityEnd::Outcome(ActivityOutcome::Completed(Some(result))) => {
                serde_json::from_slice(&result.payloads[0].data).unwrap_or(Value::Null)
            }
            other => panic!("{activity} has not completed: {other:?}"),
        }
    }

    /// The type and the message of its failure.
    pub fn failure(&self, activity: &str, argument: Value) -> (String, String) {
        use mainspring_api::failure::failure::FailureInfo;
        match self.run(activity, argument) {
            ActivityEnd::Outcome(ActivityOutcome::Failed { failure, .. }) => {
                let Some(FailureInfo::ApplicationFailureInfo(info)) = failure.failure_info else {
                    panic!("{failure:?}")
                };
                (info.r#type, failure.message)
            }
            other => panic!("{activity} has not failed: {other:?}"),
        }
    }

    fn fetch(&self, url: &str) -> Value {
        self.result("fetch", json!({ "url": url }))
    }

    /// Why a request has no response.
    fn refusal(&self, url: &str) -> String {
        let answer = self.fetch(url);
        answer["error"].as_str().unwrap_or_else(|| panic!("{url} was answered: {answer}")).to_owned()
    }
}

fn payload(value: &Value) -> Payload {
    let metadata = HashMap::from([("encoding".to_owned(), b"json/plain".to_vec())]);
    Payload { metadata, data: value.to_string().into_bytes(), ..Payload::default() }
}

fn hosts(rules: &[&str], private: bool) -> Grants {
    let hosts = rules.iter().map(|rule| rule.parse::<mainspring_sandbox::HostRule>().unwrap().with_private(private));
    Grants { hosts: hosts.collect(), ..Grants::default() }
}

/// A peer that answers each connection with this, and keeps what it was sent.
struct Peer {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Peer {
    fn answering(answer: impl Into<Vec<u8>>) -> Peer {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let (answer, notes) = (answer.into(), heard.clone());
        // It ends with the process.
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let Ok(mut connection) = connection else { continue };
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && connection.read(&mut byte).is_ok_and(|read| read > 0) {
                    head.extend_from_slice(&byte);
                }
                notes.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
                let _ = connection.write_all(&answer);
            }
        });
        Peer { address, heard }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn what_uses_too_much_fails_and_says_of_what() {
    let limits = ActivityLimits { fuel: 200_000_000, log_bytes: 10_000, ..ActivityLimits::default() };
    let world = World::new(limits);
    for (activity, argument, failure_type, words) in [
        ("spin", json!(null), "FuelLimitExceeded", "the activity used up its fuel: 200000000 units"),
        ("hoard", json!(null), "MemoryLimitExceeded", "the activity asked for"),
        ("flood", json!(null), "LogLimitExceeded", "more than 10000 bytes"),
    ] {
        let (found, message) = world.failure(activity, argument);
        assert_eq!(found, failure_type, "{activity}: {message}");
        assert!(message.contains(words), "{activity}: {message}");
    }
    // The world is as it was.
    assert_eq!(world.result("echo", json!([1])), json!([1]));
}

#[test]
fn an_attempt_is_dropped_at_its_deadline_wherever_it_is() {
    for activity in ["spin", "sleep"] {
        let world = World { time_left: Duration::from_millis(300), ..World::new(ActivityLimits::default()) };
        let begun = Instant::now();
        assert!(matches!(world.run(activity, json!(600)), ActivityEnd::Over), "{activity}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{activity}");
    }
    let limits = ActivityLimits { time: Duration::from_millis(300), ..ActivityLimits::default() };
    let (failure_type, message) = World::new(limits).failure("sleep", json!(600));
    assert_eq!(failure_type, "TimeLimitExceeded", "{message}");
}

#[test]
fn those_that_wait_and_those_that_compute_hold_up_nobody() {
    let limits = ActivityLimits { threads: 1, ..ActivityLimits::default() };
    let world = World { time_left: Duration::from_secs(5), ..World::new(limits) };
    std::thread::scope(|scope| {
        let spinning = scope.spawn(|| world.run("spin", json!(null)));
        let sleeping = scope.spawn(|| world.run("sleep", json!(600)));
        assert_eq!(world.result("echo", json!(1)), json!(1));
        assert!(!spinning.is_finished() && !sleeping.is_finished());
    });
}

#[test]
fn a_heartbeat_tells_what_was_asked_and_ends_what_counts_no_longer() {
    let canceled = World { pulse: Pulse::CancelRequested, ..World::new(ActivityLimits::default()) };
    let end = canceled.run("beat_on", json!(null));
    assert!(matches!(end, ActivityEnd::Outcome(ActivityOutcome::Canceled(Some(_)))), "{end:?}");
    let over = World { pulse: Pulse::Over, ..World::new(ActivityLimits::default()) };
    assert!(matches!(over.run("beat_on", json!(null)), ActivityEnd::Over));
    let refused = World { pulse: Pulse::Refused("too large".into()), ..World::new(ActivityLimits::default()) };
    assert_eq!(refused.failure("beat_on", json!(null)), ("BadCall".into(), "too large".into()));
}

#[test]
fn a_type_that_is_not_there_and_arguments_that_do_not_fit_are_failures() {
    let world = World::new(ActivityLimits::default());
    let (failure_type, message) = world.failure("nothing", json!(null));
    assert_eq!(failure_type, "NotFoundError");
    assert!(message.contains("echo, facts"), "{message}");
    assert_eq!(world.failure("fail_until", json!("three")).0, "PayloadConversionError");
}

#[test]
fn without_a_grant_nothing_is_reached() {
    let peer = Peer::answering(ok("reached"));
    let world = World::new(ActivityLimits::default());
    let reached = world.result("reach", json!(["/etc/passwd", peer.address.to_string()]));
    for (what, answer) in reached.as_object().unwrap() {
        assert!(answer.as_str().unwrap().starts_with("refused"), "{what}: {answer}");
    }
    assert!(world.refusal(&peer.url()).contains("HttpRequestDenied"));
    assert!(peer.heard().is_empty());
    let facts = world.result("facts", json!(null));
    assert_eq!((&facts["environment"], &facts["config"], &facts["arguments"]), (&json!([]), &json!([]), &json!([])));
}

#[test]
fn a_grant_opens_one_host_and_no_other() {
    let (granted, other) = (Peer::answering(ok("here")), Peer::answering(ok("there")));
    let world = World::granted(ActivityLimits::default(), hosts(&[&granted.url()], true));
    let answer = world.result("fetch", json!({ "url": format!("{}/a?b=c", granted.url()), "headers": [["x-a", "1"]] }));
    assert_eq!((&answer["status"], &answer["body"]), (&json!(200), &json!("here")));
    let heard = granted.heard();
    assert!(heard[0].starts_with("GET /a?b=c HTTP/1.1\r\n"), "{}", heard[0]);
    assert!(heard[0].contains(&format!("host: {}\r\n", granted.address)) && heard[0].contains("x-a: 1\r\n"));
    let port = granted.address.port();
    for url in [
        other.url(),
        format!("https://127.0.0.1:{port}"),
        format!("http://localhost:{port}"),
        format!("http://user@127.0.0.1:{port}"),
        format!("http://127.0.0.1:{port}@evil.example"),
        "http://127.0.0.1".to_owned(),
    ] {
        let refusal = world.refusal(&url);
        assert!(
            refusal.contains("Denied") || refusal.contains("host that none can have") || refusal.contains("Invalid"),
            "{url}: {refusal}"
        );
    }
    assert!(other.heard().is_empty());
}

#[test]
fn a_name_that_leads_to_a_private_address_leads_nowhere() {
    let peer = Peer::answering(ok("reached"));
    let port = peer.address.port();
    // Every way to write this machine's own address that a resolver takes.
    let names = [
        "localhost",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
    ];
    for name in names {
        let url = format!("http://{name}:{port}");
        let world = World::granted(ActivityLimits::default(), hosts(&[&url], false));
        let refusal = world.refusal(&url);
        assert!(refusal.contains("DestinationIpProhibited") || refusal.contains("DnsError"), "{name}: {refusal}");
    }
    assert!(peer.heard().is_empty());
    // The same name, where the grant says that such addresses are meant.
    let url = format!("http://localhost:{port}");
    let world = World::granted(ActivityLimits::default(), hosts(&[&url], true));
    assert_eq!(world.fetch(&url)["body"], "reached");
}

#[test]
fn a_redirect_is_an_answer_and_what_follows_it_is_checked_like_any_request() {
    let target = Peer::answering(ok("the inside"));
    let redirect = format!("HTTP/1.1 302 Found\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", target.url());
    let peer = Peer::answering(redirect);
    let world = World::granted(ActivityLimits::default(), hosts(&[&peer.url()], true));
    let answer = world.fetch(&peer.url());
    assert_eq!((&answer["status"], &answer["location"]), (&json!(302), &json!(target.url())));
    assert!(world.refusal(answer["location"].as_str().unwrap()).contains("HttpRequestDenied"));
    assert!(target.heard().is_empty());
}

#[test]
fn a_secret_reaches_its_host_and_never_the_guest() {
    let (peer, other) = (Peer::answering(ok("thanks")), Peer::answering(ok("thanks")));
    let secret = SecretGrant {
        name: "API_KEY".into(),
        value: SecretValue::new("hunter2".into()),
        hosts: vec![peer.url().parse().unwrap()],
    };
    let grants = Grants { secrets: vec![secret], ..hosts(&[&peer.url(), &other.url()], true) };
    let world = World::granted(ActivityLimits::default(), grants);
    let call = |url: &str| json!({ "url": url, "headers": [["authorization", "Bearer {{secret:API_KEY}}"]] });
    let answer = world.result("fetch", call(&peer.url()));
    assert_eq!(answer["status"], 200);
    assert!(peer.heard()[0].contains("authorization: Bearer hunter2\r\n"), "{}", peer.heard()[0]);
    let refused = world.result("fetch", call(&other.url()));
    assert!(refused["error"].as_str().unwrap().contains("HttpRequestDenied"));
    assert!(other.heard().is_empty());
    let seen = [answer, refused, world.result("facts", json!(null))];
    assert!(!format!("{seen:?}").contains("hunter2"));
    assert!(!format!("{:?}", world.grants).contains("hunter2"));
}

#[test]
fn bodies_requests_and_time_have_limits() {
    let large = Peer::answering(ok(&"x".repeat(20_000)));
    let limits = ActivityLimits { http_body_bytes: 10_000, ..ActivityLimits::default() };
    let world = World::granted(limits, hosts(&[&large.url()], true));
    let refusal = world.refusal(&large.url());
    assert!(refusal.contains("body size exceeds limit: 10000 bytes"), "{refusal}");
    let sent = world.result("fetch", json!({ "url": large.url(), "method": "POST", "body_bytes": 20_000 }));
    assert!(sent["error"].is_string(), "{sent}");
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let silent_url = format!("http://{}", silent.local_addr().unwrap());
    let limits = ActivityLimits { http_time: Duration::from_millis(500), ..ActivityLimits::default() };
    let late = World::granted(limits, hosts(&[&silent_url], true)).refusal(&silent_url);
    assert!(late.contains("Timeout"), "{late}");
    let small = Peer::answering(ok("small"));
    let limits = ActivityLimits { http_requests: 3, ..ActivityLimits::default() };
    let world = World::granted(limits, hosts(&[&small.url()], true));
    assert_eq!(world.result("fetch", json!({ "url": small.url(), "times": 3 }))["status"], 200);
    let fourth = world.result("fetch", json!({ "url": small.url(), "times": 4 }));
    assert!(fourth["error"].as_str().unwrap().contains("HttpRequestDenied"), "{fourth}");
    assert!(world.result("fetch", json!({ "url": small.url(), "method": "CONNECT" }))["error"].is_string());
}

#[test]
fn what_an_attempt_uses_is_paid_for() {
    let account = Arc::new(Counting::default());
    let world = World { account: Some(account.clone()), ..World::new(ActivityLimits::default()) };
    assert_eq!(world.result("echo", json!(7)), json!(7));
    let echo = account.fuel.load(Relaxed);
    assert!(echo > 0);
    // Also where it ends otherwise, and with what was used since the clock's last tick.
    world.failure("recurse", json!(1_000_000_000));
    assert!(account.fuel.load(Relaxed) > 2 * echo);
}

#[test]
fn one_that_computes_waits_for_its_turn() {
    let account = Arc::new(Counting::default());
    let world = World {
        account: Some(account.clone()),
        time_left: Duration::from_secs(2),
        ..World::new(ActivityLimits::default())
    };
    let end = world.run("spin", json!(null));
    assert!(matches!(end, ActivityEnd::Over), "{end:?}");
    // The first turn came, and it computed on; the second one did not.
    assert_eq!(account.turns.load(Relaxed), 2);
}

#[test]
fn requests_that_the_owner_may_not_make_are_refused() {
    let peer = Peer::answering(ok("reached"));
    let url = format!("http://{}", peer.address);
    let account = Arc::new(Counting { requests: AtomicU64::new(1), ..Counting::default() });
    let world = World { account: Some(account), ..World::granted(ActivityLimits::default(), hosts(&[&url], true)) };
    assert_eq!(world.fetch(&url)["status"], json!(200));
    assert!(world.refusal(&url).contains("ConnectionLimitReached"));
}

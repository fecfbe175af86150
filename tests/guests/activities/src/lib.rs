//! Activities for tests: some that behave, and some that ask for too much or for what they may not have.

mod scratch;

use std::{
    net::TcpStream,
    time::{Instant, SystemTime},
};

use mainspring_activity::{Args, prelude::*};

use self::scratch::{
    scratch_count, scratch_escape, scratch_exhaust, scratch_hold, scratch_look, scratch_retry, scratch_use,
};

fn echo(value: serde_json::Value) -> serde_json::Value {
    value
}

/// What the attempt knows of itself.
fn facts() -> serde_json::Value {
    let info = info();
    let until = info.deadline.duration_since(info.started_time).unwrap_or_default();
    serde_json::json!({
        "namespace": info.namespace,
        "taskQueue": info.task_queue,
        "workflowId": info.workflow_id,
        "workflowType": info.workflow_type,
        "activityId": info.activity_id,
        "activityType": info.activity_type,
        "attempt": info.attempt,
        "startToClose": info.start_to_close_timeout.map(|timeout| timeout.as_secs_f64()),
        "secondsUntilDeadline": until.as_secs_f64(),
        "clockIsReal": SystemTime::now() >= info.started_time,
        "environment": std::env::vars().collect::<Vec<_>>(),
        "config": config::all(),
        "arguments": std::env::args().collect::<Vec<_>>(),
    })
}

/// Fails until this attempt, and then says which one it was.
fn fail_until(attempt: u32) -> ActivityResult<u32> {
    match info().attempt {
        now if now < attempt => Err(ApplicationFailure::new("NotYet", format!("attempt {now}")).into()),
        now => Ok(now),
    }
}

fn fail_for_good(message: String) -> ActivityResult<()> {
    Err(ApplicationFailure::new("Useless", message).non_retryable().details(7).into())
}

fn panic(message: String) {
    panic!("{message}");
}

/// Waits, without a word.
fn sleep(seconds: f64) -> f64 {
    std::thread::sleep(Duration::from_secs_f64(seconds));
    seconds
}

/// The first attempt waits; any other gives its number at once.
fn sleep_first(seconds: f64) -> u32 {
    let attempt = info().attempt;
    if attempt == 1 {
        println!("sleeping");
        std::thread::sleep(Duration::from_secs_f64(seconds));
    }
    attempt
}

/// Says that it lives until it is asked to stop; then ends as canceled, with what it has counted.
fn beat_on() -> ActivityResult<()> {
    for count in 0_u64.. {
        std::thread::sleep(Duration::from_millis(20));
        if heartbeat(count).is_err() {
            println!("stopping");
            return Err(Canceled::default().details("cleaned up").into());
        }
    }
    Ok(())
}

/// Waits in small steps and says how many are done.
fn beat((steps, step_seconds): (u32, f64)) -> ActivityResult<u32> {
    let before: Option<u32> = info().heartbeat_details.get(0)?;
    for step in before.unwrap_or(0)..steps {
        std::thread::sleep(Duration::from_secs_f64(step_seconds));
        heartbeat(step + 1)?;
    }
    Ok(steps)
}

/// The first attempt heartbeats 3 and fails; the next one gives what it finds.
fn resume() -> ActivityResult<Option<u32>> {
    if info().attempt == 1 {
        heartbeat(1)?;
        heartbeat(2)?;
        heartbeat(3)?;
        return Err(ApplicationFailure::new("Halfway", "three done").into());
    }
    let details: Args = info().heartbeat_details;
    Ok(details.get(0)?)
}

/// Heartbeats as fast as it can, for so long; gives how often.
fn beat_flood(seconds: f64) -> ActivityResult<u64> {
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed().as_secs_f64() < seconds {
        heartbeat(count)?;
        count += 1;
    }
    Ok(count)
}

/// Asks for nothing and ends as canceled.
fn cancel_unasked() -> ActivityResult<()> {
    Err(Canceled::default().into())
}

fn spin() {
    let mut number = 1_u64;
    loop {
        number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005));
    }
}

fn hoard() -> usize {
    let mut all = Vec::new();
    loop {
        all.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
}

fn recurse(depth: u64) -> u64 {
    if depth == 0 { 0 } else { std::hint::black_box(recurse(depth - 1)) + 1 }
}

fn flood() {
    loop {
        log!(Level::Info, "{}", "x".repeat(1024));
    }
}

fn print(line: String) {
    println!("{line}");
    eprintln!("{line}");
}

fn exit(status: i32) {
    std::process::exit(status);
}

/// What can be reached without a grant: it should be nothing.
fn reach((file, address): (String, String)) -> serde_json::Value {
    let text = |result: Result<String, std::io::Error>| match result {
        Ok(found) => format!("REACHED {found}"),
        Err(error) => format!("refused: {error}"),
    };
    serde_json::json!({
        "file": text(std::fs::read_to_string(&file)),
        "directory": text(std::fs::read_dir("/").map(|entries| entries.count().to_string())),
        "write": text(std::fs::write("/tmp/escaped", "x").map(|()| "written".to_owned())),
        "socket": text(TcpStream::connect(&address).map(|_| "connected".to_owned())),
        "listen": text(std::net::TcpListener::bind("127.0.0.1:0").map(|_| "bound".to_owned())),
        "udp": text(std::net::UdpSocket::bind("127.0.0.1:0").map(|_| "bound".to_owned())),
        "name": text(std::net::ToSocketAddrs::to_socket_addrs("localhost:80").map(|_| "resolved".to_owned())),
    })
}

#[derive(Deserialize)]
struct Call {
    #[serde(default)]
    method: Option<String>,
    url: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body_bytes: usize,
    #[serde(default)]
    times: Option<u32>,
}

/// Makes requests; gives the last response, or why there was none.
fn fetch(call: Call) -> serde_json::Value {
    let mut last = serde_json::Value::Null;
    for _ in 0..call.times.unwrap_or(1) {
        let mut request = Request::new(call.method.as_deref().unwrap_or("GET"), &call.url);
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        last = match request.body(vec![b'x'; call.body_bytes]).send() {
            Ok(response) => serde_json::json!({
                "status": response.status,
                "location": response.header("location").map(|value| String::from_utf8_lossy(value).into_owned()),
                "bytes": response.body.len(),
                "body": response.text().chars().take(500).collect::<String>(),
            }),
            Err(error) => serde_json::json!({ "error": error.to_string() }),
        };
    }
    last
}

mainspring_activity::export!(
    echo,
    facts,
    fail_until,
    fail_for_good,
    panic,
    sleep,
    sleep_first,
    beat_on,
    beat,
    resume,
    beat_flood,
    cancel_unasked,
    spin,
    hoard,
    recurse,
    flood,
    print,
    exit,
    reach,
    fetch,
    scratch_look,
    scratch_count,
    scratch_hold,
    scratch_retry,
    scratch_use,
    scratch_escape,
    scratch_exhaust,
    echo as "renamed",
);

//! Too much of everything.

use std::{hint::black_box, task::Poll};

use mainspring_workflow::prelude::*;

const MIB: usize = 1024 * 1024;

#[workflow]
pub async fn loop_forever() -> WorkflowResult<()> {
    loop {
        black_box(());
    }
}

/// Behaves until its timer fires.
#[workflow]
pub async fn loop_later(milliseconds: u64) -> WorkflowResult<()> {
    sleep(Duration::from_millis(milliseconds)).await?;
    loop {
        black_box(());
    }
}

/// Never gives control back, though each single poll does.
#[workflow]
pub async fn wake_forever() -> WorkflowResult<()> {
    std::future::poll_fn(|cx| {
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

#[workflow]
pub async fn allocate_forever() -> WorkflowResult<()> {
    let mut hoard = Vec::new();
    loop {
        hoard.push(vec![1u8; MIB]);
        black_box(&hoard);
    }
}

#[workflow]
pub async fn allocate_at_once(mib: usize) -> WorkflowResult<usize> {
    Ok(black_box(vec![1u8; mib * MIB]).len())
}

#[workflow]
pub async fn recurse_forever() -> WorkflowResult<u64> {
    Ok(recurse(0))
}

#[expect(unconditional_recursion, reason = "that is the point")]
fn recurse(depth: u64) -> u64 {
    // Something left to do after the call, lest it becomes a loop.
    black_box(recurse(black_box(depth + 1))) + 1
}

/// Timers.
#[workflow]
pub async fn flood_commands() -> WorkflowResult<()> {
    let mut timers = Vec::new();
    loop {
        timers.push(sleep(Duration::from_secs(3600)).start());
    }
}

/// So many activities, and waits for them: a flood only where the count is one.
#[workflow]
pub async fn flood_activities(count: u32) -> WorkflowResult<()> {
    let calls = (0..count).map(|_| activity::<()>("noop").start_to_close_timeout(Duration::from_secs(3600)));
    Ok(try_join_all(calls).await.map(drop)?)
}

#[workflow]
pub async fn flood_logs() -> WorkflowResult<()> {
    loop {
        info!("{}", "log line ".repeat(100));
    }
}

#[workflow]
pub async fn huge_log_line(mib: usize) -> WorkflowResult<()> {
    info!("{}", "x".repeat(mib * MIB));
    Ok(())
}

#[workflow]
pub async fn flood_stdout() -> WorkflowResult<()> {
    loop {
        println!("{}", "stdout line ".repeat(100));
    }
}

#[workflow]
pub async fn flood_stderr() -> WorkflowResult<()> {
    loop {
        eprintln!("{}", "stderr line ".repeat(100));
    }
}

#[workflow]
pub async fn trap(message: String) -> WorkflowResult<()> {
    panic!("{message}");
}

#[workflow]
pub async fn huge_result(mib: usize) -> WorkflowResult<Bytes> {
    Ok(Bytes(vec![b'x'; mib * MIB]))
}

#[workflow]
pub async fn huge_activity_input(mib: usize) -> WorkflowResult<()> {
    let call = activity("swallow").arg(Bytes(vec![b'x'; mib * MIB]));
    Ok(call.start_to_close_timeout(Duration::from_secs(10)).await?)
}

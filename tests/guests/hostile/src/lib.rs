//! Workflows that want to harm the server or their neighbours, or to look out of the sandbox. None may succeed.

mod floods;
mod probes;

mainspring_workflow::export!(
    floods::allocate_at_once,
    floods::allocate_forever,
    floods::flood_activities,
    floods::flood_commands,
    floods::flood_logs,
    floods::flood_stderr,
    floods::flood_stdout,
    floods::huge_activity_input,
    floods::huge_log_line,
    floods::huge_result,
    floods::loop_forever,
    floods::loop_later,
    floods::recurse_forever,
    floods::trap,
    floods::wake_forever,
    probes::probe,
);

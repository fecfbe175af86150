//! Workflows for the end-to-end tests: each does one thing that a test wants to see.
//!
//! Activities are called by the names that the test gives, so that any worker will do.

mod activities;
mod cancellation;
mod children;
mod conversations;
mod failures;
mod handlers;
mod messages;
mod plain;
mod resets;
mod steps;

mainspring_workflow::export!(
    activities::activity_race,
    activities::activity_timeout,
    activities::activity_with_options,
    activities::fan_out,
    activities::sequence,
    cancellation::cancel_me,
    cancellation::cancel_types,
    cancellation::ignore_cancel,
    children::leaves_children,
    children::parent,
    children::steers_a_child,
    children::tells,
    conversations::approval,
    conversations::countdown,
    conversations::double,
    conversations::facts,
    conversations::failing_child,
    conversations::leaves_a_child,
    conversations::messenger,
    conversations::sum_of_children,
    conversations::third_time_lucky,
    handlers::any_name,
    handlers::ends_with_its_update,
    handlers::gate,
    handlers::late_handler,
    messages::condition,
    messages::signal_counter,
    messages::signal_or_timeout,
    plain::bytes,
    plain::chain,
    plain::echo,
    plain::echo_all,
    plain::fail_with,
    plain::log_lines,
    plain::own_info,
    plain::panic_after_timer,
    plain::sleeps,
    resets::collects_in_two_runs,
    resets::waits_for_a_child,
    steps::goes_on,
    steps::local_step,
    steps::notes,
    steps::patches,
    steps::saga,
);

//! Functions as activities: how arguments and results pass.

use mainspring_workflow::{
    __private::{args, failure_links},
    Args, FailureKind, FromPayload, HandlerOutput, Payload, PayloadError, ToPayload, WorkflowError, WorkflowResult,
};

use crate::bindings::{ActivityDefinition, Outcome};

/// A function of up to eight arguments, each of a type that can be received. (The parameter is inferred.)
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no activity",
    note = "its arguments implement `serde::Deserialize` and own what they hold; it is not async, and gives a value that \
            can be sent or a `Result` of one"
)]
pub trait Activity<Marker> {
    /// Calls it with what came.
    fn call(self, args: &Args) -> WorkflowResult<Payload>;
}

fn encode<Marker>(output: impl HandlerOutput<Marker>) -> WorkflowResult<Payload> {
    let unsendable = |error: PayloadError| WorkflowError::from(error);
    output.into_result()?.to_payload().map_err(unsendable)
}

macro_rules! activity {
    ($($argument:ident $index:literal),*) => {
        impl<Function, Output, Marker, $($argument),*> Activity<(Marker, $($argument,)*)> for Function
        where
            Function: FnOnce($($argument),*) -> Output,
            Output: HandlerOutput<Marker>,
            $($argument: FromPayload),*
        {
            #[allow(unused_variables)]
            fn call(self, args: &Args) -> WorkflowResult<Payload> {
                encode(self($(args.get::<$argument>($index)?),*))
            }
        }
    };
}

activity!();
activity!(A 0);
activity!(A 0, B 1);
activity!(A 0, B 1, C 2);
activity!(A 0, B 1, C 2, D 3);
activity!(A 0, B 1, C 2, D 3, E 4);
activity!(A 0, B 1, C 2, D 3, E 4, F 5);
activity!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
activity!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

/// `describe`.
pub fn definitions(names: &[&str]) -> Vec<ActivityDefinition> {
    names.iter().map(|name| ActivityDefinition { name: (*name).to_owned() }).collect()
}

/// `execute`.
pub fn run<Marker>(activity: impl Activity<Marker>, input: Vec<Payload>) -> Outcome {
    // The standard hook names a thread that a guest does not have and a variable that it cannot set.
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    match activity.call(&args(input)) {
        Ok(result) => Outcome::Completed(vec![result]),
        Err(error) => match error.into_failure() {
            failure if matches!(failure.kind, FailureKind::Canceled(_)) => match failure.kind {
                FailureKind::Canceled(details) => Outcome::Canceled(details),
                _ => Outcome::Canceled(Vec::new()),
            },
            failure => Outcome::Failed(failure_links(failure)),
        },
    }
}

#[cfg(test)]
mod tests {
    use mainspring_workflow::{ApplicationFailure, Canceled};

    use super::*;

    fn payload(value: impl ToPayload) -> Payload {
        value.to_payload().unwrap()
    }

    #[test]
    fn arguments_and_results_pass_as_json() {
        let charge = |amount: f64, user: String| format!("{user}: {amount}");
        let Outcome::Completed(result) = run(charge, vec![payload(1.5), payload("ann")]) else { panic!("completed") };
        assert_eq!(result, [payload("ann: 1.5")]);
    }

    #[test]
    fn an_argument_that_does_not_fit_is_named_and_not_tried_again() {
        let Outcome::Failed(links) = run(|_amount: f64| (), vec![payload("much")]) else { panic!("failed") };
        assert!(links[0].message.contains("argument 1"), "{}", links[0].message);
    }

    #[test]
    fn errors_keep_what_they_say() {
        let decline = || Err::<(), _>(ApplicationFailure::new("CardDeclined", "no funds"));
        let Outcome::Failed(links) = run(decline, Vec::new()) else { panic!("failed") };
        assert_eq!(links[0].message, "no funds");
        let stop = || Err::<(), _>(Canceled::default());
        assert!(matches!(run(stop, Vec::new()), Outcome::Canceled(_)));
    }
}

//! Random programs for the puppet: sequences of steps in which everything that is awaited or canceled has begun.

use proptest::prelude::*;
use serde_json::{Value, json};

/// What a program does next. Numbers pick among what has begun before it; where nothing has, the step is left out.
#[derive(Clone, Debug)]
pub enum Op {
    Timer(u16),
    Activity(u8),
    Child(u8),
    SignalExternal,
    CancelExternal,
    SignalChild(usize),
    Await(usize),
    AwaitStart(usize),
    AwaitSignal,
    AwaitCancel,
    CancelTimer(usize),
    CancelActivity(usize),
    CancelChild(usize),
    CompleteUpdate,
    Patched(u8),
    DeprecatePatch(u8),
    Marker,
    Memo,
    Observe(u8),
    Log,
}

/// How a program ends.
#[derive(Clone, Debug)]
pub enum End {
    Complete,
    Fail,
    Canceled,
    /// With another program, in a new run.
    Continue(Box<Program>),
}

#[derive(Clone, Debug)]
pub struct Program {
    ops: Vec<Op>,
    end: End,
}

fn op() -> impl Strategy<Value = Op> {
    let which = any::<usize>;
    prop_oneof![
        5 => (0..5_000_u16).prop_map(Op::Timer),
        5 => (0..3_u8).prop_map(Op::Activity),
        4 => (0..4_u8).prop_map(Op::Child),
        2 => Just(Op::SignalExternal),
        2 => Just(Op::CancelExternal),
        1 => which().prop_map(Op::SignalChild),
        8 => which().prop_map(Op::Await),
        2 => which().prop_map(Op::AwaitStart),
        3 => Just(Op::AwaitSignal),
        1 => Just(Op::AwaitCancel),
        2 => which().prop_map(Op::CancelTimer),
        2 => which().prop_map(Op::CancelActivity),
        2 => which().prop_map(Op::CancelChild),
        2 => Just(Op::CompleteUpdate),
        2 => (0..3_u8).prop_map(Op::Patched),
        1 => (0..3_u8).prop_map(Op::DeprecatePatch),
        2 => Just(Op::Marker),
        1 => Just(Op::Memo),
        3 => (0..3_u8).prop_map(Op::Observe),
        1 => Just(Op::Log),
    ]
}

/// A program that may go on in up to two others.
pub fn program() -> impl Strategy<Value = Program> {
    let end = prop_oneof![4 => Just(End::Complete), 1 => Just(End::Fail), 1 => Just(End::Canceled)];
    let last = (prop::collection::vec(op(), 0..25), end).prop_map(|(ops, end)| Program { ops, end });
    last.prop_recursive(2, 50, 1, |next| {
        let goes_on = prop_oneof![
            1 => Just(None),
            1 => next.clone().prop_map(Some),
        ];
        (next, goes_on).prop_map(|(program, goes_on)| match goes_on {
            Some(next) => Program { end: End::Continue(Box::new(next)), ..program },
            None => program,
        })
    })
}

/// Names of what has begun.
#[derive(Default)]
struct Begun {
    number: u32,
    timers: Vec<String>,
    activities: Vec<String>,
    children: Vec<String>,
    all: Vec<String>,
}

impl Begun {
    fn name(&mut self) -> String {
        self.number += 1;
        let name = format!("op-{}", self.number);
        self.all.push(name.clone());
        name
    }
}

fn pick(names: &[String], which: usize) -> Option<&String> {
    names.get(which.checked_rem(names.len())?)
}

impl Program {
    /// The puppet's input.
    pub fn steps(&self) -> Value {
        let mut begun = Begun::default();
        let mut steps: Vec<Value> = self.ops.iter().filter_map(|op| op.step(&mut begun)).collect();
        steps.push(match &self.end {
            End::Complete => json!("complete"),
            End::Fail => json!({"fail": {"kind": "Hopeless", "links": 2}}),
            End::Canceled => json!("canceled"),
            End::Continue(next) => json!({"continue_as_new": next.steps()}),
        });
        Value::Array(steps)
    }
}

impl Op {
    fn step(&self, begun: &mut Begun) -> Option<Value> {
        Some(match self {
            Op::Timer(ms) => {
                let name = begun.name();
                begun.timers.push(name.clone());
                json!({"timer": {"name": name, "ms": ms}})
            }
            Op::Activity(cancel) => {
                let name = begun.name();
                begun.activities.push(name.clone());
                let cancel = ["try", "wait", "abandon"][usize::from(*cancel)];
                json!({"activity": {"name": name, "kind": "work", "input": name, "cancel": cancel, "attempts": 2}})
            }
            Op::Child(cancel) => {
                let name = begun.name();
                begun.children.push(name.clone());
                let cancel = ["try", "wait", "abandon", "requested"][usize::from(*cancel)];
                json!({"child": {"name": name, "cancel": cancel}})
            }
            Op::SignalExternal => json!({"signal_external": {"name": begun.name(), "workflow": "another"}}),
            Op::CancelExternal => json!({"cancel_external": {"name": begun.name(), "workflow": "another"}}),
            Op::SignalChild(which) => {
                let child = pick(&begun.children, *which)?.clone();
                json!({"signal_child": {"name": begun.name(), "child": child}})
            }
            Op::Await(which) => json!({"await": pick(&begun.all, *which)?}),
            Op::AwaitStart(which) => json!({"await_start": pick(&begun.children, *which)?}),
            Op::AwaitSignal => json!("await_signal"),
            Op::AwaitCancel => json!("await_cancel"),
            Op::CancelTimer(which) => json!({"cancel_timer": pick(&begun.timers, *which)?}),
            Op::CancelActivity(which) => json!({"cancel_activity": pick(&begun.activities, *which)?}),
            Op::CancelChild(which) => json!({"cancel_child": pick(&begun.children, *which)?}),
            Op::CompleteUpdate => json!("complete_oldest_update"),
            Op::Patched(id) => json!({"patched": format!("patch-{id}")}),
            Op::DeprecatePatch(id) => json!({"deprecate_patch": format!("old-{id}")}),
            Op::Marker => json!({"marker": "noted"}),
            Op::Memo => json!({"upsert_memo": "key"}),
            Op::Observe(what) => {
                let what = ["now", "random", "hash_order"][usize::from(*what)];
                json!({"observe": what})
            }
            Op::Log => json!({"log": {"message": "a line", "times": 1}}),
        })
    }
}

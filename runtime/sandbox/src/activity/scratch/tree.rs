//! Names and directories.
//!
//! Directories are known by number and hold each other's numbers, not each other: a tree may be as deep as it has
//! directories, and nothing here recurses.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::Arc,
};

use wasmtime_wasi::p2::bindings::{
    clocks::wall_clock::Datetime,
    filesystem::types::{ErrorCode, OpenFlags},
};

use super::{Budget, FileResult, Times, file::File, now};

/// Longest path that a call may give, in bytes; and longest name. As on Linux.
const PATH_BYTES_MAX: usize = 4096;
const NAME_BYTES_MAX: usize = 255;
const ROOT: u64 = 1;

/// The directory that was granted, and all below it.
pub struct Tree {
    budget: Arc<Budget>,
    directories: HashMap<u64, Directory>,
    /// Of files and directories alike; none is used twice.
    next_id: u64,
}

struct Directory {
    parent: u64,
    entries: BTreeMap<String, Node>,
    times: Times,
}

/// A file, or the number of a directory. A directory that was removed has a number that leads nowhere.
#[derive(Clone)]
pub enum Node {
    File(Arc<File>),
    Directory(u64),
}

/// A name in a directory that exists, whether or not there is anything of that name.
struct Place<'a> {
    directory: u64,
    name: &'a str,
    /// Only a directory is meant: the path ends in a slash.
    slash: bool,
}

pub struct Status {
    pub bytes: u64,
    pub times: Times,
}

impl Node {
    pub fn id(&self) -> u64 {
        match self {
            Node::File(file) => file.id,
            Node::Directory(id) => *id,
        }
    }
}

impl Tree {
    pub fn new(budget: Arc<Budget>) -> Tree {
        let root = Directory { parent: ROOT, entries: BTreeMap::new(), times: Times::new() };
        Tree { budget, directories: HashMap::from([(ROOT, root)]), next_id: ROOT + 1 }
    }

    /// The directory itself, where one was granted.
    pub fn root(&self) -> Option<Node> {
        (!self.budget.is_nothing()).then_some(Node::Directory(ROOT))
    }

    /// What a path leads to, from a directory.
    pub fn find(&self, base: u64, path: &str) -> FileResult<Node> {
        check(path)?;
        let path_to = path.trim_end_matches('/');
        let (parents, name) = path_to.rsplit_once('/').unwrap_or(("", path_to));
        if is_step(name) {
            let id = self.walk(base, path_to)?;
            return self.directory(id).map(|_| Node::Directory(id));
        }
        let found = self.entry(self.walk(base, parents)?, name)?;
        match &found {
            Node::File(_) if path_to.len() < path.len() => Err(ErrorCode::NotDirectory),
            _ => Ok(found.clone()),
        }
    }

    /// Opens what a path leads to. `write` says whether it is to be written to, as which a directory cannot be.
    pub fn open(&mut self, base: u64, path: &str, flags: OpenFlags, write: bool) -> FileResult<Node> {
        let [create, exclusive, truncate, directory] =
            [OpenFlags::CREATE, OpenFlags::EXCLUSIVE, OpenFlags::TRUNCATE, OpenFlags::DIRECTORY]
                .map(|flag| flags.contains(flag));
        if (directory && create) || (truncate && !write) {
            return Err(ErrorCode::Invalid);
        }
        let found = match self.find(base, path) {
            Err(ErrorCode::NoEntry) if create => return self.create_file(base, path).map(Node::File),
            Ok(_) if create && exclusive => return Err(ErrorCode::Exist),
            found => found?,
        };
        match &found {
            Node::Directory(_) if create || write => return Err(ErrorCode::IsDirectory),
            Node::File(_) if directory => return Err(ErrorCode::NotDirectory),
            Node::File(file) if truncate => file.set_bytes(0)?,
            _ => {}
        }
        Ok(found)
    }

    fn create_file(&mut self, base: u64, path: &str) -> FileResult<Arc<File>> {
        let place = self.place(base, path)?;
        if place.slash {
            return Err(ErrorCode::IsDirectory);
        }
        let file = File::new(self.next_id, self.budget.clone())?;
        self.next_id += 1;
        self.directory_mut(place.directory)?.put(place.name, Node::File(file.clone()));
        Ok(file)
    }

    pub fn create_directory(&mut self, base: u64, path: &str) -> FileResult<()> {
        match self.find(base, path) {
            Err(ErrorCode::NoEntry) => {}
            Err(code) => return Err(code),
            Ok(_) => return Err(ErrorCode::Exist),
        }
        let place = self.place(base, path)?;
        self.budget.take_entry()?;
        let id = self.next_id;
        self.next_id += 1;
        let parent = place.directory;
        self.directories.insert(id, Directory { parent, entries: BTreeMap::new(), times: Times::new() });
        self.directory_mut(parent)?.put(place.name, Node::Directory(id));
        Ok(())
    }

    pub fn remove_file(&mut self, base: u64, path: &str) -> FileResult<()> {
        let place = self.place(base, path)?;
        match self.entry(place.directory, place.name)? {
            Node::Directory(_) => return Err(ErrorCode::IsDirectory),
            Node::File(_) if place.slash => return Err(ErrorCode::NotDirectory),
            Node::File(_) => {}
        }
        self.directory_mut(place.directory)?.take(place.name);
        Ok(())
    }

    pub fn remove_directory(&mut self, base: u64, path: &str) -> FileResult<()> {
        let place = self.place(base, path)?;
        match self.entry(place.directory, place.name)? {
            Node::File(_) => return Err(ErrorCode::NotDirectory),
            Node::Directory(id) => self.forget(*id)?,
        }
        self.directory_mut(place.directory)?.take(place.name);
        Ok(())
    }

    /// Gives something another name, and takes the place of what had that name.
    pub fn rename(&mut self, from: (u64, &str), to: (u64, &str)) -> FileResult<()> {
        let (from, to) = (self.place(from.0, from.1)?, self.place(to.0, to.1)?);
        let moved = self.entry(from.directory, from.name)?.clone();
        let replaced = match self.entry(to.directory, to.name) {
            Err(ErrorCode::NoEntry) => None,
            found => Some(found?.clone()),
        };
        if replaced.as_ref().is_some_and(|replaced| replaced.id() == moved.id()) {
            return Ok(());
        }
        match (&moved, &replaced) {
            (Node::File(_), _) if from.slash || to.slash => return Err(ErrorCode::NotDirectory),
            (Node::File(_), Some(Node::Directory(_))) => return Err(ErrorCode::IsDirectory),
            (Node::Directory(_), Some(Node::File(_))) => return Err(ErrorCode::NotDirectory),
            (Node::Directory(id), _) if self.is_within(to.directory, *id) => return Err(ErrorCode::Invalid),
            _ => {}
        }
        if let Some(Node::Directory(id)) = replaced {
            self.forget(id)?;
        }
        self.directory_mut(from.directory)?.take(from.name);
        if let Node::Directory(id) = moved {
            self.directory_mut(id)?.parent = to.directory;
        }
        self.directory_mut(to.directory)?.put(to.name, moved);
        Ok(())
    }

    /// The entry of a directory after that of this name, in the order of names; at first, or a directory that has been
    /// removed meanwhile, has none.
    pub fn entry_after(&self, directory: u64, name: Option<&str>) -> Option<(&str, &Node)> {
        let entries = &self.directories.get(&directory)?.entries;
        let after = name.map_or(Bound::Unbounded, Bound::Excluded);
        entries.range::<str, _>((after, Bound::Unbounded)).next().map(|(name, node)| (name.as_str(), node))
    }

    pub fn status(&self, node: &Node) -> FileResult<Status> {
        match node {
            Node::File(file) => Ok(Status { bytes: file.bytes(), times: file.times() }),
            Node::Directory(id) => Ok(Status { bytes: 0, times: self.directory(*id)?.times }),
        }
    }

    pub fn set_times(&mut self, node: &Node, accessed: Option<Datetime>, modified: Option<Datetime>) -> FileResult<()> {
        match node {
            Node::File(file) => file.set_times(accessed, modified),
            Node::Directory(id) => self.directory_mut(*id)?.times.set(accessed, modified),
        }
        Ok(())
    }

    /// Walks from a directory to another. `..` leads no further back than to where the walk began.
    fn walk(&self, base: u64, path: &str) -> FileResult<u64> {
        let mut trail = vec![base];
        let mut here = base;
        for step in path.split('/') {
            match step {
                "" | "." => continue,
                ".." => {
                    trail.pop();
                    here = *trail.last().ok_or(ErrorCode::NotPermitted)?;
                }
                name => match self.entry(here, name)? {
                    Node::File(_) => return Err(ErrorCode::NotDirectory),
                    Node::Directory(id) => {
                        here = *id;
                        trail.push(here);
                    }
                },
            }
        }
        Ok(here)
    }

    fn place<'a>(&self, base: u64, path: &'a str) -> FileResult<Place<'a>> {
        check(path)?;
        let path_to = path.trim_end_matches('/');
        let (parents, name) = path_to.rsplit_once('/').unwrap_or(("", path_to));
        if is_step(name) {
            // It must not lead out; and nothing can be made or removed by such a name.
            self.walk(base, path_to)?;
            return Err(ErrorCode::Invalid);
        }
        if name.len() > NAME_BYTES_MAX {
            return Err(ErrorCode::NameTooLong);
        }
        let directory = self.walk(base, parents)?;
        self.directory(directory)?;
        Ok(Place { directory, name, slash: path_to.len() < path.len() })
    }

    fn entry(&self, directory: u64, name: &str) -> FileResult<&Node> {
        if name.len() > NAME_BYTES_MAX {
            return Err(ErrorCode::NameTooLong);
        }
        self.directory(directory)?.entries.get(name).ok_or(ErrorCode::NoEntry)
    }

    fn directory(&self, id: u64) -> FileResult<&Directory> {
        self.directories.get(&id).ok_or(ErrorCode::NoEntry)
    }

    fn directory_mut(&mut self, id: u64) -> FileResult<&mut Directory> {
        self.directories.get_mut(&id).ok_or(ErrorCode::NoEntry)
    }

    /// Whether a directory is this one, or below it.
    fn is_within(&self, mut directory: u64, ancestor: u64) -> bool {
        loop {
            if directory == ancestor {
                return true;
            }
            match self.directories.get(&directory) {
                Some(found) if found.parent != directory => directory = found.parent,
                _ => return false,
            }
        }
    }

    /// Forgets an empty directory, which still has its name.
    fn forget(&mut self, id: u64) -> FileResult<()> {
        if !self.directory(id)?.entries.is_empty() {
            return Err(ErrorCode::NotEmpty);
        }
        self.directories.remove(&id);
        self.budget.give_entry_back();
        Ok(())
    }
}

impl Directory {
    fn put(&mut self, name: &str, node: Node) {
        self.entries.insert(name.to_owned(), node);
        self.times.modified = now();
    }

    fn take(&mut self, name: &str) {
        self.entries.remove(name);
        self.times.modified = now();
    }
}

/// Whether it names no entry, but a direction to go.
fn is_step(name: &str) -> bool {
    matches!(name, "" | "." | "..")
}

fn check(path: &str) -> FileResult<()> {
    match path {
        "" => Err(ErrorCode::NoEntry),
        _ if path.starts_with('/') => Err(ErrorCode::NotPermitted),
        _ if path.len() > PATH_BYTES_MAX => Err(ErrorCode::NameTooLong),
        _ if path.contains('\0') => Err(ErrorCode::Invalid),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::Pool, *};

    fn tree() -> Tree {
        Tree::new(Budget::new(Pool::new(1 << 30), 1 << 30))
    }

    fn create(tree: &mut Tree, path: &str) -> FileResult<Node> {
        tree.open(ROOT, path, OpenFlags::CREATE, true)
    }

    fn exclusive() -> OpenFlags {
        OpenFlags::CREATE | OpenFlags::EXCLUSIVE
    }

    fn names(tree: &Tree, directory: u64) -> Vec<String> {
        let mut found = Vec::new();
        while let Some((name, _)) = tree.entry_after(directory, found.last().map(String::as_str)) {
            found.push(name.to_owned());
        }
        found
    }

    #[test]
    fn no_path_leads_out_of_the_directory_that_it_starts_at() {
        let mut tree = tree();
        tree.create_directory(ROOT, "a").unwrap();
        tree.create_directory(ROOT, "a/b").unwrap();
        create(&mut tree, "outside").unwrap();
        let a = tree.find(ROOT, "a").unwrap().id();
        for path in ["..", "../a", "b/../..", "b/../../outside", "./../outside", "/", "/outside", "//outside", "../"] {
            assert_eq!(tree.find(a, path).err(), Some(ErrorCode::NotPermitted), "{path}");
            let changes = [
                tree.open(a, path, OpenFlags::CREATE, true).map(drop),
                tree.create_directory(a, path),
                tree.remove_file(a, path),
                tree.remove_directory(a, path),
                tree.rename((a, "b"), (a, path)),
                tree.rename((a, path), (a, "new")),
            ];
            for change in changes {
                assert_eq!(change, Err(ErrorCode::NotPermitted), "{path}");
            }
        }
        assert_eq!(tree.find(a, "b/../b/./").unwrap().id(), tree.find(ROOT, "a/b").unwrap().id());
        assert_eq!(tree.find(a, "b/..").unwrap().id(), a);
        assert_eq!(names(&tree, ROOT), ["a", "outside"]);
    }

    #[test]
    fn names_that_none_can_have_are_refused() {
        let mut tree = tree();
        let (long, longest) = ("n".repeat(256), "n".repeat(255));
        create(&mut tree, &longest).unwrap();
        for (path, code) in [
            ("", ErrorCode::NoEntry),
            (".", ErrorCode::IsDirectory),
            ("a\0b", ErrorCode::Invalid),
            (&long, ErrorCode::NameTooLong),
            (&"./".repeat(2049), ErrorCode::NameTooLong),
            ("new/", ErrorCode::IsDirectory),
            ("none/new", ErrorCode::NoEntry),
            (&format!("{longest}/"), ErrorCode::NotDirectory),
            (&format!("{longest}/new"), ErrorCode::NotDirectory),
        ] {
            assert_eq!(create(&mut tree, path).err(), Some(code), "{path:?}");
        }
        assert_eq!(names(&tree, ROOT), [longest]);
    }

    #[test]
    fn opening_is_as_on_a_disk() {
        let mut tree = tree();
        let Node::File(file) = create(&mut tree, "file").unwrap() else { panic!("it is a file") };
        file.write(0, b"text").unwrap();
        tree.create_directory(ROOT, "directory").unwrap();
        for (path, flags, write, code) in [
            ("none", OpenFlags::empty(), true, ErrorCode::NoEntry),
            ("file", exclusive(), true, ErrorCode::Exist),
            ("file", OpenFlags::DIRECTORY, false, ErrorCode::NotDirectory),
            ("file", OpenFlags::TRUNCATE, false, ErrorCode::Invalid),
            ("directory", OpenFlags::empty(), true, ErrorCode::IsDirectory),
            ("directory", OpenFlags::CREATE, false, ErrorCode::IsDirectory),
            ("directory", exclusive(), true, ErrorCode::Exist),
            ("new", OpenFlags::CREATE | OpenFlags::DIRECTORY, false, ErrorCode::Invalid),
        ] {
            assert_eq!(tree.open(ROOT, path, flags, write).err(), Some(code), "{path} {flags:?}");
        }
        assert_eq!(file.bytes(), 4);
        let again = tree.open(ROOT, "file", OpenFlags::CREATE | OpenFlags::TRUNCATE, true).unwrap();
        assert_eq!((again.id(), file.bytes()), (file.id, 0));
    }

    #[test]
    fn renaming_replaces_what_may_be_replaced_and_moves_nothing_into_itself() {
        let mut tree = tree();
        for directory in ["a", "a/b", "empty", "full"] {
            tree.create_directory(ROOT, directory).unwrap();
        }
        create(&mut tree, "full/file").unwrap();
        create(&mut tree, "file").unwrap();
        for (from, to, code) in [
            ("a", "a/b/c", ErrorCode::Invalid),
            ("a", "a/b", ErrorCode::Invalid),
            ("a", "full", ErrorCode::NotEmpty),
            ("a", "file", ErrorCode::NotDirectory),
            ("file", "empty", ErrorCode::IsDirectory),
            ("file", "other/", ErrorCode::NotDirectory),
            ("none", "other", ErrorCode::NoEntry),
            (".", "other", ErrorCode::Invalid),
            ("file", "none/other", ErrorCode::NoEntry),
        ] {
            assert_eq!(tree.rename((ROOT, from), (ROOT, to)), Err(code), "{from} to {to}");
        }
        tree.rename((ROOT, "file"), (ROOT, "file")).unwrap();
        tree.rename((ROOT, "a"), (ROOT, "empty")).unwrap();
        tree.rename((ROOT, "file"), (ROOT, "full/file")).unwrap();
        assert_eq!(names(&tree, ROOT), ["empty", "full"]);
        // It has another parent now.
        tree.rename((ROOT, "empty/b"), (ROOT, "full/b")).unwrap();
        tree.rename((ROOT, "empty"), (ROOT, "full/b/empty")).unwrap();
        assert_eq!(tree.rename((ROOT, "full/b"), (ROOT, "full/b/empty/b")), Err(ErrorCode::Invalid));
    }

    #[test]
    fn what_was_removed_leads_nowhere_and_has_given_back_what_it_took() {
        let pool = Pool::new(8 * 4096);
        let mut tree = Tree::new(Budget::new(pool, 8 * 4096));
        for round in 0..100 {
            tree.create_directory(ROOT, "d").unwrap();
            let directory = tree.find(ROOT, "d").unwrap().id();
            let Node::File(file) = create(&mut tree, "d/file").unwrap() else { panic!("it is a file") };
            file.set_bytes(6 * 4096).unwrap();
            assert_eq!(tree.remove_directory(ROOT, "d"), Err(ErrorCode::NotEmpty), "{round}");
            tree.remove_file(ROOT, "d/file").unwrap();
            // It is open still.
            assert!(create(&mut tree, "new").is_err());
            drop(file);
            tree.remove_directory(ROOT, "d").unwrap();
            assert_eq!(tree.find(directory, ".").err(), Some(ErrorCode::NoEntry));
            assert_eq!(tree.open(directory, "x", OpenFlags::CREATE, true).err(), Some(ErrorCode::NoEntry));
            assert_eq!(tree.create_directory(directory, "x"), Err(ErrorCode::NoEntry));
            assert!(tree.entry_after(directory, None).is_none());
        }
    }

    #[test]
    fn a_tree_may_be_deeper_than_any_path() {
        let mut tree = tree();
        let mut here = ROOT;
        let deepest = mainspring_core::limits::activity::SCRATCH_FILES;
        for _ in 0..deepest {
            tree.create_directory(here, "d").unwrap();
            here = tree.find(here, "d").unwrap().id();
        }
        assert_eq!(tree.create_directory(here, "d"), Err(ErrorCode::InsufficientSpace));
        assert_eq!(tree.rename((ROOT, "d"), (here, "d")), Err(ErrorCode::Invalid));
        drop(tree);
    }

    /// All that can be reached from the root, each once.
    fn reached(tree: &Tree) -> Vec<u64> {
        let (mut found, mut next) = (vec![ROOT], vec![ROOT]);
        while let Some(id) = next.pop() {
            for node in tree.directories[&id].entries.values() {
                found.push(node.id());
                if let Node::Directory(below) = node {
                    assert_eq!(tree.directories[below].parent, id);
                    next.push(*below);
                }
            }
        }
        found
    }

    fn paths() -> impl Strategy<Value = String> {
        proptest::collection::vec(prop_oneof!["[abc]", Just("..".to_owned())], 1..5).prop_map(|steps| steps.join("/"))
    }

    proptest! {
        /// Whatever is done, the tree is one, and takes what is in it.
        #[test]
        fn nothing_is_lost_and_nothing_is_in_two_places(calls in proptest::collection::vec((0..5u8, paths(), paths()), 0..200)) {
            let budget = Budget::new(Pool::new(40 * 4096), 40 * 4096);
            let mut tree = Tree::new(budget.clone());
            for (call, path, other) in calls {
                // Most are refused; how does not matter here.
                let _ = match call {
                    0 => create(&mut tree, &path).map(drop),
                    1 => tree.create_directory(ROOT, &path),
                    2 => tree.remove_file(ROOT, &path),
                    3 => tree.remove_directory(ROOT, &path),
                    _ => tree.rename((ROOT, &path), (ROOT, &other)),
                };
                let mut found = reached(&tree);
                let entries = found.len() - 1;
                prop_assert!(entries <= 40);
                // Exactly as much is left as others have not taken.
                let rest = 40 - entries as u64;
                prop_assert!(budget.take(rest).is_ok() && budget.take(1).is_err());
                budget.give_back(rest);
                prop_assert_eq!(found.iter().filter(|id| tree.directories.contains_key(id)).count(), tree.directories.len());
                found.sort_unstable();
                found.dedup();
                prop_assert_eq!(found.len(), entries + 1);
            }
        }
    }
}

//! Activities that use a scratch directory: as it is meant, and otherwise.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use mainspring_activity::prelude::*;

const SCRATCH: &str = "/scratch";
/// No file or directory of any test needs a longer wait for its limit.
const MANY: usize = 20_000;

fn at(name: &str) -> PathBuf {
    Path::new(SCRATCH).join(name)
}

fn names(directory: &Path) -> io::Result<Vec<String>> {
    let mut found = fs::read_dir(directory)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<Vec<_>>>()?;
    found.sort();
    Ok(found)
}

/// What there is: names, or why there are none.
pub fn scratch_look() -> serde_json::Value {
    match names(Path::new(SCRATCH)) {
        Ok(names) => serde_json::json!(names),
        Err(error) => serde_json::json!({ "error": error.to_string() }),
    }
}

/// Counts words by way of files, as a real activity would; leaves the files behind.
pub fn scratch_count(text: String) -> io::Result<Vec<(String, usize)>> {
    for word in text.split_whitespace() {
        let mut file = OpenOptions::new().create(true).append(true).open(at(word))?;
        file.write_all(b".")?;
    }
    names(Path::new(SCRATCH))?.into_iter().map(|name| Ok((name.clone(), fs::read(at(&name))?.len()))).collect()
}

/// Everything that `std::fs` does with files and directories. What differs from a disk's ends it.
pub fn scratch_use() -> io::Result<String> {
    assert_eq!(names(Path::new(SCRATCH))?, [""; 0]);
    files()?;
    directories()?;
    times()?;
    Ok("as on a disk".to_owned())
}

fn files() -> io::Result<()> {
    let path = at("file");
    fs::write(&path, "one two")?;
    assert_eq!(fs::read_to_string(&path)?, "one two");
    assert_eq!(File::create_new(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    let mut appended = OpenOptions::new().append(true).open(&path)?;
    appended.write_all(b" three")?;
    appended.write_all(b" four")?;
    let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
    file.seek(SeekFrom::Start(4))?;
    file.write_all(b"TWO")?;
    file.seek(SeekFrom::End(-4))?;
    let mut end = String::new();
    file.read_to_string(&mut end)?;
    assert_eq!((end.as_str(), fs::read_to_string(&path)?.as_str()), ("four", "one TWO three four"));
    file.set_len(3)?;
    file.set_len(5)?;
    file.sync_all()?;
    assert_eq!(fs::read(&path)?, b"one\0\0");
    // A hole, and more than a block.
    file.seek(SeekFrom::Start(10_000))?;
    file.write_all(&[7; 10_000])?;
    let all = fs::read(&path)?;
    assert_eq!((all.len(), all[9_999], all[10_000], all[19_999]), (20_000, 0, 7, 7));
    assert!(File::open(&path)?.write_all(b"x").is_err());
    assert!(OpenOptions::new().write(true).open(&path)?.read(&mut [0]).is_err());
    assert_eq!(fs::copy(&path, at("copy"))?, 20_000);
    // Truncated by being opened, and read by who had it open all along.
    fs::write(&path, "new")?;
    assert_eq!(file.metadata()?.len(), 3);
    fs::rename(at("copy"), &path)?;
    assert_eq!((fs::metadata(&path)?.len(), file.metadata()?.len()), (20_000, 3));
    // One without a name lives as long as it is open.
    fs::remove_file(&path)?;
    assert_eq!(fs::metadata(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
    file.seek(SeekFrom::Start(0))?;
    let mut left = String::new();
    file.read_to_string(&mut left)?;
    assert_eq!(left, "new");
    Ok(())
}

fn directories() -> io::Result<()> {
    fs::create_dir_all(at("a/b/c"))?;
    assert_eq!(fs::create_dir(at("a")).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    fs::write(at("a/b/c/file"), "deep")?;
    for number in 0..300 {
        fs::write(at(&format!("a/{number:03}")), [])?;
    }
    let listed = names(&at("a"))?;
    assert_eq!((listed.len(), listed[0].as_str(), listed[300].as_str()), (301, "000", "b"));
    let kinds = fs::read_dir(at("a"))?.map(|entry| entry?.file_type()).collect::<io::Result<Vec<_>>>()?;
    assert_eq!(kinds.iter().filter(|kind| kind.is_dir()).count(), 1);
    assert!(
        fs::remove_dir(at("a")).is_err() && fs::remove_dir(at("a/000")).is_err() && fs::remove_file(at("a/b")).is_err()
    );
    fs::rename(at("a/b"), at("moved"))?;
    assert_eq!(fs::read_to_string(at("moved/c/file"))?, "deep");
    assert_eq!(fs::read_to_string(at("moved/c/../c/./file"))?, "deep");
    assert!(fs::rename(at("moved"), at("moved/c/inside")).is_err());
    assert!(fs::read(at("moved/c/file/x")).is_err());
    assert!(fs::metadata(at("moved/c"))?.is_dir() && fs::read(at("moved/c")).is_err());
    fs::remove_dir_all(at("moved"))?;
    fs::remove_dir_all(at("a"))?;
    assert_eq!(names(Path::new(SCRATCH))?, [""; 0]);
    Ok(())
}

fn times() -> io::Result<()> {
    let file = File::create(at("timed"))?;
    let age = SystemTime::now().duration_since(file.metadata()?.modified()?).unwrap_or_default();
    assert!(age < Duration::from_secs(60), "{age:?}");
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    file.set_modified(long_ago)?;
    assert_eq!(fs::metadata(at("timed"))?.modified()?, long_ago);
    Ok(())
}

/// Leaves a file and fails; the second attempt looks for it, and says which attempt it was.
pub fn scratch_retry() -> ActivityResult<u32> {
    assert!(names(Path::new(SCRATCH))?.is_empty(), "an earlier attempt's files are there");
    fs::write(at("left"), "behind")?;
    match info().attempt {
        1 => Err(ApplicationFailure::new("NotYet", "the first attempt fails").into()),
        attempt => Ok(attempt),
    }
}

/// Writes this many bytes, and then waits for its end or makes one.
pub fn scratch_hold((bytes, then): (usize, String)) -> io::Result<()> {
    fs::write(at("held"), vec![1; bytes])?;
    assert_eq!(then, "wait", "not asked to wait");
    std::thread::sleep(Duration::from_secs(600));
    Ok(())
}

/// Ways out. Each should be refused; with what was found if one is not.
#[allow(deprecated)]
pub fn scratch_escape() -> io::Result<serde_json::Value> {
    fs::create_dir_all(at("a/b"))?;
    fs::write(at("a/file"), "inside")?;
    let text = |result: io::Result<String>| match result {
        Ok(found) => format!("REACHED {found}"),
        Err(error) => format!("refused: {error}"),
    };
    let mut tried = serde_json::Map::new();
    for path in
        ["../etc/passwd", "a/../../etc/passwd", "a/b/../../../etc/passwd", "..", "/etc/passwd", "/proc/self/environ"]
    {
        tried.insert(format!("read {path}"), text(fs::read_to_string(at(path))).into());
        tried.insert(format!("write {path}"), text(fs::write(at(path), "x").map(|()| "written".into())).into());
        tried
            .insert(format!("list {path}"), text(fs::read_dir(at(path)).map(|found| found.count().to_string())).into());
        tried.insert(
            format!("move to {path}"),
            text(fs::rename(at("a/file"), at(path)).map(|()| "moved".into())).into(),
        );
        tried.insert(format!("make {path}"), text(fs::create_dir(at(path)).map(|()| "made".into())).into());
    }
    for target in ["/etc/passwd", "../..", "file", "a"] {
        tried
            .insert(format!("link {target}"), text(fs::soft_link(target, at("link")).map(|()| "linked".into())).into());
    }
    tried.insert("hard link".into(), text(fs::hard_link(at("a/file"), at("hard")).map(|()| "linked".into())).into());
    Ok(tried.into())
}

/// Takes more and more of something until that is refused; says how much there was and why there is no more.
pub fn scratch_exhaust(what: String) -> io::Result<serde_json::Value> {
    let mut taken = 0_u64;
    let mut held = Vec::new();
    let mut one_more = |taken: u64| -> io::Result<u64> {
        let index = held.len();
        match what.as_str() {
            "bytes" => {
                OpenOptions::new().create(true).append(true).open(at("large"))?.write_all(&[1; 50_000]).map(|()| 50_000)
            }
            "holes" => {
                let file = File::create(at(&format!("hole-{index}")))?;
                file.set_len(1_000_000)?;
                held.push(file);
                Ok(1_000_000)
            }
            "terabytes" => {
                let mut file = File::create(at("huge"))?;
                assert!(file.set_len(u64::MAX).is_err() && file.set_len(1 << 62).is_err());
                file.seek(SeekFrom::Start(1 << 40))?;
                assert!(file.write_all(b"x").is_err());
                file.set_len(1 << 40).map(|()| 1 << 40)
            }
            "files" => File::create(at(&format!("file-{taken}"))).map(|_| 1),
            // The names alone would be 1 GB.
            "names" => File::create(at(&format!("{taken:0255}"))).map(|_| 1),
            "directories" => fs::create_dir(at(&format!("directory-{taken}"))).map(|()| 1),
            "depth" => {
                let steps = (0..=taken).map(|_| "d");
                fs::create_dir(at(&steps.collect::<Vec<_>>().join("/"))).map(|()| 1)
            }
            "descriptors" => {
                held.push(OpenOptions::new().create(true).append(true).open(at("shared"))?);
                Ok(1)
            }
            // Each has lost its name, and is still there.
            "nameless" => {
                let mut file = File::create(at("nameless"))?;
                file.write_all(&[1; 100])?;
                fs::remove_file(at("nameless"))?;
                held.push(file);
                Ok(1)
            }
            other => Err(io::Error::other(format!("nobody knows how to take {other}"))),
        }
    };
    let mut error = None;
    for _ in 0..MANY {
        match one_more(taken) {
            Ok(more) => taken += more,
            Err(found) => {
                error = Some(found);
                break;
            }
        }
    }
    drop(held);
    // What is full is of use again when there is room.
    let after = || -> io::Result<()> {
        for name in names(Path::new(SCRATCH))? {
            match fs::metadata(at(&name))?.is_dir() {
                true => {}
                false => fs::remove_file(at(&name))?,
            }
        }
        if what != "directories" && what != "depth" {
            fs::write(at("after"), "room")?;
        }
        Ok(())
    };
    let after = after().map_or_else(|error| error.to_string(), |()| "fine".to_owned());
    let error = error.map(|error| (error.raw_os_error(), error.to_string()));
    Ok(serde_json::json!({ "taken": taken, "error": error, "after": after }))
}

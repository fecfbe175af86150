//! Power cuts: an ext4 of its own on a loop device is shut down without writing back anything, while a process writes.
//!
//! ```text
//! sudo -E cargo test -p mainspring-store --test power_cut -- --ignored power_cut
//! ```
//!
//! Needs root, a loop device, e2fsprogs and python3 (for the one ioctl). What reached the disk stays, everything in
//! the page cache and the journal's memory goes: just what sled's own flush does not survive.

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;

use mainspring_store::{Batch, Committer, Store};
use support::{SHARD, new_dir, noise, open};

const ROUNDS: usize = 10;
const WRITERS: u64 = 128;
const DIR: &str = "MAINSPRING_POWER_CUT_DIR";

/// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`.
const SHUTDOWN: &str = "import fcntl,os,struct,sys; \
    fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";

#[test]
#[ignore = "needs root and a loop device"]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let base = new_dir();
    let image = base.path().join("image");
    fs::File::create(&image).unwrap().set_len(2 << 30).unwrap();
    run("mkfs.ext4", &["-q".as_ref(), &image]);
    let mount = Mount::new(&image, &base.path().join("mount"));
    let data = mount.path.join("data");
    for round in 0..ROUNDS {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "writer", "--nocapture"])
            .env(DIR, &data)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        let (mut acknowledged, mut count) = (vec![None; WRITERS as usize], 0);
        for line in lines.map_while(Result::ok) {
            let Some((id, step)) = line.strip_prefix("acknowledged ").and_then(|rest| rest.split_once(' ')) else {
                continue;
            };
            acknowledged[id.parse::<usize>().unwrap()] = Some(step.parse::<u64>().unwrap());
            count += 1;
            if count == 6_000 + 500 * round {
                run("python3", &["-c".as_ref(), SHUTDOWN.as_ref(), &mount.path]);
            }
        }
        let _ = writer.kill();
        let _ = writer.wait();
        mount.remount(&image);
        let store = open(&data).unwrap_or_else(|error| panic!("round {round}: {error}"));
        for (id, last) in acknowledged.iter().enumerate() {
            for step in 0..=last.expect("each writer got something acknowledged") {
                let value = store.get(key(round, id as u64, step).as_bytes()).unwrap();
                assert_eq!(value, Some(noise(step, 900)), "round {round}, writer {id}, step {step}");
            }
        }
        eprintln!("round {round}: {count} acknowledged, none lost");
        // The next round's writer finds its number here.
        support::commit(&store, support::puts([("round", (round + 1).to_string())]));
    }
}

fn key(round: usize, id: u64, step: u64) -> String {
    format!("row/{round:03}/{id:03}/{step:08}")
}

/// Not a test: the process that the test above cuts off. Writes until the disk is gone.
#[test]
#[ignore = "started by the test above"]
fn writer() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let store = Arc::new(open(Path::new(&dir)).unwrap());
    let round = store.get(b"round").unwrap();
    let round: usize = round.map_or(0, |round| String::from_utf8(round).unwrap().parse().unwrap());
    let committer = Committer::start(store as Arc<dyn Store>);
    let (send, durable) = mpsc::channel();
    let submit = |id: u64, step: u64| {
        let mut batch = Batch::new(SHARD, 0);
        batch.put(key(round, id, step), noise(step, 900));
        // Rows that are overwritten again and again make sled move pages and use segments anew.
        batch.put(format!("state/{id}"), noise(step, 8_000));
        let send = send.clone();
        committer.submit(
            batch,
            Box::new(move |result| {
                if result.is_ok() {
                    println!("acknowledged {id} {step}");
                }
                let _ = send.send((id, step, result.is_ok()));
            }),
        );
    };
    (0..WRITERS).for_each(|id| submit(id, 0));
    while let Ok((id, step, true)) = durable.recv() {
        submit(id, step + 1);
    }
    // Nothing is closed in order: the power is off.
    std::process::abort();
}

struct Mount {
    path: PathBuf,
}

impl Mount {
    fn new(image: &Path, path: &Path) -> Mount {
        fs::create_dir(path).unwrap();
        let mount = Mount { path: path.to_owned() };
        mount.mount(image);
        mount
    }

    fn mount(&self, image: &Path) {
        run("mount", &["-o".as_ref(), "loop".as_ref(), image, &self.path]);
    }

    fn remount(&self, image: &Path) {
        run("umount", &[&self.path]);
        self.mount(image);
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

fn run(program: &str, args: &[&Path]) {
    let status = Command::new(program).args(args).status();
    let status = status.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(status.success(), "{program} {args:?}: {status}");
}

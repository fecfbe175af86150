//! Attempts to look out of the sandbox. Each tells what it found, or what the error was, unless it is trapped.

use std::{
    collections::hash_map::RandomState,
    env, fs,
    hash::BuildHasher,
    hint::black_box,
    io::Read,
    net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket},
    process, thread,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use mainspring_workflow::prelude::*;

/// Tries the one thing that is named.
#[workflow]
pub async fn probe(what: String) -> WorkflowResult<String> {
    Ok(match what.as_str() {
        "env" => format!("{:?}", env::vars().collect::<Vec<_>>()),
        "args" => format!("{:?}", env::args().collect::<Vec<_>>()),
        "current_dir" => format!("{:?}", env::current_dir()),
        "read_file" => format!("{:?}", fs::read_to_string("/etc/passwd")),
        "read_dir" => format!("{:?}", fs::read_dir("/").map(Iterator::count)),
        "write_file" => format!("{:?}", fs::write("/tmp/mainspring-hostile", "was here")),
        "create_dir" => format!("{:?}", fs::create_dir("/tmp/mainspring-hostile-dir")),
        "remove_file" => format!("{:?}", fs::remove_file("/etc/hostname")),
        "rename" => format!("{:?}", fs::rename("/etc/hostname", "/etc/hostname-hostile")),
        "hard_link" => format!("{:?}", fs::hard_link("/etc/passwd", "/tmp/mainspring-hostile")),
        "metadata" => format!("{:?}", fs::metadata("/").map(|found| found.len())),
        "relative" => format!("{:?}", fs::read("../../../../etc/passwd").map(|found| found.len())),
        "proc_environ" => format!("{:?}", fs::read("/proc/self/environ").map(|found| found.len())),
        "proc_mem" => format!("{:?}", fs::File::open("/proc/self/mem").map(drop)),
        "proc_maps" => format!("{:?}", fs::read_to_string("/proc/self/maps").map(|found| found.len())),
        "proc_fd" => format!("{:?}", fs::read_dir("/proc/self/fd").map(Iterator::count)),
        "proc_root" => format!("{:?}", fs::read_dir("/proc/1/root").map(Iterator::count)),
        "dev_urandom" => format!("{:?}", fs::File::open("/dev/urandom").map(drop)),
        "temp_dir" => format!("{:?}", fs::read_dir("/tmp").map(Iterator::count)),
        "current_exe" => format!("{:?}", env::current_exe()),
        "home_dir" => format!("{:?}", env::home_dir()),
        // Both are told by the test and the replay of this history: the workflow's time, which stands still meanwhile.
        "clock" => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string(),
        "elapsed" => {
            let begun = Instant::now();
            for number in 0..1_000_000 {
                black_box(number);
            }
            format!("{:?}", begun.elapsed())
        }
        // Were it the machine's, the replay would say another number than this history.
        "entropy" => RandomState::new().hash_one(what.as_str()).to_string(),
        "stdin" => format!("{:?}", std::io::stdin().read(&mut [0; 16])),
        "tcp_connect" => format!("{:?}", TcpStream::connect("127.0.0.1:7233").map(drop)),
        "tcp_listen" => format!("{:?}", TcpListener::bind("127.0.0.1:0").map(drop)),
        "tcp_connect_v6" => format!("{:?}", TcpStream::connect("[::1]:7233").map(drop)),
        "tcp_metadata_service" => format!("{:?}", TcpStream::connect("169.254.169.254:80").map(drop)),
        "udp" => format!("{:?}", UdpSocket::bind("127.0.0.1:0").map(drop)),
        "dns" => format!("{:?}", "localhost:80".to_socket_addrs().map(Iterator::count)),
        "thread" => format!("{:?}", thread::Builder::new().spawn(|| ()).map(drop)),
        "thread_sleep" => {
            thread::sleep(Duration::from_secs(3600));
            "slept".to_owned()
        }
        "process" => format!("{:?}", process::Command::new("/bin/sh").spawn().map(drop)),
        "exit" => process::exit(0),
        "abort" => process::abort(),
        other => return Err(ApplicationFailure::new("UnknownProbe", other).non_retryable().into()),
    })
}

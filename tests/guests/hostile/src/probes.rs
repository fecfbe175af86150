//! Attempts to look out of the sandbox. Each tells what it found, or what the error was, unless it is trapped.

use std::{
    env, fs,
    io::Read,
    net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket},
    process, thread,
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
        "stdin" => format!("{:?}", std::io::stdin().read(&mut [0; 16])),
        "tcp_connect" => format!("{:?}", TcpStream::connect("127.0.0.1:7233").map(drop)),
        "tcp_listen" => format!("{:?}", TcpListener::bind("127.0.0.1:0").map(drop)),
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

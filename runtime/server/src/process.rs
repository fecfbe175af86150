//! What the process itself uses, as Linux tells it under /proc; nothing where it does not.

use std::fs;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    pub resident_bytes: Option<i64>,
    pub open_files: Option<i64>,
    pub cpu_seconds: Option<f64>,
}

/// Clock ticks of /proc/self/stat in a second: fixed for programs, whatever the kernel counts in.
const TICKS: f64 = 100.0;

pub(crate) fn usage() -> Usage {
    Usage {
        resident_bytes: fs::read_to_string("/proc/self/status").ok().as_deref().and_then(resident_bytes),
        open_files: fs::read_dir("/proc/self/fd").ok().and_then(|files| i64::try_from(files.count()).ok()),
        cpu_seconds: fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu_seconds),
    }
}

fn resident_bytes(status: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: i64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    // The name of the program comes second, in parentheses, and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut times = rest.split_whitespace().skip(11).map_while(|ticks| ticks.parse::<f64>().ok());
    Some((times.next()? + times.next()?) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_be_called_anything() {
        let stat = "1 (a) b) S 0 1 1 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 1 0 1 1 1";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds("nonsense"), None);
        assert_eq!(resident_bytes("Name:\ta\nVmRSS:\t    12 kB\n"), Some(12 * 1024));
        assert_eq!(resident_bytes("Name:\ta\n"), None);
    }

    #[test]
    fn this_process_uses_something() {
        let usage = usage();
        assert!(usage.resident_bytes > Some(0) && usage.open_files > Some(0) && usage.cpu_seconds.is_some());
    }
}

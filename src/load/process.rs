//! Processor time and memory of the service's process, from /proc (Linux).

use std::fs;
use std::io;
use std::time::Duration;

/// A process that is watched.
#[derive(Clone, Copy, Debug)]
pub struct WatchedProcess(u32);

/// A file about a process that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}: {source}")]
pub struct ProcessError {
    path: String,
    #[source]
    source: io::Error,
}

impl WatchedProcess {
    /// The process with this id.
    ///
    /// # Errors
    /// If there is none, or this is not Linux.
    pub fn new(id: u32) -> Result<Self, ProcessError> {
        let process = Self(id);
        process.cpu().and(process.resident_kib())?;
        Ok(process)
    }

    /// The processor time that it has used, in user and system mode, in ticks of 10 ms.
    ///
    /// # Errors
    /// If it has ended.
    pub fn cpu(self) -> Result<Duration, ProcessError> {
        self.read("stat", cpu_ticks).map(|ticks| {
            let per_second = rustix::param::clock_ticks_per_second().max(1);
            Duration::from_secs_f64(ticks as f64 / per_second as f64)
        })
    }

    /// Its resident memory in KiB.
    ///
    /// # Errors
    /// If it has ended.
    pub fn resident_kib(self) -> Result<u64, ProcessError> {
        self.read("status", resident_kib)
    }

    fn read(self, file: &str, parse: fn(&str) -> Option<u64>) -> Result<u64, ProcessError> {
        let path = format!("/proc/{}/{file}", self.0);
        let found = fs::read_to_string(&path)
            .and_then(|text| parse(&text).ok_or_else(|| io::Error::other("the figure is missing")));
        found.map_err(|source| ProcessError { path, source })
    }
}

/// Fields 14 and 15, utime and stime. The second is the program's name, which may contain anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(ticks()? + ticks()?)
}

fn resident_kib(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_in_the_text_of_proc() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 3 0 5 6 7";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(cpu_ticks("7 (a) S 1"), None);
        assert_eq!(resident_kib("VmHWM:\t 9 kB\nVmRSS:\t  1234 kB\n"), Some(1234));
        assert_eq!(resident_kib("VmHWM:\t 9 kB\n"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_is_watched_or_named() {
        let own = WatchedProcess::new(std::process::id()).unwrap();
        assert!(own.resident_kib().unwrap() > 0);
        // No process has this number on Linux.
        let error = WatchedProcess::new(u32::MAX).unwrap_err().to_string();
        assert!(error.contains("/proc/4294967295/stat"), "{error}");
    }
}

//! A separate log for a participant that shares its process with others: the records of its thread go to its own file,
//! as if it were its own process.

use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use tracing::Level;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};

use super::file::RecordFile;
use super::{Component, RecordError, TARGET, format, run};

/// Until this is dropped, the records of this thread go to their own file. It must stay in its thread.
pub struct OwnLog {
    _subscriber: DefaultGuard,
    _thread: PhantomData<*const ()>,
}

impl OwnLog {
    /// Sends the records of this thread from now on to a file, as another run, with a wall clock that is this many
    /// seconds off.
    pub fn enter(path: &Path, component: Component, wall_clock_offset_seconds: i64) -> Result<Self, RecordError> {
        let file = RecordFile::open(path, component);
        let file = file.map_err(|source| RecordError::File { path: path.to_owned(), source })?;
        let json = tracing_subscriber::fmt::layer()
            .event_format(format::JsonLine)
            .with_writer(Arc::new(file))
            .with_filter(Targets::new().with_target(TARGET, Level::INFO));
        let subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(json));
        run::begin(wall_clock_offset_seconds);
        Ok(Self { _subscriber: subscriber, _thread: PhantomData })
    }
}

impl Drop for OwnLog {
    fn drop(&mut self) {
        run::end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{About, ClientRecord};

    /// G1: two participants of one process have separate logs and runs, and only the log of the one with a wrong wall
    /// clock has its times.
    #[test]
    fn two_threads_two_logs() {
        let folder = tempfile::tempdir().unwrap();
        let record = |name: &'static str, offset: i64| {
            let path = folder.path().join(format!("client-{name}.jsonl"));
            let written = path.clone();
            let recorded = std::thread::spawn(move || {
                let log = OwnLog::enter(&path, Component::Client, offset).unwrap();
                let about = About { display_name: Some(name.into()), ..About::default() };
                ClientRecord::ClientStarted { about: about.clone() }.emit();
                ClientRecord::ClientStopped { about, reason: None }.emit();
                drop(log);
            });
            recorded.join().unwrap();
            std::fs::read_to_string(written).unwrap()
        };
        let (right, wrong) = (record("right", 0), record("wrong", -600));
        let read = |text: &str| {
            let lines: Vec<serde_json::Value> =
                text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!((lines.len(), &lines[0]["run"]), (2, &lines[1]["run"]));
            let time = humantime::parse_rfc3339(lines[0]["timestamp"].as_str().unwrap()).unwrap();
            (lines[0]["run"].clone(), time)
        };
        let ((right_run, right_time), (wrong_run, wrong_time)) = (read(&right), read(&wrong));
        assert_ne!(right_run, wrong_run);
        let late = right_time.duration_since(wrong_time).unwrap().as_secs();
        assert!((590..=610).contains(&late), "{late}");
    }
}

//! Whose deliveries a lab held back, by the service's records.

use foldhash::HashMap;

use crate::log::LogRecord;
use crate::trace::record::Who;

/// The participants whose deliveries were ever held, delayed, cut or paused.
#[derive(Debug, Default)]
pub(super) struct HeldBack {
    of: HashMap<Who, Hold>,
    /// Whether there was any fault.
    any: bool,
}

#[derive(Debug)]
struct Hold {
    /// The log of the service that says so.
    log: u32,
    /// When it ended, in microseconds since 1970; `None` while it lasts.
    ended: Option<i64>,
}

impl HeldBack {
    /// A new process of the service has no faults.
    pub(super) fn started(&mut self, log: u32, at: i64) {
        let of_log = self.of.values_mut().filter(|hold| hold.log == log);
        of_log.for_each(|hold| hold.ended = hold.ended.or(Some(at)));
    }

    /// Adds a `fault_changed`.
    pub(super) fn take(&mut self, log: u32, who: Who, record: &LogRecord<'_>) {
        self.any = true;
        let faults = LogRecord::text(&record.faults);
        if faults.contains("deliveries") || faults.contains("paused") {
            self.of.insert(who, Hold { log, ended: None });
        } else if let Some(hold) = self.of.get_mut(&who) {
            hold.ended = hold.ended.or(Some(record.at));
        }
    }

    /// Whether the service had a fault at any time.
    pub(super) fn any(&self) -> bool {
        self.any
    }

    /// Since when nothing has held a participant's deliveries back; `None` if something still does.
    pub(super) fn free_since(&self, who: Who) -> Option<i64> {
        self.of.get(&who).map_or(Some(i64::MIN), |hold| hold.ended)
    }
}

//! Whose deliveries a lab held back, by the service's records.

use foldhash::HashMap;

use crate::log::LogRecord;
use crate::trace::record::Who;

/// The participants whose deliveries were ever held, delayed, cut or paused: `None` while they are, otherwise when that
/// ended, in microseconds since 1970.
#[derive(Debug, Default)]
pub(super) struct HeldBack {
    of: HashMap<Who, Option<i64>>,
    /// Whether there was any fault.
    any: bool,
}

impl HeldBack {
    /// A new process of the service has no faults.
    pub(super) fn started(&mut self, at: i64) {
        self.of.values_mut().for_each(|ended| *ended = ended.or(Some(at)));
    }

    /// Adds a `fault_changed`.
    pub(super) fn take(&mut self, who: Who, record: &LogRecord<'_>) {
        self.any = true;
        let faults = LogRecord::text(&record.faults);
        if faults.contains("deliveries") || faults.contains("paused") {
            self.of.insert(who, None);
        } else if let Some(ended) = self.of.get_mut(&who) {
            *ended = ended.or(Some(record.at));
        }
    }

    /// Whether the service had a fault at any time.
    pub(super) fn any(&self) -> bool {
        self.any
    }

    /// Since when nothing has held a participant's deliveries back; `None` if something still does.
    pub(super) fn free_since(&self, who: Who) -> Option<i64> {
        self.of.get(&who).copied().unwrap_or(Some(i64::MIN))
    }
}

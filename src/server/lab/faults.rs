//! Which faults are in force, for whom, and when they end. Pure: the time is passed in.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::chat::{DisplayName, ParticipantId, Sequence};

/// How long a fault lasts by default.
pub const FAULT_TIME_DEFAULT: Duration = Duration::from_secs(30);
/// The longest that a fault may last.
pub const FAULT_TIME_MAX: Duration = Duration::from_secs(10 * 60);
/// The longest delay, and the longest jitter.
pub const DELAY_MAX: Duration = Duration::from_secs(30);
/// How long the writer stops by default.
pub const WRITER_STOP_DEFAULT: Duration = Duration::from_secs(5);
/// The longest that the writer may be stopped.
pub const WRITER_STOP_MAX: Duration = Duration::from_secs(60);

/// The impairment of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Impairment {
    /// Messages are held until they are released.
    pub hold: bool,
    /// Messages are lost, as on a broken network.
    pub cut: bool,
    /// How long each is delayed.
    pub delay: Duration,
    /// The longest additional delay, which is random.
    pub jitter: Duration,
}

impl Impairment {
    /// Whether anything is delayed.
    pub fn is_delayed(&self) -> bool {
        self.delay + self.jitter > Duration::ZERO
    }

    /// The delay of one message; `fraction`, from 0 to 1, is its share of the jitter.
    pub fn delay(&self, fraction: f64) -> Duration {
        self.delay + self.jitter.mul_f64(fraction.clamp(0.0, 1.0))
    }

    fn words(&self, direction: &str, words: &mut Vec<String>) {
        for (is_so, word) in [(self.hold, "held"), (self.cut, "cut"), (self.is_delayed(), "delayed")] {
            if is_so {
                words.push(format!("{direction} {word}"));
            }
        }
    }
}

/// The faults of one participant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// The impairment of events on their way to it.
    pub deliveries: Impairment,
    /// The impairment of its publishes and its leave.
    pub publishes: Impairment,
    /// Nothing passes either way, as if its process were suspended.
    pub pause: bool,
}

impl Fault {
    /// The faults in words, such as `deliveries held, publishes delayed`; empty for none.
    pub fn words(&self) -> String {
        let mut words = Vec::new();
        self.deliveries.words("deliveries", &mut words);
        self.publishes.words("publishes", &mut words);
        if self.pause {
            words.push("paused".into());
        }
        words.join(", ")
    }

    /// Whether nothing at all is delivered, not even a heartbeat.
    pub fn is_silent(&self) -> bool {
        self.pause || self.deliveries.cut
    }
}

/// A fault in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveFault {
    /// The participant's display name.
    pub name: DisplayName,
    pub fault: Fault,
    /// The first sequence that it applied to.
    pub from: Sequence,
    /// While deliveries are held: the last event that passes.
    pub deliver_up_to: Sequence,
    /// While publishes are held: how many of them may pass.
    pub publishes_allowed: usize,
    /// The number of the newest disconnect; streams that began after it are not affected.
    pub disconnect: u64,
    /// When it ends.
    pub ends_at: Instant,
}

/// The fate of a publish whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Pass,
    /// It passes and uses up one release.
    Permit,
    /// It waits for a change of the table.
    Wait,
    /// It passes at this time.
    At(Instant),
    Lost,
}

/// Which of the held messages are released.
#[derive(Clone, Copy, Debug)]
pub struct Release {
    /// The most of each direction; `None` for all that are held.
    pub count: Option<u32>,
    /// Whether deliveries are released.
    pub deliveries: bool,
    /// Whether publishes are released.
    pub publishes: bool,
}

/// A change of faults.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// The new faults; `None` to leave them as they are.
    pub fault: Option<Fault>,
    /// Whether the stream breaks, too.
    pub disconnect: bool,
    /// For how long.
    pub duration: Duration,
}

/// All faults in force: at most one entry for each participant.
#[derive(Clone, Debug, Default)]
pub struct FaultTable {
    faults: BTreeMap<ParticipantId, ActiveFault>,
    /// How many disconnects there have been.
    disconnects: u64,
    writer_stopped_until: Option<Instant>,
}

impl FaultTable {
    /// The fault of a participant.
    pub fn get(&self, participant: ParticipantId) -> Option<&ActiveFault> {
        self.faults.get(&participant)
    }

    /// The number of the newest disconnect of any participant.
    pub fn disconnects(&self) -> u64 {
        self.disconnects
    }

    /// When the stop of the writer ends.
    pub fn writer_stopped_until(&self) -> Option<Instant> {
        self.writer_stopped_until
    }

    /// Sets the faults of a participant, from the event after `head` on. A hold that continues keeps its position.
    pub fn set(
        &mut self,
        participant: ParticipantId,
        name: &DisplayName,
        change: Change,
        head: Sequence,
        now: Instant,
    ) {
        if change.disconnect {
            self.disconnects += 1;
        }
        let before = self.faults.remove(&participant);
        let held = before.as_ref().filter(|before| before.fault.deliveries.hold);
        let deliver_up_to = held.map_or(head, |before| before.deliver_up_to);
        let publishes_allowed = before.as_ref().map_or(0, |before| before.publishes_allowed);
        let disconnect = match (&before, change.disconnect) {
            (_, true) => self.disconnects,
            (before, false) => before.as_ref().map_or(0, |before| before.disconnect),
        };
        let (fault, from) = match (change.fault, &before) {
            (Some(fault), _) => (fault, head.next()),
            (None, Some(before)) => (before.fault, before.from),
            (None, None) => (Fault::default(), head.next()),
        };
        let ends_at = match (&before, change.fault) {
            (Some(before), None) => before.ends_at,
            _ => now + change.duration,
        };
        let name = name.clone();
        let active = ActiveFault { name, fault, from, deliver_up_to, publishes_allowed, disconnect, ends_at };
        self.faults.insert(participant, active);
    }

    /// Releases some of the held messages.
    pub fn release(
        &mut self,
        participant: ParticipantId,
        release: Release,
        head: Sequence,
        publishes_held: usize,
    ) {
        let Some(active) = self.faults.get_mut(&participant) else { return };
        let Release { count, deliveries, publishes } = release;
        if deliveries {
            let held = head.0.saturating_sub(active.deliver_up_to.0);
            active.deliver_up_to.0 += count.map_or(held, |count| u64::from(count).min(held));
        }
        if publishes {
            let count = count.map_or(usize::MAX, |count| count as usize);
            active.publishes_allowed = active.publishes_allowed.saturating_add(count).min(publishes_held);
        }
    }

    /// Uses up a release of one publish.
    pub fn use_permit(&mut self, participant: ParticipantId) {
        if let Some(active) = self.faults.get_mut(&participant) {
            active.publishes_allowed = active.publishes_allowed.saturating_sub(1);
        }
    }

    /// Ends the faults of a participant.
    pub fn clear(&mut self, participant: ParticipantId) -> Option<ActiveFault> {
        self.faults.remove(&participant)
    }

    /// Ends all faults. Returns those that were in force.
    pub fn clear_all(&mut self) -> Vec<(ParticipantId, ActiveFault)> {
        std::mem::take(&mut self.faults).into_iter().collect()
    }

    /// Forgets participants that are gone.
    pub fn retain(&mut self, is_active: impl Fn(ParticipantId) -> bool) {
        self.faults.retain(|participant, _| is_active(*participant));
    }

    /// Stops the writer until a time, or with `None` lets it work again. Returns whether it was stopped.
    pub fn stop_writer(&mut self, until: Option<Instant>) -> bool {
        std::mem::replace(&mut self.writer_stopped_until, until).is_some()
    }

    /// When the next fault ends.
    pub fn next_end(&self) -> Option<Instant> {
        self.faults.values().map(|active| active.ends_at).chain(self.writer_stopped_until).min()
    }

    /// Ends the faults whose time is over, and returns them.
    pub fn end_due(&mut self, now: Instant) -> Vec<(ParticipantId, ActiveFault)> {
        let due: Vec<_> =
            self.faults.iter().filter(|(_, active)| active.ends_at <= now).map(|(id, _)| *id).collect();
        due.into_iter().filter_map(|id| Some((id, self.faults.remove(&id)?))).collect()
    }

    /// The fate of a publish that arrived at this time and whose share of the jitter is `fraction`.
    pub fn admit(&self, participant: ParticipantId, arrived: Instant, fraction: f64, now: Instant) -> Admission {
        let Some(active) = self.faults.get(&participant) else { return Admission::Pass };
        let publishes = &active.fault.publishes;
        let due = arrived + publishes.delay(fraction);
        match () {
            () if publishes.cut => Admission::Lost,
            () if active.fault.pause => Admission::Wait,
            () if publishes.hold && active.publishes_allowed == 0 => Admission::Wait,
            () if due > now => Admission::At(due),
            () if publishes.hold => Admission::Permit,
            () => Admission::Pass,
        }
    }

    /// How many events the lab holds back from a participant.
    pub fn deliveries_held(&self, participant: ParticipantId, head: Sequence) -> u64 {
        let held = self.faults.get(&participant).filter(|active| active.fault.deliveries.hold);
        held.map_or(0, |active| head.0.saturating_sub(active.deliver_up_to.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: ParticipantId = ParticipantId(Sequence(1));

    fn hold() -> Fault {
        let impaired = Impairment { hold: true, ..Impairment::default() };
        Fault { deliveries: impaired, publishes: impaired, pause: false }
    }

    fn both(count: Option<u32>) -> Release {
        Release { count, deliveries: true, publishes: true }
    }

    fn set(table: &mut FaultTable, fault: Option<Fault>, disconnect: bool, head: u64, now: Instant) {
        let name = DisplayName::parse("alice").unwrap();
        let change = Change { fault, disconnect, duration: Duration::from_secs(30) };
        table.set(ALICE, &name, change, Sequence(head), now);
    }

    /// K1, K4: a hold begins after the head, a release moves it no further than the head, and time ends it.
    #[test]
    fn hold_release_and_end() {
        let (mut table, now) = (FaultTable::default(), Instant::now());
        set(&mut table, Some(hold()), false, 5, now);
        assert_eq!((table.deliveries_held(ALICE, Sequence(5)), table.deliveries_held(ALICE, Sequence(9))), (0, 4));
        table.release(ALICE, both(Some(1)), Sequence(9), 0);
        assert_eq!(table.deliveries_held(ALICE, Sequence(9)), 3);
        // Setting the fault again releases nothing.
        set(&mut table, Some(hold()), false, 9, now);
        assert_eq!(table.deliveries_held(ALICE, Sequence(9)), 3);
        table.release(ALICE, Release { deliveries: false, ..both(None) }, Sequence(9), 0);
        assert_eq!(table.deliveries_held(ALICE, Sequence(9)), 3, "only publishes were let through");
        table.release(ALICE, both(None), Sequence(9), 0);
        assert_eq!(table.deliveries_held(ALICE, Sequence(9)), 0);
        assert_eq!(table.next_end(), Some(now + Duration::from_secs(30)));
        assert!(table.end_due(now).is_empty());
        assert_eq!(table.end_due(now + Duration::from_secs(30)).len(), 1);
        assert_eq!((table.next_end(), table.get(ALICE)), (None, None));
    }

    /// K1: no more publishes pass than were held when they were released.
    #[test]
    fn released_publishes() {
        let (mut table, now) = (FaultTable::default(), Instant::now());
        set(&mut table, Some(hold()), false, 1, now);
        let admit = |table: &FaultTable| table.admit(ALICE, now, 0.0, now);
        assert_eq!(admit(&table), Admission::Wait);
        table.release(ALICE, both(Some(1)), Sequence(1), 0);
        assert_eq!(admit(&table), Admission::Wait, "nothing was held");
        table.release(ALICE, both(None), Sequence(1), 2);
        for _ in 0..2 {
            assert_eq!(admit(&table), Admission::Permit);
            table.use_permit(ALICE);
        }
        assert_eq!(admit(&table), Admission::Wait);
        assert!(table.clear(ALICE).is_some());
        assert_eq!(admit(&table), Admission::Pass);
    }

    /// K1: a delay counts from the arrival, a cut loses, a pause waits; a disconnect alone changes no fault.
    #[test]
    fn delay_cut_pause_and_disconnect() {
        let (mut table, now) = (FaultTable::default(), Instant::now());
        let (second, later) = (Duration::from_secs(1), now + Duration::from_secs(3));
        let delayed = Impairment { delay: 2 * second, jitter: second, ..Impairment::default() };
        let delayed = Fault { publishes: delayed, ..Fault::default() };
        set(&mut table, Some(delayed), false, 1, now);
        assert_eq!(table.admit(ALICE, now, 1.0, now), Admission::At(later));
        assert_eq!(table.admit(ALICE, now, 1.0, later), Admission::Pass);
        set(&mut table, None, true, 1, later);
        let active = table.get(ALICE).unwrap();
        assert_eq!((active.fault, active.disconnect), (delayed, 1));
        assert_eq!(active.ends_at, now + Duration::from_secs(30));
        let cut = Impairment { cut: true, ..Impairment::default() };
        set(&mut table, Some(Fault { publishes: cut, ..Fault::default() }), false, 1, now);
        assert_eq!(table.admit(ALICE, now, 0.0, now), Admission::Lost);
        set(&mut table, Some(Fault { pause: true, ..Fault::default() }), false, 1, now);
        assert_eq!(table.admit(ALICE, now, 0.0, now), Admission::Wait);
    }

    #[test]
    fn words() {
        let delayed = Impairment { jitter: Duration::from_secs(1), ..Impairment::default() };
        let cut = Impairment { cut: true, ..Impairment::default() };
        let fault = Fault { deliveries: delayed, publishes: cut, pause: true };
        assert_eq!(fault.words(), "deliveries delayed, publishes cut, paused");
        assert_eq!(Fault::default().words(), "");
    }
}

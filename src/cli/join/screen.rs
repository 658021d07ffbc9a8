//! The output for the user: events on standard output, everything else on standard error.

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::roster::RosterDisplay;
use crate::chat::Sequence;
use crate::cli::common::lines::{InputLine, Terminal};
use crate::cli::of_output;
use crate::client::{Chat, Missed, ParticipantInfo, Update, Updates, show};
use crate::terminal::notice;
use crate::wire::Reason;

/// How long the same reason to wait is not shown again.
const WAITING_SHOWN: Duration = Duration::from_secs(5);

const HELP: [&str; 4] = [
    "/who    lists who is here",
    "/quit   leaves, as does Ctrl-C or Ctrl-D",
    "/help   lists these commands",
    "//text  sends a message that begins with a slash",
];

/// Where events and notices go.
pub(super) struct Screen {
    json: bool,
    /// The user's own participant.
    name: String,
    terminal: Option<Arc<Terminal>>,
    roster: Mutex<RosterDisplay>,
    is_online: AtomicBool,
}

/// The state of the display.
#[derive(Default)]
struct ScreenState {
    /// The journal and position of the last event.
    last: Option<(String, Sequence)>,
    /// The next event is the user's own join.
    begins: bool,
    /// The last reason to wait that was shown, and when.
    waiting: Option<(Reason, Instant)>,
}

impl Screen {
    pub(super) fn new(json: bool, name: &str) -> Self {
        let terminal = Terminal::new().map(Arc::new);
        let (roster, is_online) = (Mutex::default(), AtomicBool::new(true));
        Self { json, name: name.into(), terminal, roster, is_online }
    }

    /// The terminal, if input and output are both on it.
    pub(super) fn terminal(&self) -> Option<Arc<Terminal>> {
        self.terminal.clone()
    }

    /// The user has joined: shows who is here.
    pub(super) fn has_joined(&self, chat: &Chat) {
        self.roster.lock().is_me(&chat.me().participant_id);
        if let Some(why) = chat.joined_anew() {
            self.joined_anew(why);
        }
        self.here(chat.roster());
    }

    fn joined_anew(&self, why: Reason) {
        self.say(&format!("joined anew: {}", loss(why)));
    }

    fn here(&self, roster: &[ParticipantInfo]) {
        self.roster.lock().begin(roster);
        let names = self.roster.lock().names(false);
        self.say(&format!("here: {names}"));
    }

    /// Shows who is here, with the user marked.
    pub(super) fn who(&self) {
        let names = self.roster.lock().names(true);
        self.say(&format!("here: {names}"));
    }

    pub(super) fn help(&self) {
        HELP.iter().for_each(|line| self.say(line));
    }

    /// A line was typed. A message is replaced by its event, unless it has to wait for the connection.
    pub(super) fn typed(&self, line: &InputLine, is_message: bool) {
        if let Some(terminal) = &self.terminal {
            let replace = is_message && !self.json && self.is_online.load(Ordering::Relaxed);
            terminal.handled(line, replace);
        }
    }

    /// Shows updates until there are no more. Cancels `ready` when the first has been shown.
    pub(super) async fn show(
        &self,
        mut updates: Updates,
        chat: &Chat,
        history: u32,
        ready: &CancellationToken,
    ) -> Result<(), Box<dyn Error>> {
        let mut shown = ScreenState { begins: true, ..ScreenState::default() };
        // What has_joined has shown.
        let mut joined_anew = chat.joined_anew();
        while let Some(update) = updates.next().await {
            match update {
                Update::Event(event) => {
                    if std::mem::take(&mut shown.begins) {
                        self.roster.lock().is_me(&event.participant.participant_id);
                        let left = shown.last.as_ref().filter(|(epoch, _)| *epoch == event.epoch);
                        let left = left.map(|(_, sequence)| *sequence);
                        if !self.earlier(event.sequence, left, chat, history).await? {
                            return Ok(());
                        }
                    }
                    self.roster.lock().take(&event);
                    let line =
                        if self.json { show::json(&event, SystemTime::now())? } else { show::plain(&event) };
                    shown.last = Some((event.epoch, event.sequence));
                    if !self.print(line).await? {
                        return Ok(());
                    }
                }
                Update::Ended(error) => return Err(error.into()),
                Update::JoinedAnew { why, roster } => {
                    self.is_online.store(true, Ordering::Relaxed);
                    shown.begins = true;
                    if joined_anew.take().is_none() {
                        self.joined_anew(why);
                        self.here(&roster);
                    }
                    continue;
                }
                Update::Continued { after, missed } => {
                    shown.begins = false;
                    if !self.earlier(Sequence(after.0.saturating_add(1)), None, chat, history).await? {
                        return Ok(());
                    }
                    self.say(&format!("back as {}; {}", self.name, while_away(missed)));
                }
                other => self.notice(other, &mut shown),
            }
            ready.cancel();
        }
        Ok(())
    }

    /// Shows an update that is not an event.
    fn notice(&self, update: Update, shown: &mut ScreenState) {
        match update {
            Update::Offline { why } => {
                self.is_online.store(false, Ordering::Relaxed);
                self.say(&format!("offline ({why}); trying again, messages wait"));
            }
            Update::Back { after, missed } => {
                self.is_online.store(true, Ordering::Relaxed);
                self.say(&format!("back after {}; {}", rounded(after), while_away(missed)));
            }
            // For people only: a program that reads the output needs only events.
            Update::Presence { participant, connected } if !self.json && io::stdout().is_terminal() => {
                let what = if connected { "is back" } else { "is reconnecting" };
                self.say(&format!("{} {what}", participant.display_name));
            }
            Update::Lab { faults } if faults.is_empty() => self.say("the lab has ended its faults"),
            Update::Lab { faults } => self.say(&format!("the lab: {faults}")),
            Update::NotKept { why } => self.say(&format!(
                "cannot keep the session any longer ({why}): if this client is killed, it will join anew"
            )),
            Update::Waiting { delay, why } => {
                // After a hundred pasted lines the client waits a hundred times for the same reason.
                let last = shown.waiting.replace((why, Instant::now()));
                if last.is_none_or(|(before, at)| before != why || at.elapsed() > WAITING_SHOWN) {
                    self.say(&waiting_for(why, delay));
                }
            }
            _ => {}
        }
    }

    /// Shows the events before `before`, marked as earlier. `left` is the last event that was shown in this
    /// conversation, if any. Returns false if the output no longer has a reader.
    async fn earlier(
        &self,
        before: Sequence,
        left: Option<Sequence>,
        chat: &Chat,
        history: u32,
    ) -> Result<bool, Box<dyn Error>> {
        if history == 0 {
            return Ok(true);
        }
        let events = match chat.list_before(before, history).await {
            Ok(events) => events,
            Err(error) => {
                self.say(&format!("cannot show earlier events: {error}"));
                return Ok(true);
            }
        };
        let mut is_new = false;
        for event in events {
            // Events that were shown before the session was lost are not shown again.
            if left.is_some_and(|last| event.sequence <= last) {
                continue;
            }
            if left.is_some() && !std::mem::replace(&mut is_new, true) {
                self.say("new since you left:");
            }
            let line = if self.json {
                show::earlier_json(&event, SystemTime::now())?
            } else {
                format!("earlier {}", show::plain(&event))
            };
            if !self.print(line).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Prints a line. Returns false if the output no longer has a reader, as with `| head`.
    async fn print(&self, mut line: String) -> io::Result<bool> {
        line.push('\n');
        let terminal = self.terminal.clone();
        let written = spawn_blocking(move || {
            let write = || {
                let mut output = io::stdout().lock();
                output.write_all(line.as_bytes()).and_then(|()| output.flush())
            };
            match terminal {
                Some(terminal) => terminal.write(write),
                None => write(),
            }
        });
        match written.await.map_err(io::Error::other)? {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            written => written.map(|()| true).map_err(of_output),
        }
    }

    /// Shows a notice, which is not an event.
    pub(super) fn say(&self, text: &str) {
        let write = || {
            notice(&format!("* {text}"));
            // Another thread writes it. On a terminal it has to appear before the next event, and before a typed line
            // is replaced.
            if io::stderr().is_terminal() {
                crate::terminal::flush();
            }
        };
        match &self.terminal {
            Some(terminal) => terminal.write(write),
            None => write(),
        }
    }
}

fn loss(why: Reason) -> &'static str {
    match why {
        Reason::SessionUnknown => "the service had ended the session",
        Reason::EpochChanged => "the service has a different conversation now",
        _ => "the session was lost",
    }
}

fn while_away(missed: Missed) -> String {
    let count = |count: u64, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    match missed {
        Missed { events: 0, .. } => "nothing was missed".into(),
        Missed { events, messages: Some(messages) } if messages == events => {
            format!("{} while you were away", count(messages, "message"))
        }
        Missed { events, messages: Some(messages @ 1..) } => {
            format!("{} ({}) while you were away", count(events, "event"), count(messages, "message"))
        }
        Missed { events, .. } => format!("{} while you were away", count(events, "event")),
    }
}

fn rounded(time: Duration) -> String {
    match time.as_secs() {
        0 => "less than 1 s".into(),
        seconds @ 1..120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}

fn waiting_for(why: Reason, delay: Duration) -> String {
    let what = match why {
        Reason::RateLimited => "sending faster than the service allows",
        Reason::JournalUnavailable => "the service cannot record events at the moment",
        other => other.as_str(),
    };
    // Whole milliseconds, rounded up.
    let delay = Duration::from_millis(delay.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(u64::MAX));
    format!("{what} ({}): messages wait, next attempt in {}", why.as_str(), humantime::format_duration(delay))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_missed_is_counted_in_words() {
        let check = |events, messages, expected| assert_eq!(while_away(Missed { events, messages }), expected);
        check(0, Some(0), "nothing was missed");
        check(1, Some(1), "1 message while you were away");
        check(2, Some(2), "2 messages while you were away");
        check(3, Some(1), "3 events (1 message) while you were away");
        check(1, Some(0), "1 event while you were away");
        check(5000, None, "5000 events while you were away");
    }
}

//! `chitchat send`: joins, publishes, leaves; for scripts.

use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::common::access::{AccessArgs, display_name, say, unpublished};
use super::common::exit_codes::{FAILURE, PARTLY, USAGE};
use super::common::lines::{LineFault, Lines};
use super::common::signals::{Hangup, Interrupts, stop_on_signal};
use crate::chat::{DisplayName, MessageText};
use crate::client::{Chat, LeaveError, PublishError, Update, Updates};
use crate::terminal::notice;

/// How long the connection may be lost between two messages, unless --wait is longer.
const OFFLINE_TIME: Duration = Duration::from_secs(10);
/// The most time for taking the remaining updates after the leave: with the last of them, the end is recorded.
const ENDING_TIME: Duration = Duration::from_secs(10);

/// Join, publish messages and leave: for scripts. Exits 0 if the service has acknowledged all of them, 3 if only
/// some, 1 if none.
#[derive(Debug, Args)]
pub(super) struct SendArgs {
    /// Your display name: at most 32 characters, and not in use by another participant.
    #[arg(short, long, env = "CHITCHAT_NAME", value_parser = display_name)]
    name: DisplayName,

    #[command(flatten)]
    pub(super) access: AccessArgs,

    /// The messages. `-` stands for standard input, one message per line. In a pipe it is the default.
    #[arg(value_name = "TEXT", value_parser = text)]
    sources: Vec<MessageSource>,
}

/// The source of a message: an argument, or standard input.
#[derive(Clone, Debug)]
enum MessageSource {
    Message(String),
    Input,
}

fn text(text: &str) -> Result<MessageSource, String> {
    match text {
        "-" => Ok(MessageSource::Input),
        text => MessageText::parse(text)
            .map(|_| MessageSource::Message(text.to_owned()))
            .map_err(|refusal| refusal.to_string()),
    }
}

/// The messages in their order.
struct Messages {
    sources: VecDeque<MessageSource>,
    input: Option<Lines>,
    /// How many lines of standard input have been read.
    lines: u64,
}

/// A message to be sent.
struct SourcedMessage {
    /// Its text, or the reason why a line cannot be one.
    text: Result<String, LineFault>,
    /// The number of its line, if it is from standard input.
    line: Option<u64>,
}

impl SourcedMessage {
    /// Adds the line to a reason that does not repeat the text.
    fn located(&self, why: &str) -> String {
        self.line.map_or_else(|| why.to_owned(), |line| format!("line {line} of standard input: {why}"))
    }
}

impl Messages {
    /// The next message.
    async fn next(&mut self) -> io::Result<Option<SourcedMessage>> {
        loop {
            match self.sources.front() {
                None => return Ok(None),
                Some(MessageSource::Message(text)) => {
                    let text = Ok(text.clone());
                    self.sources.pop_front();
                    return Ok(Some(SourcedMessage { text, line: None }));
                }
                Some(MessageSource::Input) => {
                    let lines = match &mut self.input {
                        Some(lines) => lines,
                        none => none.insert(Lines::of(io::stdin(), None)?),
                    };
                    match lines.next().await? {
                        Some(line) => {
                            self.lines += 1;
                            return Ok(Some(SourcedMessage { text: line.text, line: Some(self.lines) }));
                        }
                        None => drop(self.sources.pop_front()),
                    }
                }
            }
        }
    }

    /// How many are left. Of standard input, only what has already been written counts.
    async fn count_rest(mut self) -> io::Result<u64> {
        if let Some(input) = &mut self.input {
            input.stop();
        }
        let mut count = 0;
        loop {
            match self.sources.front() {
                // An input that has not been opened yet is not read.
                Some(MessageSource::Input) if self.input.is_none() => drop(self.sources.pop_front()),
                _ => match self.next().await? {
                    Some(_) => count += 1,
                    None => return Ok(count),
                },
            }
        }
    }
}

/// How many messages were acknowledged, and how many were not.
#[derive(Debug, Default)]
struct SendOutcome {
    acknowledged: u64,
    /// Not acknowledged, or not even sent.
    failed: u64,
}

impl SendOutcome {
    fn code(&self) -> ExitCode {
        match self {
            Self { failed: 0, .. } => ExitCode::SUCCESS,
            Self { acknowledged: 0, .. } => ExitCode::from(FAILURE),
            _ => ExitCode::from(PARTLY),
        }
    }

    fn fail(&mut self, why: &str) {
        self.failed += 1;
        say(why);
    }

    /// Counts all remaining messages as failed.
    async fn fail_rest(&mut self, messages: Messages) -> io::Result<()> {
        match messages.count_rest().await? {
            0 => {}
            count => self.fail(&format!("not sent: {count} more")),
        }
        Ok(())
    }
}

impl SendArgs {
    pub(super) async fn run(self) -> Result<ExitCode, Box<dyn Error>> {
        let mut sources = VecDeque::from(self.sources);
        if sources.is_empty() {
            if io::stdin().is_terminal() {
                notice("chitchat: nothing to send: give a TEXT, or pipe lines in");
                return Ok(ExitCode::from(USAGE));
            }
            sources.push_back(MessageSource::Input);
        }
        let mut messages = Messages { sources, input: None, lines: 0 };
        // With nothing to send there is no need to join.
        let Some(first) = messages.next().await? else { return Ok(ExitCode::SUCCESS) };
        let (chat, updates) = self.access.join(&self.name).await?;
        let stop = CancellationToken::new();
        tokio::spawn(stop_on_signal(Interrupts::new(Hangup::Ends)?, stop.clone()));
        let watching = tokio::spawn(watch(updates, self.access.wait().max(OFFLINE_TIME), stop.clone()));
        let mut outcome = SendOutcome::default();
        // It leaves even if its input cannot be read.
        let published = publish(&chat, first, messages, &mut outcome, &stop).await;
        match chat.leave().await {
            // The reason for its end has been reported.
            Ok(_) | Err(LeaveError::Ended) => {}
            // The outcome of every message is known even so.
            Err(error) => say(&error.to_string()),
        }
        drop(timeout(ENDING_TIME, watching).await);
        published?;
        Ok(outcome.code())
    }
}

/// Publishes one message after another, until there are no more or it is stopped.
async fn publish(
    chat: &Chat,
    first: SourcedMessage,
    mut messages: Messages,
    outcome: &mut SendOutcome,
    stop: &CancellationToken,
) -> io::Result<()> {
    let mut next = Some(first);
    while let Some(message) = next.take() {
        match &message.text {
            Err(fault) => outcome.fail(&message.located(&format!("not sent: {fault}"))),
            Ok(text) => {
                let mut publishing = chat.publish(text);
                let published = tokio::select! {
                    published = &mut publishing => published,
                    () = stop.cancelled() => {
                        chat.give_up();
                        publishing.await
                    }
                };
                match published {
                    Ok(_) => outcome.acknowledged += 1,
                    Err(error) => {
                        let why = unpublished(&error, text);
                        outcome.fail(&if text.is_empty() { message.located(&why) } else { why });
                        if error == PublishError::Ended {
                            return outcome.fail_rest(messages).await;
                        }
                    }
                }
            }
        }
        next = tokio::select! {
            next = messages.next() => next?,
            () = stop.cancelled() => {
                outcome.fail("stopped before all messages were sent");
                return outcome.fail_rest(messages).await;
            }
        };
    }
    Ok(())
}

/// Watches the connection: if it is lost for too long, the command ends.
async fn watch(mut updates: Updates, patience: Duration, stop: CancellationToken) {
    let mut deadline = None;
    loop {
        let update = tokio::select! {
            update = updates.next() => update,
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                say("the service cannot be reached");
                stop.cancel();
                deadline = None;
                continue;
            }
        };
        match update {
            None => return stop.cancel(),
            Some(Update::Offline { why }) => {
                say(&format!("offline ({why}); trying again for {}", humantime::format_duration(patience)));
                deadline.get_or_insert(Instant::now() + patience);
            }
            Some(Update::Back { .. } | Update::JoinedAnew { .. }) => deadline = None,
            Some(Update::Lab { faults }) if !faults.is_empty() => say(&format!("the lab: {faults}")),
            Some(Update::Ended(error)) => say(&error.to_string()),
            Some(_) => {}
        }
    }
}

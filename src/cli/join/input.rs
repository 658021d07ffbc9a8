//! The user's input: messages and commands, and the outcome of each message.

use std::collections::VecDeque;
use std::error::Error;
use std::future;
use std::ops::ControlFlow;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::screen::Screen;
use crate::cli::common::access::unpublished;
use crate::cli::common::lines::{InputLine, LineFault, Lines};
use crate::client::{Chat, LeaveError, PublishError, Publishing, Receipt};

/// How many messages can wait to be acknowledged before reading pauses. The client library's queue is a little longer.
const MESSAGES_WAITING: usize = 1000;
/// How long the first line waits for the user's own join to be shown.
const FIRST_SHOWN_TIME: Duration = Duration::from_secs(1);
/// How long a leave may take before a notice says why.
const LEAVING_QUIETLY: Duration = Duration::from_secs(1);
/// How many of the lines that were not sent are shown. Further ones are only counted.
const NOT_SENT_SHOWN: usize = 20;
/// How many characters of such a line are shown.
const LINE_SHOWN: usize = 200;

/// The command to leave.
const QUIT: &str = "/quit";

/// When to stop.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop {
    /// Leave once everything typed is acknowledged.
    pub(super) gently: CancellationToken,
    /// Leave without waiting for answers.
    pub(super) at_once: CancellationToken,
}

/// The outcome of the lines that the user typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InputOutcome {
    AllDelivered,
    /// Some were refused or not sent, or it is unknown whether they were delivered.
    Partly,
    /// The user gave up waiting.
    GaveUp,
}

/// What a line means.
#[derive(Debug, PartialEq, Eq)]
enum Input<'a> {
    Message(&'a str),
    Quit,
    Help,
    Who,
    Unknown(&'a str),
}

/// Interprets a line. In a pipe everything but `/quit` is a message.
fn parse(line: &str, is_typed: bool) -> Input<'_> {
    if !is_typed {
        return if line == QUIT { Input::Quit } else { Input::Message(line) };
    }
    match line.strip_prefix('/') {
        None => Input::Message(line),
        Some(escaped) if escaped.starts_with('/') => Input::Message(escaped),
        Some(command) => match command.trim_end() {
            "quit" => Input::Quit,
            "help" => Input::Help,
            "who" => Input::Who,
            _ => Input::Unknown(line),
        },
    }
}

pub(super) struct InputLoop<'a> {
    chat: Chat,
    screen: &'a Screen,
    lines: Lines,
    /// Whether the lines come from a terminal.
    is_typed: bool,
    /// The messages that have not been answered, in the order in which they are sent.
    waiting: VecDeque<(String, Publishing)>,
    is_partly: bool,
    not_sent: usize,
}

impl<'a> InputLoop<'a> {
    pub(super) fn new(chat: Chat, screen: &'a Screen, lines: Lines, is_typed: bool) -> Self {
        Self { chat, screen, lines, is_typed, waiting: VecDeque::new(), is_partly: false, not_sent: 0 }
    }

    /// Sends what the user types, until the user leaves.
    pub(super) async fn run(
        mut self,
        stop: &Stop,
        ready: &CancellationToken,
    ) -> Result<InputOutcome, Box<dyn Error>> {
        tokio::select! {
            () = ready.cancelled() => {}
            () = stop.gently.cancelled() => {}
            // A blocked output must not delay the input.
            () = sleep(FIRST_SHOWN_TIME) => {}
        }
        let read = self.read_lines(stop).await;
        let gave_up = self.leave(stop).await?;
        read?;
        let shown = self.not_sent.saturating_sub(NOT_SENT_SHOWN);
        if shown > 0 {
            self.screen.say(&format!("not sent: {shown} more"));
        }
        Ok(match (gave_up, self.is_partly) {
            (true, _) => InputOutcome::GaveUp,
            (_, true) => InputOutcome::Partly,
            _ => InputOutcome::AllDelivered,
        })
    }

    async fn read_lines(&mut self, stop: &Stop) -> Result<(), Box<dyn Error>> {
        let has_quit = loop {
            let has_room = self.waiting.len() < MESSAGES_WAITING;
            tokio::select! {
                biased;
                result = next_answer(&mut self.waiting) => self.answered(result),
                line = self.lines.next(), if has_room => match line? {
                    None => return Ok(()),
                    Some(line) => if self.take(line).is_break() {
                        break true;
                    }
                },
                () = stop.gently.cancelled() => break false,
            }
        };
        // Lines that have been typed are never dropped silently: those before a signal are sent, those after /quit are
        // reported.
        self.lines.stop();
        while let Some(line) = self.lines.next().await? {
            match &line.text {
                Ok(text) if has_quit || self.waiting.len() >= MESSAGES_WAITING => self.not_sent(text),
                _ => drop(self.take(line)),
            }
        }
        Ok(())
    }

    /// Handles a line.
    fn take(&mut self, line: InputLine) -> ControlFlow<()> {
        let input = line.text.as_deref().map(|text| parse(text, self.is_typed));
        self.screen.typed(&line, matches!(input, Ok(Input::Message(_))));
        match input {
            Ok(Input::Message(text)) => {
                let text = text.to_owned();
                let publishing = self.chat.publish(&*text);
                self.waiting.push_back((text, publishing));
            }
            Ok(Input::Quit) => return ControlFlow::Break(()),
            Ok(Input::Help) => self.screen.help(),
            Ok(Input::Who) => self.screen.who(),
            Ok(Input::Unknown(line)) => {
                self.screen.say(&format!(
                    "refused: there is no command {}; /help lists the commands, and /{line} sends it as a message",
                    line.split_whitespace().next().unwrap_or(line),
                ));
            }
            Err(LineFault::Unfinished(text)) => self.not_sent(&text.clone()),
            Err(fault) => {
                self.is_partly = true;
                self.screen.say(&format!("refused: {fault}"));
            }
        }
        ControlFlow::Continue(())
    }

    fn answered(&mut self, (text, result): (String, Result<Receipt, PublishError>)) {
        match result {
            Ok(_) => {}
            Err(PublishError::Ended) => self.not_sent(&text),
            Err(error) => {
                self.is_partly = true;
                self.screen.say(&unpublished(&error, &shortened(&text)));
            }
        }
    }

    fn not_sent(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.is_partly = true;
        self.not_sent += 1;
        if self.not_sent <= NOT_SENT_SHOWN {
            self.screen.say(&unpublished(&PublishError::Ended, &shortened(text)));
        }
    }

    /// Explains why the leave takes time, to a user who can interrupt it.
    fn say_what_waits(&self) {
        let messages = match self.waiting.len() {
            0 => return,
            1 => "1 message is".into(),
            count => format!("{count} messages are"),
        };
        self.screen.say(&format!("{messages} not acknowledged yet; Ctrl-C leaves without waiting"));
    }

    /// Leaves once everything is answered. Returns whether the user gave up waiting for that.
    async fn leave(&mut self, stop: &Stop) -> Result<bool, Box<dyn Error>> {
        let (mut gave_up, mut left, mut is_explained) = (false, None, false);
        let mut leaving = Box::pin(self.chat.clone().leave());
        let mut quietly = Box::pin(sleep(LEAVING_QUIETLY));
        while left.is_none() || !self.waiting.is_empty() {
            tokio::select! {
                biased;
                result = next_answer(&mut self.waiting) => self.answered(result),
                result = &mut leaving, if left.is_none() => left = Some(result),
                () = stop.at_once.cancelled(), if !gave_up => {
                    gave_up = true;
                    self.chat.give_up();
                }
                () = &mut quietly, if !is_explained => {
                    is_explained = true;
                    if self.is_typed || stop.gently.is_cancelled() {
                        self.say_what_waits();
                    }
                }
            }
        }
        match left {
            Some(Err(error)) if error != LeaveError::Ended && !gave_up => Err(error.into()),
            _ => Ok(gave_up),
        }
    }
}

/// The answer to the first waiting message. Later answers are taken after it.
async fn next_answer(waiting: &mut VecDeque<(String, Publishing)>) -> (String, Result<Receipt, PublishError>) {
    let Some((_, publishing)) = waiting.front_mut() else { return future::pending().await };
    let result = publishing.await;
    let text = waiting.pop_front().map(|(text, _)| text).unwrap_or_default();
    (text, result)
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LINE_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_need_a_terminal_and_two_slashes_send_one() {
        let check = |line, typed, piped| {
            assert_eq!(parse(line, true), typed, "{line} on a terminal");
            assert_eq!(parse(line, false), piped, "{line} in a pipe");
        };
        check("hello /who", Input::Message("hello /who"), Input::Message("hello /who"));
        check("/quit", Input::Quit, Input::Quit);
        check("/quit ", Input::Quit, Input::Message("/quit "));
        check("/help", Input::Help, Input::Message("/help"));
        check("/who", Input::Who, Input::Message("/who"));
        check("/nick bob", Input::Unknown("/nick bob"), Input::Message("/nick bob"));
        check("/", Input::Unknown("/"), Input::Message("/"));
        check("//x", Input::Message("/x"), Input::Message("//x"));
        check("//quit", Input::Message("/quit"), Input::Message("//quit"));
        check("", Input::Message(""), Input::Message(""));
    }
}

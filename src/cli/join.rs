//! `chitchat join`: reads one message per line, prints one event per line.

mod input;
mod roster;
mod screen;

use std::error::Error;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::common::access::{AccessArgs, display_name};
use super::common::exit_codes::{INTERRUPTED_TWICE, PARTLY};
use super::common::lines::Lines;
use super::common::signals::{Hangup, Interrupts};
use super::{number, switch};
use crate::chat::DisplayName;

use input::{InputLoop, InputOutcome, Stop};
use screen::Screen;

/// The most time for showing the remaining events after the leave: the output may be blocked.
const SHOWING_TIME: Duration = Duration::from_secs(10);
/// The most time, after a second signal, for reporting what became of the waiting lines.
const REPORTING_TIME: Duration = Duration::from_secs(1);

/// How many earlier events are shown on a terminal.
const HISTORY_ON_TERMINAL: u32 = 20;
/// The most earlier events that can be shown: one page of the service.
const HISTORY_MAX: u32 = 1000;

/// Join the conversation: type a message and press Enter; to leave, type /quit or end the input.
#[derive(Debug, Args)]
pub(super) struct JoinArgs {
    /// Your display name; the same as --name.
    #[arg(value_name = "NAME", value_parser = display_name, conflicts_with = "name", required_unless_present = "name")]
    positional_name: Option<DisplayName>,

    /// Your display name: at most 32 characters, and not in use by another participant.
    #[arg(short, long, env = "CHITCHAT_NAME", value_parser = display_name)]
    name: Option<DisplayName>,

    #[command(flatten)]
    pub(super) access: AccessArgs,

    /// Read one message per line and print one event per line. The number in front is its logical time.
    #[arg(long, env = "CHITCHAT_PLAIN", conflicts_with = "json", value_parser = switch)]
    plain: bool,

    /// Like --plain, but print one JSON object per line, with the field names of the log records.
    #[arg(long, env = "CHITCHAT_JSON", value_parser = switch)]
    json: bool,

    /// How many earlier events to show on joining, 0 to 1000. By default, 20 on a terminal and none elsewhere. They are
    /// marked as earlier; --json marks them with "earlier": true.
    #[arg(long, value_name = "N", env = "CHITCHAT_HISTORY",
        value_parser = number(0..=HISTORY_MAX))]
    history: Option<u32>,
}

impl JoinArgs {
    pub(super) async fn run(self) -> Result<ExitCode, Box<dyn Error>> {
        let name = self.positional_name.or(self.name).ok_or("a client needs a --name")?;
        let screen = Screen::new(self.json, name.as_str());
        let (chat, updates) = self.access.join(&name).await?;
        // From here on a signal has to leave the conversation.
        let interrupts = Interrupts::new(Hangup::Ends)?;
        screen.has_joined(&chat);
        let is_typed = io::stdin().is_terminal();
        if is_typed {
            screen.say("type a message and press Enter; /quit leaves, /help lists the commands");
        }
        let history = match self.history {
            Some(history) => history,
            None if io::stdout().is_terminal() => HISTORY_ON_TERMINAL,
            None => 0,
        };
        let (stop, ready) = (Stop::default(), CancellationToken::new());
        tokio::spawn(leave_on_signal(interrupts, stop.clone()));
        let lines = Lines::of(io::stdin(), screen.terminal())?;
        let reading = InputLoop::new(chat.clone(), &screen, lines, is_typed).run(&stop, &ready);
        let showing = async {
            let shown = screen.show(updates, &chat, history, &ready).await;
            // If events can no longer be shown, or the participant has failed, it leaves.
            stop.gently.cancel();
            shown
        };
        tokio::pin!(reading, showing);
        let (outcome, shown) = tokio::select! {
            shown = showing.as_mut() => (reading.await, shown),
            outcome = reading.as_mut() => {
                // Events before the leave are still shown, if the output is read.
                let patience = if matches!(outcome, Ok(InputOutcome::GaveUp)) { REPORTING_TIME } else { SHOWING_TIME };
                (outcome, timeout(patience, showing).await.unwrap_or(Ok(())))
            }
        };
        shown.and(outcome).map(|outcome| match outcome {
            InputOutcome::GaveUp => INTERRUPTED_TWICE.into(),
            InputOutcome::Partly if !is_typed => PARTLY.into(),
            InputOutcome::Partly | InputOutcome::AllDelivered => ExitCode::SUCCESS,
        })
    }
}

/// The first signal leaves the conversation once everything typed is acknowledged; the second does not wait for
/// answers.
async fn leave_on_signal(mut interrupts: Interrupts, stop: Stop) {
    interrupts.first().await;
    stop.gently.cancel();
    interrupts.second().await;
    stop.at_once.cancel();
    // Even a report may be impossible, for instance on a stopped terminal.
    tokio::time::sleep(2 * REPORTING_TIME).await;
    crate::terminal::flush();
    std::process::exit(INTERRUPTED_TWICE.into());
}

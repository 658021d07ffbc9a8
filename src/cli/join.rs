//! `chitchat join`: one message a line in, one event a line out.

use std::error::Error;
use std::io::{self, IsTerminal};
use std::pin::pin;
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use clap::builder::BoolishValueParser;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::access::{Access, display_name, say};
use super::lines;
use super::signals::{Hangup, Interrupts, stop_on_signal};
use crate::chat::DisplayName;
use crate::client::{Chat, Event, LeaveError, Member, PublishError, Update, Updates, show};
use crate::terminal;
use crate::wire::Reason;

/// How long to go on showing events after the leave, where nobody may be looking.
const SHOWING_TIME: Duration = Duration::from_secs(10);
/// For how long a reason to wait need not be told again.
const WAITING_TOLD: Duration = Duration::from_secs(5);

/// What a user types to leave.
const QUIT: &str = "/quit";

/// Join the conversation: type a message and press Enter; /quit or the end of input leaves.
#[derive(Debug, Args)]
pub(super) struct Join {
    /// Your name, as with --name.
    #[arg(value_name = "NAME", value_parser = display_name, conflicts_with = "name")]
    positional_name: Option<DisplayName>,

    /// What the others see you called: at most 32 characters, unlike the name of any participant.
    #[arg(short, long, env = "CHITCHAT_NAME", value_parser = display_name, required_unless_present = "positional_name")]
    name: Option<DisplayName>,

    #[command(flatten)]
    access: Access,

    /// Read one message a line and print one event a line. The number in front is its logical time.
    #[arg(long, env = "CHITCHAT_PLAIN", conflicts_with = "json", value_parser = BoolishValueParser::new())]
    plain: bool,

    /// Like --plain, printing one JSON object a line, with the field names of the log records.
    #[arg(long, env = "CHITCHAT_JSON", value_parser = BoolishValueParser::new())]
    json: bool,
}

impl Join {
    pub(super) async fn run(self) -> Result<(), Box<dyn Error>> {
        let name = self.positional_name.or(self.name).ok_or("a client needs a --name")?;
        let screen = Screen { json: self.json, name: name.as_str().to_owned() };
        let (chat, updates) = self.access.join(&name).await?;
        // From here on there is something to leave.
        let interrupts = Interrupts::new(Hangup::Ends)?;
        screen.say(&here(chat.roster()));
        if io::stdin().is_terminal() {
            screen.say("type a message and press Enter; /quit leaves");
        }
        let stop = CancellationToken::new();
        tokio::spawn(stop_on_signal(interrupts, stop.clone()));
        let talking = talk(chat, &screen, &stop);
        let showing = async {
            let shown = screen.show(updates).await;
            // Whoever cannot be shown anything any more leaves; so does one that could not go on.
            stop.cancel();
            shown
        };
        tokio::pin!(talking, showing);
        tokio::select! {
            shown = showing.as_mut() => {
                let talked = talking.await;
                shown.and(talked)
            }
            talked = talking.as_mut() => {
                // What came before the leave is still to be shown, if anybody looks.
                let shown = timeout(SHOWING_TIME, showing).await.unwrap_or(Ok(()));
                talked.and(shown)
            }
        }
    }
}

/// Sends what the user types, a line at a time, until the user leaves.
async fn talk(chat: Chat, screen: &Screen, stop: &CancellationToken) -> Result<(), Box<dyn Error>> {
    let mut lines = lines::of(tokio::io::stdin());
    let mut ahead = None;
    loop {
        let line = match ahead.take() {
            Some(line) => line,
            None => tokio::select! {
                biased;
                // What has been typed is not passed over without a word.
                line = lines.recv() => line.transpose()?,
                () = stop.cancelled() => break,
            },
        };
        let text = match line {
            Some(Ok(text)) if text != QUIT => text,
            Some(Err(fault)) => {
                screen.refused(&fault.to_string());
                continue;
            }
            None | Some(Ok(_)) => break,
        };
        let mut publishing = pin!(chat.publish(&*text));
        let published = loop {
            tokio::select! {
                published = publishing.as_mut() => break published,
                () = stop.cancelled() => break Err(PublishError::Ended),
                // A line is read ahead, so that a user who waits for the connection can still leave.
                line = lines.recv(), if ahead.is_none() => match line.transpose()? {
                    Some(Ok(line)) if line == QUIT => break Err(PublishError::Ended),
                    line => ahead = Some(line),
                },
            }
        };
        match published {
            Ok(_) => {}
            Err(PublishError::Ended) => {
                screen.refused(&format!("left before it was acknowledged: {text}"));
                break;
            }
            Err(error) => screen.refused(&format!("{error}: {text}")),
        }
    }
    match chat.leave().await {
        Ok(_) | Err(LeaveError::Ended) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn waiting_for(why: Reason, delay: Duration) -> String {
    let what = match why {
        Reason::RateLimited => "faster than the service allows",
        Reason::JournalUnavailable => "the service cannot record anything now",
        other => other.as_str(),
    };
    // Whole milliseconds, and never too few.
    let delay = Duration::from_millis(delay.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(u64::MAX));
    format!("{what} ({}): messages wait, trying again in {}", why.as_str(), humantime::format_duration(delay))
}

fn here(roster: &[Member]) -> String {
    let names: Vec<_> = roster.iter().map(|member| member.display_name.as_str()).collect();
    format!("here: {}", names.join(", "))
}

/// Events go to standard output, everything else to standard error.
struct Screen {
    json: bool,
    /// Who the user is.
    name: String,
}

impl Screen {
    /// Shows updates until there are no more.
    async fn show(&self, mut updates: Updates) -> Result<(), Box<dyn Error>> {
        let mut output = tokio::io::stdout();
        let mut waiting = None;
        while let Some(update) = updates.next().await {
            match update {
                Update::Event(event) => {
                    let mut line = self.line(&event)?;
                    line.push('\n');
                    let written = async {
                        output.write_all(line.as_bytes()).await?;
                        output.flush().await
                    };
                    match written.await {
                        Ok(()) => {}
                        // Whoever read along has gone, as `head` does.
                        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                        Err(error) => return Err(error.into()),
                    }
                }
                Update::Offline { why } => self.say(&format!("offline ({why}); trying again, messages wait")),
                Update::Back => self.say("back; nothing was missed"),
                Update::Continued { missed: 1 } => self.say(&format!("back as {}; 1 event was missed", self.name)),
                Update::Continued { missed } => {
                    self.say(&format!("back as {}; {missed} events were missed", self.name));
                }
                Update::NotKept { why } => {
                    self.say(&format!(
                        "the session is not kept any more ({why}): should this client be killed, it joins anew"
                    ));
                }
                Update::JoinedAnew { why, roster } => {
                    self.say(&format!("joined anew, because the session was lost ({})", why.as_str()));
                    self.say(&here(&roster));
                }
                // For people only, who see it pass: a program that reads along waits for the events.
                Update::Presence { participant, connected } if !self.json && io::stdout().is_terminal() => {
                    let what = if connected { "is back" } else { "is reconnecting" };
                    self.say(&format!("{} {what}", participant.display_name));
                }
                Update::Presence { .. } => {}
                Update::Waiting { delay, why } => {
                    // Who pastes a hundred lines waits a hundred times for one reason.
                    let told = waiting.replace((why, Instant::now()));
                    if told.is_none_or(|(before, at)| before != why || at.elapsed() > WAITING_TOLD) {
                        self.say(&waiting_for(why, delay));
                    }
                }
                Update::Ended(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn line(&self, event: &Event) -> serde_json::Result<String> {
        if self.json { show::json(event, SystemTime::now()) } else { Ok(show::plain(event)) }
    }

    fn say(&self, notice: &str) {
        say(notice);
    }

    fn refused(&self, why: &str) {
        terminal::notice(&format!("* not sent: {why}"));
    }
}

//! `chitchat join`: one message a line in, one event a line out.

use std::error::Error;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use clap::builder::BoolishValueParser;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::Level;

use super::{Interrupts, lines};
use crate::chat::DisplayName;
use crate::client::{self, Chat, Event, LeaveError, Member, Options, PublishError, Update, Updates, show};
use crate::client::{StateError, StateFile};
use crate::record::{self, Destination};
use crate::server::Secret;
use crate::terminal;
use crate::wire::Reason;

/// How long to go on showing events after the leave, where nobody may be looking.
const SHOWING_TIME: Duration = Duration::from_secs(10);
/// How long to try to join before the user is told that it takes time.
const JOINING_QUIETLY: Duration = Duration::from_secs(3);
/// For how long a reason to wait need not be told again.
const WAITING_TOLD: Duration = Duration::from_secs(5);
/// The exit code of a program that SIGINT ended.
const INTERRUPTED_TWICE: i32 = 130;

/// What a user types to leave.
const QUIT: &str = "/quit";

/// Join the conversation: type a message and press Enter; /quit or the end of input leaves.
#[derive(Debug, Args)]
pub(super) struct Join {
    /// What the others shall call you: at most 32 characters, unlike the name of anyone who is here.
    #[arg(long, env = "CHITCHAT_NAME", value_parser = display_name)]
    name: DisplayName,

    /// The service to join.
    #[arg(long, value_name = "URL", env = "CHITCHAT_SERVER", default_value = "http://127.0.0.1:50051",
        value_parser = server)]
    server: String,

    /// File with the secret that the service asks for, on one line.
    #[arg(long, value_name = "FILE", env = "CHITCHAT_SECRET_FILE")]
    secret_file: Option<PathBuf>,

    /// File with a certificate to trust beside the system's, in PEM, for an https:// service.
    #[arg(long, value_name = "FILE", env = "CHITCHAT_CA")]
    ca: Option<PathBuf>,

    /// Folder for the log, client-NAME.jsonl. Made where it is missing, appended to where it exists.
    #[arg(long, value_name = "FOLDER", env = "CHITCHAT_LOG_DIR", default_value = "logs")]
    log_dir: PathBuf,

    /// Folder that keeps the session, so that a client that was killed goes on as the same participant when it
    /// is started again within the grace period. By default, sessions/ in the folder for the log.
    #[arg(long, value_name = "FOLDER", env = "CHITCHAT_STATE_DIR")]
    state_dir: Option<PathBuf>,

    /// Do not go on with a session that was kept. Until its grace period is over, it still holds its name.
    #[arg(long, env = "CHITCHAT_FRESH", value_parser = BoolishValueParser::new())]
    fresh: bool,

    /// Read one message a line and print one event a line. The number in front is its logical time.
    #[arg(long, env = "CHITCHAT_PLAIN", conflicts_with = "json", value_parser = BoolishValueParser::new())]
    plain: bool,

    /// Like --plain, printing one JSON object a line, with the field names of the log records.
    #[arg(long, env = "CHITCHAT_JSON", value_parser = BoolishValueParser::new())]
    json: bool,
}

fn display_name(name: &str) -> Result<DisplayName, String> {
    DisplayName::parse(name).map_err(|refusal| refusal.to_string())
}

fn server(url: &str) -> Result<String, String> {
    client::check_address(url).map(|()| url.to_owned()).map_err(|error| error.to_string())
}

impl Join {
    pub(super) async fn run(self) -> Result<(), Box<dyn Error>> {
        let mut options = self.options()?;
        let file = record::file_name("client", self.name.as_str());
        let destination = Destination {
            folder: &self.log_dir,
            file: &file,
            component: "client",
            level: Level::INFO,
            stderr: false,
        };
        let _records = record::install(&destination)?;
        let screen = Screen { json: self.json, name: self.name.as_str().to_owned() };
        options.state = self.state(&self.log_dir.join(&file), &screen);
        let mut joining = pin!(client::join(options));
        let (chat, updates) = match timeout(JOINING_QUIETLY, joining.as_mut()).await {
            Ok(joined) => joined?,
            Err(_) => {
                screen.say("no answer yet; still trying");
                joining.await?
            }
        };
        // From here on there is something to leave.
        let interrupts = Interrupts::new(true)?;
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

    fn options(&self) -> Result<Options, Box<dyn Error>> {
        let read =
            |path: &PathBuf| fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()));
        let mut options = Options::new(&*self.server, self.name.as_str());
        options.certificate_authority = self.ca.as_ref().map(read).transpose()?;
        if let Some(path) = &self.secret_file {
            let secret = String::from_utf8_lossy(&read(path)?).trim_end_matches(['\r', '\n']).to_owned();
            Secret::parse(&secret).map_err(|fault| format!("{}: {fault}", path.display()))?;
            options.secret = Some(secret);
        }
        Ok(options)
    }
}

/// The first signal to end leaves the conversation, the second does not wait for that.
async fn stop_on_signal(mut interrupts: Interrupts, stop: CancellationToken) {
    interrupts.next().await;
    stop.cancel();
    interrupts.next().await;
    std::process::exit(INTERRUPTED_TWICE);
}

impl Join {
    /// The kept session of this name at this service; none where it cannot be kept, which is no reason not
    /// to chat. By default it is beside the log, since the two speak of one another: the session goes on
    /// where that log ends. But it is in a folder of its own, since logs are given away and a session's
    /// token must not be.
    fn state(&self, log: &Path, screen: &Screen) -> Option<StateFile> {
        let beside_the_log = || self.log_dir.join("sessions");
        let folder = self.state_dir.clone().unwrap_or_else(beside_the_log);
        let fresh = || StateFile::fresh(&folder, &self.server, self.name.as_str());
        let opened = if self.fresh { fresh() } else { StateFile::open(&folder, &self.server, self.name.as_str()) };
        let opened = match opened {
            Err(error @ StateError::Unusable { .. }) => {
                screen.say(&format!("{error}; joining anew"));
                fresh()
            }
            opened => opened,
        };
        match opened {
            Ok(state) => {
                if let Err(error) = state.read_log(log) {
                    screen.say(&format!("cannot read {}: {error}; an event may be in it twice", log.display()));
                }
                Some(state)
            }
            Err(error) => {
                screen.say(&format!("{error}; this client does not keep its own"));
                None
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
        terminal::notice(&format!("* {notice}"));
    }

    fn refused(&self, why: &str) {
        terminal::notice(&format!("* not sent: {why}"));
    }
}

//! `chitchat join`: one message a line in, one event a line out.

mod roster;
mod screen;
mod talk;
mod terminal;

use std::error::Error;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::Level;

use super::Interrupts;
use super::lines::Lines;
use crate::chat::DisplayName;
use crate::client::{self, Options, StateError, StateFile};
use crate::record::{self, Destination};
use crate::server::Secret;

use screen::Screen;
use talk::{Stop, Talk, Talked};

pub(super) use terminal::Terminal;

/// How long to go on showing events after the leave, to somebody who may not be looking.
const SHOWING_TIME: Duration = Duration::from_secs(10);
/// How long to try to join before the user is told that it takes time.
const JOINING_QUIETLY: Duration = Duration::from_secs(3);
/// How long a second signal leaves for saying what became of the lines that wait.
const REPORTING_TIME: Duration = Duration::from_secs(1);
/// The exit code where some lines were not delivered, or may not have been.
const PARTLY: u8 = 3;
/// The exit code of a program that SIGINT ended.
const INTERRUPTED_TWICE: u8 = 130;

/// How many earlier events are shown on a terminal.
const HISTORY_ON_TERMINAL: u32 = 20;
/// How many can be: a page of the service's.
const HISTORY_MAX: i64 = 1000;

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

    /// How many earlier events to show on joining, 0 to 1000. By default, 20 where the output is a terminal and none
    /// where it is not. They are marked as earlier: with --json by "earlier": true.
    #[arg(long, value_name = "N", env = "CHITCHAT_HISTORY",
        value_parser = clap::value_parser!(u32).range(0..=HISTORY_MAX))]
    history: Option<u32>,
}

fn display_name(name: &str) -> Result<DisplayName, String> {
    DisplayName::parse(name).map_err(|refusal| refusal.to_string())
}

fn server(url: &str) -> Result<String, String> {
    client::check_address(url).map(|()| url.to_owned()).map_err(|error| error.to_string())
}

impl Join {
    pub(super) async fn run(self) -> Result<ExitCode, Box<dyn Error>> {
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
        let screen = Screen::new(self.json, self.name.as_str());
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
        screen.has_joined(chat.me(), chat.roster());
        let is_typed = io::stdin().is_terminal();
        if is_typed {
            screen.say("type a message and press Enter; /quit leaves, /help says more");
        }
        let history = match self.history {
            Some(history) => history,
            None if io::stdout().is_terminal() => HISTORY_ON_TERMINAL,
            None => 0,
        };
        let (stop, ready) = (Stop::default(), CancellationToken::new());
        tokio::spawn(stop_on_signal(interrupts, stop.clone()));
        let lines = Lines::of(io::stdin(), screen.terminal())?;
        let talking = Talk::new(chat.clone(), &screen, lines, is_typed).run(&stop, &ready);
        let showing = async {
            let shown = screen.show(updates, &chat, history, &ready).await;
            // Without anybody to show events to it leaves; and it may not have been able to go on.
            stop.gently.cancel();
            shown
        };
        tokio::pin!(talking, showing);
        let (talked, shown) = tokio::select! {
            shown = showing.as_mut() => (talking.await, shown),
            talked = talking.as_mut() => {
                // What came before the leave is still to be shown, if anybody looks.
                let patience = if matches!(talked, Ok(Talked::GaveUp)) { REPORTING_TIME } else { SHOWING_TIME };
                (talked, timeout(patience, showing).await.unwrap_or(Ok(())))
            }
        };
        shown.and(talked).map(|talked| match talked {
            Talked::GaveUp => INTERRUPTED_TWICE.into(),
            Talked::Partly if !is_typed => PARTLY.into(),
            Talked::Partly | Talked::AllDelivered => ExitCode::SUCCESS,
        })
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

/// The first signal leaves the conversation once what was typed is acknowledged, the second waits for no answer.
async fn stop_on_signal(mut interrupts: Interrupts, stop: Stop) {
    interrupts.next().await;
    stop.gently.cancel();
    interrupts.next().await;
    stop.at_once.cancel();
    // Where not even that can be said, a terminal is stopped, say.
    tokio::time::sleep(2 * REPORTING_TIME).await;
    std::process::exit(INTERRUPTED_TWICE.into());
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

//! The options of every client: which service it joins, and where it keeps its files.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use clap::error::ErrorKind;
use tokio::time::sleep;
use tracing::Level;

use super::signals::{Hangup, Reloads};
use crate::chat::DisplayName;
use crate::cli::{duration, switch};
use crate::client::{self, Chat, JoinError, Options, PublishError, StateError, StateFile, Updates};
use crate::log::{self, Component, Destination};
use crate::server::Secret;
use crate::terminal::notice;
use crate::wire::Reason;

/// How long joining may take before a notice is shown.
const JOINING_QUIETLY: Duration = Duration::from_secs(3);

/// The options of all commands that connect to a service.
#[derive(Debug, Args)]
pub(crate) struct ConnectArgs {
    /// The service. Separate several URLs of one conversation with commas: the client uses the first, and the next
    /// whenever a connection is lost.
    #[arg(short, long, value_name = "URL", env = "CHITCHAT_SERVER", default_value = "http://127.0.0.1:50051",
        value_delimiter = ',', value_parser = server)]
    server: Vec<String>,

    /// File with the access secret, on one line.
    #[arg(long, value_name = "FILE", env = "CHITCHAT_SECRET_FILE")]
    secret_file: Option<PathBuf>,

    /// File with a certificate to trust in addition to the system's, in PEM. Only for an https:// service.
    #[arg(long, value_name = "FILE", env = "CHITCHAT_CA")]
    ca: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct AccessArgs {
    #[command(flatten)]
    connect: ConnectArgs,

    /// How long to keep trying to reach the service, for example while it starts. By default, the first failure is
    /// final.
    #[arg(long, value_name = "TIME", env = "CHITCHAT_WAIT", value_parser = duration)]
    wait: Option<Duration>,

    /// Folder for the log, client-NAME.jsonl. Created if missing; an existing log is appended to.
    #[arg(long, value_name = "FOLDER", env = "CHITCHAT_LOG_DIR", default_value = "logs")]
    log_dir: PathBuf,

    /// Folder that keeps the session, so that a client that was killed and is started again within the grace period
    /// resumes as the same participant. By default, sessions/ in the log folder.
    #[arg(long, value_name = "FOLDER", env = "CHITCHAT_STATE_DIR")]
    state_dir: Option<PathBuf>,

    /// Join anew instead of resuming a kept session. Until its grace period ends, that session still holds its name.
    #[arg(long, env = "CHITCHAT_FRESH", value_parser = switch)]
    fresh: bool,
}

/// A display name.
pub(crate) fn display_name(name: &str) -> Result<DisplayName, String> {
    DisplayName::parse(name).map_err(|refusal| refusal.to_string())
}

/// The URL of a service.
pub(crate) fn server(url: &str) -> Result<String, String> {
    client::check_address(url).map(|()| url.to_owned()).map_err(|error| match error {
        JoinError::Address { why, .. } => why,
        error => error.to_string(),
    })
}

/// What is wrong with a list of URLs, each of which is valid.
fn of_list(servers: &[String]) -> Option<String> {
    let mut known: Vec<String> = Vec::new();
    for url in servers {
        let same = url.trim_end_matches('/').to_ascii_lowercase();
        if known.contains(&same) {
            return Some(format!("{url} is in the list twice"));
        }
        known.push(same);
    }
    // The access secret would be sent unencrypted to some addresses.
    let is_mixed =
        known.iter().any(|url| url.starts_with("https:")) && known.iter().any(|url| url.starts_with("http:"));
    is_mixed.then(|| "the list mixes http:// and https:// URLs: use only one of the two".into())
}

fn read(option: &str, path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{option}: cannot read {}: {error}", path.display()))
}

/// Reads an access secret: its text, and what a service compares with it.
pub(in crate::cli) fn read_secret(path: &Path) -> Result<(String, Secret), String> {
    let bytes = read("--secret-file", path)?;
    let text = String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned();
    let secret = Secret::parse(&text).map_err(|fault| format!("--secret-file: {}: {fault}", path.display()))?;
    Ok((text, secret))
}

/// Prints a client's notice for people.
pub(crate) fn say(text: &str) {
    notice(&format!("* {text}"));
}

/// What became of a message that was not published, or may not have been.
pub(crate) fn unpublished(error: &PublishError, text: &str) -> String {
    match error {
        PublishError::Refused { message, .. } if text.is_empty() => format!("refused: {message}"),
        PublishError::Refused { message, .. } => format!("refused: {message}: {text}"),
        PublishError::Unconfirmed => format!("may or may not have been delivered: {text}"),
        PublishError::Ended => format!("not sent: {text}"),
    }
}

impl ConnectArgs {
    /// Refuses a wrong list of URLs, and a certificate to trust for a connection without TLS: a user who gives one
    /// expects encryption.
    pub(crate) fn check(&self) -> Result<(), clap::Error> {
        if let Some(why) = of_list(&self.server) {
            return Err(clap::Error::raw(ErrorKind::ValueValidation, format!("--server: {why}\n")));
        }
        let is_plain =
            |url: &&String| !url.split_once("://").is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("https"));
        match self.server.iter().find(is_plain).filter(|_| self.ca.is_some()) {
            Some(url) => {
                let text = format!("--ca is for an https:// service, but --server is {url}\n");
                Err(clap::Error::raw(ErrorKind::ArgumentConflict, text))
            }
            None => Ok(()),
        }
    }

    /// The URLs as given.
    fn servers(&self) -> String {
        self.server.join(",")
    }

    /// The client options for reaching the service, for a participant of this name; it is empty if none joins.
    pub(crate) fn options(&self, name: &str) -> Result<Options, Box<dyn Error>> {
        let mut options = Options::new(self.servers(), name);
        options.certificate_authority = self.ca.as_ref().map(|path| read("--ca", path)).transpose()?;
        options.secret = self.secret_file.as_deref().map(read_secret).transpose()?.map(|(text, _)| text);
        Ok(options)
    }

    /// Why connecting or joining failed, with the option that may fix it.
    pub(crate) fn explain(&self, error: JoinError) -> String {
        match (error, &self.secret_file, &self.ca) {
            (JoinError::Unreachable { address, why }, ..) => format!("--server: cannot reach {address}: {why}"),
            (JoinError::NoneReachable(why), ..) => format!("--server: {why}"),
            (JoinError::Mismatch { address, why }, ..) => format!("--server: {address}: {why}"),
            (error, Some(path), _) if error.reason() == Some(Reason::SecretRequired) => {
                format!("--secret-file: the service does not accept the access secret in {}", path.display())
            }
            (error, None, _) if error.reason() == Some(Reason::SecretRequired) => {
                "the service requires an access secret: name the file that contains it with --secret-file".into()
            }
            (error, ..) if error.reason() == Some(Reason::NameTaken) => format!("--name: {error}"),
            (JoinError::Tls(why), _, Some(path)) => format!("--ca: {}: {why}", path.display()),
            (error, ..) => error.to_string(),
        }
    }
}

impl AccessArgs {
    /// Refuses options that contradict each other.
    pub(crate) fn check(&self) -> Result<(), clap::Error> {
        self.connect.check()
    }

    /// How long to keep trying to reach the service.
    pub(crate) fn wait(&self) -> Duration {
        self.wait.unwrap_or_default()
    }

    /// Opens the log and joins.
    pub(crate) async fn join(&self, name: &DisplayName) -> Result<(Chat, Updates), Box<dyn Error>> {
        let mut options = self.connect.options(name.as_str())?;
        options.wait = self.wait();
        let file = log::file_name("client", name.as_str());
        let level = Level::INFO;
        let destination =
            Destination { folder: &self.log_dir, file: &file, component: Component::Client, level, stderr: false };
        let records = log::install(&destination).map_err(|error| format!("--log-dir: {error}"))?;
        let log = records.path().to_owned();
        if !log.ends_with(&file) {
            let log = log.display();
            say(&format!("another process is writing to {file} in this folder; this one logs to {log}"));
        }
        let mut reloads = Reloads::new(Hangup::Ends)?;
        tokio::spawn(async move {
            loop {
                reloads.next().await;
                records.reopen();
            }
        });
        options.state = self.state(name, &log);
        let joining = client::join(options);
        tokio::pin!(joining);
        let joined = tokio::select! {
            joined = joining.as_mut() => joined,
            () = sleep(JOINING_QUIETLY) => {
                say("no answer yet; still trying");
                joining.await
            }
        };
        joined.map_err(|error| self.connect.explain(error).into())
    }

    /// The file for the session of this name at this service; `None` if it cannot be kept, which must not prevent
    /// chatting. By default it is in the log folder, since the session continues where that log ends. It has a separate
    /// subfolder there, since logs may be shared and a session's token must not be.
    fn state(&self, name: &DisplayName, log: &Path) -> Option<StateFile> {
        let beside_the_log = || self.log_dir.join("sessions");
        let folder = self.state_dir.clone().unwrap_or_else(beside_the_log);
        let servers = self.connect.servers();
        let fresh = || StateFile::fresh(&folder, &servers, name.as_str());
        let opened = if self.fresh { fresh() } else { StateFile::open(&folder, &servers, name.as_str()) };
        let opened = match opened {
            Err(error @ StateError::Unusable { .. }) => {
                say(&format!("{error}; joining anew"));
                fresh()
            }
            opened => opened,
        };
        match opened {
            Ok(state) => {
                if let Err(error) = state.read_log(log) {
                    say(&format!("cannot read {}: {error}; an event may be logged twice", log.display()));
                }
                Some(state)
            }
            Err(error) => {
                let is_of_folder = matches!(error, StateError::NotAFolder { .. } | StateError::Io { .. });
                let option = if is_of_folder && self.state_dir.is_some() { "--state-dir: " } else { "" };
                say(&format!("{option}{error}; if this client is killed, it will join anew"));
                None
            }
        }
    }
}

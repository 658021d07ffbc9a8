//! `chitchat serve --replicate`: the start of a replica.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_nats::ServerAddr;
use clap::Args;
use clap::error::ErrorKind;
use tokio::task::spawn_blocking;

use super::backfill;
use super::opening::{open_journal, recover};
use crate::chat::Conversation;
use crate::journal::{CheckSettings, Committed, Epoch, MemoryJournal, ReplicaJournal, SqliteJournal};
use crate::replica::{self, CommandLog, ReplicaParts, Settings, SetupFault};
use crate::server::{Environment, record_recovered_broadcast};

/// How many characters a replica's or a stream's name has at most.
const NAME_CHARACTERS_MAX: usize = 64;

/// What is needed to be a replica.
#[derive(Debug, Args)]
pub(super) struct ReplicateArgs {
    /// NATS servers with JetStream, such as `nats://h1:4222,nats://h2:4222,nats://h3:4222`. All services that are
    /// started with the same servers and the same stream are replicas of one conversation: see docs/replicas.md.
    #[arg(long, value_name = "URL", env = "CHITCHAT_REPLICATE", value_delimiter = ',', value_parser = server)]
    replicate: Vec<Server>,

    /// The stream that the replicas share. The first replica creates it.
    #[arg(long, value_name = "NAME", env = "CHITCHAT_REPLICATE_STREAM", default_value = "chitchat",
        value_parser = name, requires = "replicate")]
    replicate_stream: String,

    /// File with the credentials for the servers, as `nsc generate creds` writes it.
    #[arg(long, value_name = "FILE", env = "CHITCHAT_REPLICATE_CREDENTIALS", requires = "replicate")]
    replicate_credentials: Option<PathBuf>,

    /// The unique name of this replica, part of every record in its log. The default is the host name.
    #[arg(long, value_name = "NAME", env = "CHITCHAT_REPLICA_NAME", value_parser = name, requires = "replicate")]
    replica_name: Option<String>,
}

/// A server's address. Its password is never printed.
#[derive(Clone)]
struct Server(ServerAddr);

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Server(…)")
    }
}

fn server(address: &str) -> Result<Server, String> {
    replica::parse_server(address).map(Server)
}

/// A name that can be part of a NATS subject.
fn name(name: &str) -> Result<String, String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || name.len() > NAME_CHARACTERS_MAX || !name.chars().all(is_allowed) {
        return Err(format!("a name has 1 to {NAME_CHARACTERS_MAX} letters, digits, `-` and `_`"));
    }
    Ok(name.to_owned())
}

impl ReplicateArgs {
    /// Refuses a list that names a server twice.
    pub(super) fn check(&self) -> Result<(), clap::Error> {
        replica::check_named_once(&self.servers())
            .map_err(|fault| clap::Error::raw(ErrorKind::ValueValidation, format!("--replicate: {fault}\n")))
    }

    fn servers(&self) -> Vec<ServerAddr> {
        self.replicate.iter().map(|server| server.0.clone()).collect()
    }

    /// Where the common log is; `None` for a service without replicas.
    pub(super) fn settings(&self) -> Option<Settings> {
        if self.replicate.is_empty() {
            return None;
        }
        Some(Settings {
            servers: self.servers(),
            stream: self.replicate_stream.clone(),
            credentials: self.replicate_credentials.clone(),
            name: self.replica_name.clone().unwrap_or_else(host_name).into(),
        })
    }
}

fn host_name() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    host.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(NAME_CHARACTERS_MAX).collect()
}

fn option_at_fault(fault: &SetupFault) -> &'static str {
    match fault {
        SetupFault::Credentials { .. } => "--replicate-credentials",
        _ => "--replicate",
    }
}

/// Opens the common log and this replica's copy, brings the copy up to date, and announces the replica. Without a file
/// the copy is in memory. Events that its own log lacks, because they happened while it was away, are recorded there.
pub(super) async fn start(
    settings: Settings,
    copy: Option<(PathBuf, CheckSettings)>,
    own_log: &Path,
    environment: Environment,
    new_epoch: Epoch,
) -> Result<ReplicaParts, Box<dyn Error>> {
    let log = CommandLog::open(&settings, new_epoch.as_str()).await;
    let log = log.map_err(|fault| format!("{}: {fault}", option_at_fault(&fault)))?;
    let epoch = Epoch::new(log.epoch());
    let (own_log_path, name) = (own_log.to_owned(), settings.name.clone());
    let newest_logged = move |epoch: &Epoch| backfill::newest_logged(&own_log_path, epoch, Some(&*name));
    let (journal, conversation, logged): (Box<dyn ReplicaJournal>, _, _) = match copy {
        None => {
            let (journal, of_epoch) = (MemoryJournal::new(epoch.clone()), epoch.clone());
            // A search may read the whole log.
            let logged = spawn_blocking(move || newest_logged(&of_epoch)).await?;
            let logged = logged.map_err(|error| format!("--log-dir: cannot read the log {error}"))?;
            (Box::new(journal), Conversation::new(), logged)
        }
        Some((path, check)) => {
            let epoch = epoch.clone();
            let open = move || SqliteJournal::open_copy(&path, check, &epoch, newest_logged);
            let mut journal = open_journal(open).await?;
            let mut conversation = recover(&mut journal).await?;
            let logged = journal.logged_at_open();
            backfill::record_missing_events(own_log, &mut journal, &mut conversation, (environment.now)()).await?;
            (Box::new(journal), conversation, logged)
        }
    };
    let logged = logged.unwrap_or_default();
    let record = |committed: &Committed| {
        let missing = committed.events().iter().filter(|event| event.sequence > logged);
        missing.for_each(|event| record_recovered_broadcast(&epoch, event));
    };
    let mut copying = replica::copy(log, journal, conversation).await?;
    copying.catch_up(record).await?;
    let (name, nonce): (Arc<str>, _) = (settings.name, (environment.random)() as u64);
    Ok(copying.join(name, nonce, (environment.now)(), record).await?)
}

//! `chitchat serve`.

mod backfill;
mod limits;
pub(super) mod listen;
mod network;
mod opening;
#[cfg(test)]
mod replica_faults;
mod replicate;

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use http::HeaderValue;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::Level;

use super::common::access::read_secret;
use super::common::signals::{Hangup, Interrupts, Reloads};
use super::lab::invitation::LabInvitation;
use super::{duration, switch};
use crate::journal::{Epoch, MemoryJournal, SqliteJournal};
use crate::log::{self, Component, Destination, RecordLog};
use crate::server::{self, Allowed, Config, ProxyNetwork, Tls};
use crate::terminal::notice;
use crate::trace::gallery;
use limits::LimitArgs;
use opening::{CheckArgs, open_journal, recover};
use replicate::ReplicateArgs;

/// The log's name in its folder.
const LOG_FILE: &str = "server.jsonl";
/// The journal of `serve` unless another is named.
const JOURNAL_DEFAULT: &str = "chitchat.db";
/// The value for a journal in memory. A file with that name can be given as `./memory`.
const MEMORY: &str = "memory";
/// Run the service until it is interrupted (SIGINT, SIGTERM).
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Where to listen. Port 0 picks a free port, which the log shows.
    #[arg(long, value_name = "HOST:PORT", env = "CHITCHAT_LISTEN", default_value = "127.0.0.1:50051",
        value_parser = listen::host_and_port)]
    listen: String,

    /// File that keeps the conversation. Created if missing; an existing conversation continues. `memory` keeps it only
    /// until the process ends. The default is chitchat.db; for `lab`, it is `memory`.
    #[arg(long, value_name = "FILE | memory", env = "CHITCHAT_JOURNAL")]
    journal: Option<PathBuf>,

    /// Folder for the log, server.jsonl. Created if missing; an existing log is appended to. SIGHUP and SIGUSR1 reopen
    /// the log.
    #[arg(long, value_name = "FOLDER", env = "CHITCHAT_LOG_DIR", default_value = "logs")]
    log_dir: PathBuf,

    /// The lowest level of records that server.jsonl keeps. `info` leaves out the deliveries.
    #[arg(long, value_name = "LEVEL", env = "CHITCHAT_LOG_LEVEL", default_value = "debug")]
    log_level: LogLevel,

    /// How long a participant whose connection broke has to reconnect before it counts as having left.
    #[arg(long, value_name = "TIME", env = "CHITCHAT_GRACE", default_value = "30s", value_parser = duration)]
    grace: Duration,

    /// Origin of another page whose visitors may take part, such as `https://chat.example`. Repeatable.
    #[arg(long, value_name = "URL", env = "CHITCHAT_ALLOW_ORIGIN", value_delimiter = ',', value_parser = network::origin)]
    allow_origin: Vec<HeaderValue>,

    /// Host name by which clients may reach the service, in addition to this machine's own. Repeatable.
    #[arg(long, value_name = "NAME", env = "CHITCHAT_ALLOW_HOST", value_delimiter = ',', value_parser = network::host)]
    allow_host: Vec<String>,

    /// Proxy, by address or network, that is trusted to pass on its clients' addresses, by X-Forwarded-For or the PROXY
    /// protocol. Repeatable.
    #[arg(long, value_name = "ADDRESS", env = "CHITCHAT_TRUST_PROXY", value_delimiter = ',')]
    trust_proxy: Vec<ProxyNetwork>,

    /// File with the secret that participants must know, on one line: 16 to 1,024 visible ASCII characters. /metrics
    /// and reflection require it, too.
    #[arg(long, value_name = "FILE", env = "CHITCHAT_SECRET_FILE")]
    secret_file: Option<PathBuf>,

    /// File with the certificate chain for TLS, in PEM. SIGHUP and SIGUSR1 reload it and the key.
    #[arg(long, value_name = "FILE", env = "CHITCHAT_TLS_CERT", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// File with the certificate's private key, in PEM.
    #[arg(long, value_name = "FILE", env = "CHITCHAT_TLS_KEY", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Encrypt with a new self-signed certificate, for trying things out. It is written to LOG_DIR/self-signed.pem, for
    /// `chitchat join --ca`.
    #[arg(long, env = "CHITCHAT_TLS_SELF_SIGNED", conflicts_with_all = ["tls_cert", "tls_key"],
        value_parser = switch)]
    tls_self_signed: bool,

    #[command(flatten)]
    check: CheckArgs,

    #[command(flatten)]
    replicate: ReplicateArgs,

    #[command(flatten)]
    limits: LimitArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogLevel {
    Info,
    Debug,
}

/// At each signal to reload, reopens the log and reads the certificate again.
async fn reload(mut reloads: Reloads, records: RecordLog, tls: Option<Tls>, files: Option<(PathBuf, PathBuf)>) {
    loop {
        reloads.next().await;
        records.reopen();
        if let (Some(tls), Some((certificate, key))) = (&tls, &files) {
            match tls.reload(certificate, key) {
                Ok(()) => tracing::info!("the certificate was reloaded; new connections use it"),
                Err(error) => {
                    let error = network::tls_fault(&error, certificate, key);
                    tracing::error!("the certificate cannot be reloaded, and the old one stays in use: {error}");
                }
            }
        }
    }
}

/// Makes a write beyond the process's limit on file sizes (RLIMIT_FSIZE) fail like one on a full disk,
/// which the journal can handle. Otherwise SIGXFSZ would end the process.
fn survive_file_size_limit() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    /// It has the same number on Linux, macOS and the BSDs.
    const SIGXFSZ: i32 = 25;
    // The handler stays installed, even if the stream of its signals is dropped.
    signal(SignalKind::from_raw(SIGXFSZ)).map(drop)
}

impl ServeArgs {
    /// Whether this is to be a replica.
    pub(super) fn is_replica(&self) -> bool {
        self.replicate.settings().is_some()
    }

    /// Refuses options that contradict each other. `is_given` returns whether an option is on the command line.
    pub(super) fn check(&self, is_lab: bool, is_given: impl Fn(&str) -> bool) -> Result<(), clap::Error> {
        if self.journal(is_lab) == Path::new(MEMORY) {
            CheckArgs::refuse(is_given)?;
        }
        self.replicate.check()
    }

    /// The journal's file, or [`MEMORY`].
    fn journal(&self, is_lab: bool) -> PathBuf {
        let default = if is_lab { MEMORY } else { JOURNAL_DEFAULT };
        self.journal.clone().unwrap_or_else(|| default.into())
    }

    /// Serves. `lab` has what people need to know to use the lab, if there is one.
    pub(super) async fn run(self, lab: Option<LabInvitation>) -> Result<(), Box<dyn Error>> {
        // From here on these signals no longer end the process.
        let reloads = Reloads::new(Hangup::Reloads)?;
        let mut config = self.config()?;
        let journal = self.journal(lab.is_some());
        let replicate = self.replicate.settings();
        let fewer = network::fit_open_files(&mut config)?;
        let listener = listen::bind(&self.listen).await?;
        if let Some(settings) = &replicate {
            log::name_replica(&settings.name);
        }
        self.start_log(reloads, config.tls.clone())?;
        network::warn_of_exposure(&listener, &config, self.tls_self_signed.then_some(&*self.log_dir));
        if fewer {
            let fit = config.connections_max;
            tracing::warn!("at most {fit} connections fit into this process's limit on open files (ulimit -n)");
        }
        let shutdown = CancellationToken::new();
        let (mut interrupts, stop) = (Interrupts::new(Hangup::Reloads)?, shutdown.clone());
        tokio::spawn(async move {
            interrupts.first().await;
            stop.cancel();
        });
        survive_file_size_limit()?;
        let (started, invitation) = (config.started.clone(), self.invitation(listener.local_addr()?));
        let lab_config = |lab: &LabInvitation| lab.config(&invitation, &self.log_dir);
        config.lab = lab.as_ref().map(lab_config).transpose()?;
        tokio::spawn(async move {
            started.cancelled().await;
            notice(&invitation.to_string());
            if let Some(lab) = lab {
                lab.show(&invitation);
            }
        });
        let epoch = server::new_epoch(&config.environment);
        if let Some(settings) = replicate {
            let log = self.log_dir.join(LOG_FILE);
            let copy = (journal != Path::new(MEMORY)).then(|| (journal, self.check.settings()));
            let started = tokio::select! {
                started = replicate::start(settings, copy, &log, config.environment, epoch) => started?,
                () = shutdown.cancelled() => return Ok(()),
            };
            return Ok(server::run_replica(listener, config, started, shutdown).await?);
        }
        if journal == Path::new(MEMORY) {
            let journal = MemoryJournal::new(epoch);
            return Ok(server::run(listener, config, Box::new(journal), shutdown).await?);
        }
        self.run_alone(listener, config, journal, epoch, shutdown).await
    }

    /// Opens the log. From then on, signals reopen it and read the certificate again.
    fn start_log(&self, reloads: Reloads, tls: Option<Tls>) -> Result<(), Box<dyn Error>> {
        let level = match self.log_level {
            LogLevel::Info => Level::INFO,
            LogLevel::Debug => Level::DEBUG,
        };
        let (folder, component) = (&*self.log_dir, Component::Server);
        let destination = Destination { folder, file: LOG_FILE, component, level, stderr: true };
        let records = log::install(&destination).map_err(|error| format!("--log-dir: {error}"))?;
        tokio::spawn(reload(reloads, records, tls, self.tls_cert.clone().zip(self.tls_key.clone())));
        Ok(())
    }

    /// Serves the conversation of a journal in a file.
    async fn run_alone(
        &self,
        listener: TcpListener,
        config: Config,
        path: PathBuf,
        epoch: Epoch,
        shutdown: CancellationToken,
    ) -> Result<(), Box<dyn Error>> {
        let (log, check, now) = (self.log_dir.join(LOG_FILE), self.check.settings(), config.environment.now);
        let recovering = async {
            let own_log = log.clone();
            let open = move || {
                let logged = |epoch: &Epoch| backfill::newest_logged(&own_log, epoch, None);
                SqliteJournal::open_with_log(&path, check, || epoch, logged)
            };
            let mut journal = open_journal(open).await?;
            let mut conversation = recover(&mut journal).await?;
            backfill::record_missing_events(&log, &mut journal, &mut conversation, now()).await?;
            Ok::<_, Box<dyn Error>>((journal, conversation))
        };
        let (journal, conversation) = tokio::select! {
            recovered = recovering => recovered?,
            () = shutdown.cancelled() => return Ok(()),
        };
        Ok(server::run_recovered(listener, config, Box::new(journal), conversation, shutdown).await?)
    }

    fn invitation(&self, bound: SocketAddr) -> listen::Invitation {
        let ca = self.tls_self_signed.then(|| self.log_dir.join(network::SELF_SIGNED_FILE));
        listen::Invitation {
            listen: self.listen.clone(),
            name: self.allow_host.first().cloned(),
            bound,
            encrypted: self.tls_cert.is_some() || self.tls_self_signed,
            certificate: self.tls_cert.clone().or_else(|| ca.clone()),
            ca,
            secret_file: self.secret_file.clone(),
        }
    }

    fn config(&self) -> Result<Config, Box<dyn Error>> {
        let mut hosts = self.allow_host.clone();
        hosts.extend(network::host_of(&self.listen));
        let tls = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Some(network::tls_from_files(certificate, key)?),
            _ if self.tls_self_signed => Some(network::tls_self_signed(&hosts, &self.log_dir)?),
            _ => None,
        };
        Ok(Config {
            grace: self.grace,
            allowed: Allowed { origins: self.allow_origin.clone(), hosts },
            trusted_proxies: self.trust_proxy.clone().into(),
            secret: self.secret_file.as_deref().map(read_secret).transpose()?.map(|(_, secret)| secret),
            tls,
            gallery: Some(gallery::page),
            ..self.limits.config()
        })
    }
}

//! `chitchat journal`: inspects a journal file, even while a service is using it.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::common::exit_codes::USAGE;
use super::common::progress::Progress;
use super::of_output;
use crate::chat::{Conversation, Event, EventKind, Sequence};
use crate::journal::sqlite::{
    BackupError, BackupProgress, OpenError, OpenFault, RESTORE_BACKUP, ReadOnlyJournal, Summary,
};
use crate::journal::{History, JournalError, RecoveryError, recover};
use crate::log::{Broadcast, Component, Record, RecordBody, ServerRecord, timestamp};
use crate::terminal::{escaped, json_line, notice};

/// How many events are read at a time.
const PAGE: usize = 1024;

/// Inspect or back up a journal, even while a service is using it. The journal is not changed.
#[derive(Debug, Args)]
pub(super) struct JournalArgs {
    #[command(subcommand)]
    command: JournalCommand,
}

#[derive(Debug, Subcommand)]
enum JournalCommand {
    /// Show what a journal holds: its epoch, its events, their times, and the active participants. Exits 1 if events
    /// are missing.
    Info {
        /// The journal.
        file: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Print all events as JSON Lines: the service's broadcast records, as `verify` reads them. The
    /// timestamp is the time of recording. No session token is printed.
    /// Exits 1 if events are missing.
    Export {
        /// The journal.
        file: PathBuf,
    },
    /// Copy a journal to a new file, even while a service is using it. When the command ends, the copy is complete,
    /// checked and on the disk, and a service can start from it. An existing file is never replaced, and a failed copy
    /// leaves no file. Exits 1 if the journal is damaged, 2 if it cannot be read or the copy cannot be written.
    Backup {
        /// The journal.
        file: PathBuf,
        /// The copy.
        copy: PathBuf,
    },
    /// Look for damage and replay all events. Exits 0 if the journal is intact, 1 if it is damaged, 2 if it is not a
    /// journal. The error names the damaged event, unless the damage keeps the file from being read.
    Check {
        /// The journal.
        file: PathBuf,
    },
}

impl JournalArgs {
    pub(super) async fn run(self) -> Result<ExitCode, Box<dyn Error>> {
        let done = match &self.command {
            JournalCommand::Info { file, json } => info(file, *json).await,
            JournalCommand::Export { file } => export(file).await,
            JournalCommand::Backup { file, copy } => backup(file, copy),
            JournalCommand::Check { file } => check(file).await,
        };
        match done {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(CommandError::Damaged(why)) => Err(why.into()),
            Err(CommandError::Unusable(why)) => {
                notice(&format!("chitchat: {why}"));
                Ok(ExitCode::from(USAGE))
            }
            // The reader of the output has closed it.
            Err(CommandError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
            Err(CommandError::Output(error)) => Err(of_output(error).into()),
        }
    }
}

/// Why a command failed.
enum CommandError {
    /// A damaged journal.
    Damaged(String),
    /// The file is not a journal, or cannot be read.
    Unusable(String),
    /// The output cannot be written.
    Output(io::Error),
}

impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<OpenError> for CommandError {
    fn from(error: OpenError) -> Self {
        match error.fault {
            OpenFault::Damaged(_) | OpenFault::Shortened { .. } => Self::Damaged(error.to_string()),
            _ => Self::Unusable(error.to_string()),
        }
    }
}

impl From<BackupError> for CommandError {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Source(error) => error.into(),
            error => Self::Unusable(error.to_string()),
        }
    }
}

fn unreadable(file: &Path, error: &JournalError) -> CommandError {
    match error {
        JournalError::Unavailable(why) => {
            CommandError::Unusable(format!("{} cannot be read: {why}", file.display()))
        }
        JournalError::Fatal(why) => damaged(file, why),
    }
}

fn damaged(file: &Path, why: &dyn Display) -> CommandError {
    let remedy = ReadOnlyJournal::open(file).map_or(RESTORE_BACKUP, |journal| journal.remedy());
    CommandError::Damaged(format!("{} is damaged: {why}; {remedy}", file.display()))
}

fn unrecoverable(file: &Path, error: RecoveryError) -> CommandError {
    match error {
        RecoveryError::Journal(error) => unreadable(file, &error),
        RecoveryError::File(error) => error.into(),
        RecoveryError::Diverged(why) => damaged(file, &why),
    }
}

/// Replays a journal. Events that a service adds meanwhile may be included.
async fn replay(
    file: &Path,
    what: &'static str,
    journal: &ReadOnlyJournal,
    mut on_event: impl FnMut(&Event),
) -> Result<Conversation, CommandError> {
    let mut progress = Progress::new(what, journal.summary()?.head.0);
    let on_event = |event: &Event| {
        progress.at(event.sequence.0);
        on_event(event);
    };
    recover(&*journal.history(), on_event).await.map_err(|error| unrecoverable(file, error))
}

/// The output of `info`, with the field names of the log records where they exist.
#[derive(Serialize)]
struct Info {
    file: String,
    epoch: String,
    schema_version: i64,
    events: u64,
    joined: u64,
    left: u64,
    messages: u64,
    sequence: u64,
    logical_time: u64,
    first_recorded_at: Option<String>,
    last_recorded_at: Option<String>,
    chain: Option<String>,
    file_bytes: u64,
    log_bytes: u64,
    participants: Vec<ParticipantJson>,
}

#[derive(Serialize)]
struct ParticipantJson {
    participant_id: String,
    display_name: String,
}

async fn info(file: &Path, json: bool) -> Result<(), CommandError> {
    let journal = ReadOnlyJournal::open(file)?;
    let Summary { epoch, head, chain, schema_version, file_bytes, log_bytes } = journal.summary()?;
    let (mut first, mut last, mut counts) = (None, None, [0; 3]);
    let conversation = replay(file, "reading", &journal, |event| {
        let kind = match event.kind {
            EventKind::Joined { .. } => 0,
            EventKind::Left { .. } => 1,
            EventKind::Message { .. } => 2,
        };
        counts[kind] += 1;
        first.get_or_insert(event.recorded_at);
        last = Some(event.recorded_at);
    })
    .await?;
    let [joined, left, messages] = counts;
    let info = Info {
        file: file.display().to_string(),
        epoch: epoch.to_string(),
        schema_version,
        events: conversation.head().0,
        joined,
        left,
        messages,
        sequence: conversation.head().0,
        logical_time: conversation.logical_time().0,
        first_recorded_at: first.map(timestamp),
        last_recorded_at: last.map(timestamp),
        // The chain hash is that of the head at the opening; a service may have added events since.
        chain: (conversation.head() == head).then_some(chain),
        file_bytes,
        log_bytes,
        participants: conversation
            .roster()
            .map(|(id, member)| ParticipantJson {
                participant_id: id.to_string(),
                display_name: member.display_name.to_string(),
            })
            .collect(),
    };
    let mut output = io::stdout().lock();
    if json {
        writeln!(output, "{}", line(&info)?)?;
    } else {
        info.print(&mut output)?;
    }
    Ok(journal.check_end()?)
}

impl Info {
    fn print(&self, output: &mut impl Write) -> io::Result<()> {
        let mut row = |name: &str, value: &dyn Display| writeln!(output, "{name:<14}{value}");
        row("journal", &escaped(&self.file))?;
        row("epoch", &escaped(&self.epoch))?;
        let Self { events, joined, left, messages, .. } = self;
        row("events", &format_args!("{events}  ({messages} messages, {joined} joined, {left} left)"))?;
        row("head", &format_args!("sequence {}, logical time {}", self.sequence, self.logical_time))?;
        if let (Some(first), Some(last)) = (&self.first_recorded_at, &self.last_recorded_at) {
            row("recorded", &format_args!("{first} to {last}"))?;
        }
        if let Some(chain) = &self.chain {
            row("chain", chain)?;
        }
        row("size", &format_args!("{} bytes, and {} in its write-ahead log", self.file_bytes, self.log_bytes))?;
        row("schema", &self.schema_version)?;
        row("participants", &self.participants.len())?;
        for ParticipantJson { participant_id, display_name } in &self.participants {
            writeln!(output, "  {participant_id:<12}{}", escaped(display_name))?;
        }
        Ok(())
    }
}

async fn export(file: &Path) -> Result<(), CommandError> {
    let journal = ReadOnlyJournal::open(file)?;
    let Summary { epoch, head, .. } = journal.summary()?;
    // Each page is a short read of its own, so that a slow pipe holds neither memory nor the write-ahead log.
    let history: Arc<dyn History> = journal.history();
    let mut output = BufWriter::new(io::stdout().lock());
    let mut after = Sequence(0);
    while after < head {
        let page = history.read(after, PAGE).await.map_err(|error| unreadable(file, &error))?;
        for event in page.iter().take_while(|event| event.sequence <= head) {
            let record = ServerRecord::broadcast(Broadcast::of(epoch.as_str(), event), event);
            let (timestamp, level, component) =
                (timestamp(event.recorded_at), record.severity(), Component::Server);
            // It is not the record of any process, so it has no run.
            let record =
                Record { timestamp, level, component, body: RecordBody::Server(record), run: None, replica: None };
            writeln!(output, "{}", line(&record)?)?;
        }
        // The head existed when the journal was opened; reading finds any gap before it.
        after = page.last().map_or(head, |event| event.sequence);
    }
    output.flush()?;
    Ok(journal.check_end()?)
}

async fn check(file: &Path) -> Result<(), CommandError> {
    let journal = ReadOnlyJournal::open(file)?;
    journal.check()?;
    let conversation = replay(file, "checking", &journal, |_| {}).await?;
    let (events, time, active) = (conversation.head(), conversation.logical_time(), conversation.active());
    writeln!(io::stdout(), "intact: {events} events up to logical time {time}; active participants: {active}")?;
    Ok(())
}

fn backup(file: &Path, copy: &Path) -> Result<(), CommandError> {
    let journal = ReadOnlyJournal::open(file)?;
    match journal.check_end() {
        Err(error) if matches!(error.fault, OpenFault::Alone { .. }) => {
            notice(&format!(
                "chitchat: {} stands alone, without the files that a service keeps next to it, so it may lack its \
                 newest events",
                file.display()
            ));
        }
        checked => checked?,
    }
    let (mut copying, mut checking) = (None, None);
    let made = journal.backup(copy, |progress| match progress {
        BackupProgress::Copied { pages, total } => {
            copying.get_or_insert_with(|| Progress::of("copying", total, "pages")).reached(pages);
        }
        BackupProgress::Checked { events, total } => {
            copying = None;
            checking.get_or_insert_with(|| Progress::new("checking", total)).reached(events);
        }
    });
    drop((copying, checking));
    let conversation = made?;
    let (events, time, copy) = (conversation.head(), conversation.logical_time(), copy.display().to_string());
    writeln!(io::stdout(), "{}: {events} events up to logical time {time}", escaped(&copy))?;
    Ok(())
}

fn line(value: &impl Serialize) -> io::Result<String> {
    Ok(json_line(value)?)
}

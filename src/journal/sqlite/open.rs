//! Opening a journal file: creating it, or recognizing it and looking for damage before anything is written.

mod fork;

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _};

use super::checkpoint::{self, Checkpoint, CheckpointFault};
use super::copy::Owner;
use super::error::{OpenError, OpenFault, REMOVE_COPY, RESTORE_BACKUP};
use super::file::head::{Head, HeadFile};
use super::file::{connect, mounts, schema};
use super::{beside, copy, folder_of, history, size_of};
use crate::chat::Sequence;
use crate::journal::{Chain, CheckSettings, CheckTime, CopyState, Epoch, JournalError};

pub use fork::Fork;

/// How many events are checked at a time.
const PAGE: usize = 1024;

/// A journal that can be written.
pub(super) struct Opened {
    pub(super) path: PathBuf,
    pub(super) head_file: HeadFile,
    pub(super) connection: Connection,
    pub(super) head: Head,
    /// The newest event of its epoch in the service's log.
    pub(super) logged: Option<Sequence>,
    /// Why a new epoch has just begun, if it has.
    pub(super) fork: Option<Fork>,
    /// For replicas: what it has recorded besides the events.
    pub(super) copied: Option<CopyState>,
    /// The checkpoint to recover the conversation from, while the older events are not checked yet.
    pub(super) checkpoint: Option<Checkpoint>,
}

impl Opened {
    /// The log has more events of the epoch than the journal: the journal is an older copy, from a backup.
    fn begin_epoch(&mut self, epoch: Epoch, logged: Sequence) -> Result<(), OpenFault> {
        let reader = connect::for_reading(&self.path)?;
        let head = fork::begin_epoch(&mut self.connection, &reader, &self.head, epoch)?;
        self.head_file.write(&head)?;
        let previous = std::mem::replace(&mut self.head, head).epoch;
        self.fork = Some(Fork { previous, logged, after: self.head.sequence });
        self.logged = None;
        Ok(())
    }
}

/// Opens the journal at a path, or creates a new one if there is none. `logged` looks up the newest event of an
/// epoch in the service's log.
pub(super) fn for_writing(
    path: &Path,
    owner: Owner,
    settings: CheckSettings,
    new_epoch: impl FnOnce() -> Epoch,
    logged: impl FnOnce(&Epoch) -> io::Result<Option<Sequence>>,
) -> Result<Opened, OpenError> {
    // One file has one lock, whatever links lead to it.
    let path = resolve(path).map_err(|fault| fault.at(path))?;
    open_or_create(&path, owner, settings, new_epoch(), logged).map_err(|fault| damage_at(&path, fault))
}

/// The error for a fault of a file. What to do about damage depends on whose the file is, not on who opens it: only the
/// events of a replica's copy are in the stream, too.
pub(super) fn damage_at(path: &Path, fault: OpenFault) -> OpenError {
    let is_damage = matches!(fault, OpenFault::Damaged(_) | OpenFault::Shortened { .. });
    let connection = is_damage.then(|| connect::for_reading(path).ok()).flatten();
    OpenError { remedy: remedy(connection.as_ref()), ..fault.at(path) }
}

/// What to do about a damaged file.
pub(super) fn remedy(connection: Option<&Connection>) -> &'static str {
    match connection.map(copy::is_copy) {
        Some(Ok(true)) => REMOVE_COPY,
        _ => RESTORE_BACKUP,
    }
}

fn open_or_create(
    path: &Path,
    owner: Owner,
    settings: CheckSettings,
    new_epoch: Epoch,
    logged: impl FnOnce(&Epoch) -> io::Result<Option<Sequence>>,
) -> Result<Opened, OpenFault> {
    let Locked { head_file, acknowledged, is_new } = lock_or_create(path, new_epoch.clone())?;
    let mut connection = connect::for_writing(path)?;
    let version = schema::identify(&connection)?;
    if connection.is_readonly("main")? {
        return Err(OpenFault::ReadOnly);
    }
    let epoch = schema::epoch(&connection)?;
    let mut checkpoint = find_checkpoint(path, &connection, version, &epoch, settings);
    if checkpoint.is_none() {
        check_shape(&connection, &epoch)?;
    }
    let head = head(&connection, epoch)?;
    check_acknowledged(&connection, &head, acknowledged.as_ref())?;
    copy::check_owner(&connection, owner, head.sequence)?;
    // Searching the log may take long. It has no events of a service's new epoch, but it has events of a replica that
    // starts without its copy.
    let is_new_epoch = is_new && owner == Owner::Service;
    let logged = if is_new_epoch { None } else { logged(&head.epoch).map_err(OpenFault::Log)? };
    if logged.is_none() {
        check_companion_files(&connection, path, &head)?;
    }
    // A replica gets the events that it lacks from the common log.
    let ahead = logged.filter(|logged| owner == Owner::Service && *logged > head.sequence);
    if ahead.is_some() && checkpoint.take().is_some() {
        // All rows are about to be rewritten.
        check_shape(&connection, &head.epoch)?;
    }
    // From here on the file is written to.
    schema::migrate(&mut connection, version)?;
    use_log(&connection, path)?;
    let copied = match owner {
        Owner::Service => None,
        Owner::Replica => Some(copy::open(&connection)?),
    };
    let path = path.to_owned();
    let mut opened = Opened { path, head_file, connection, head, logged, fork: None, copied, checkpoint };
    if let Some(logged) = ahead {
        opened.begin_epoch(new_epoch, logged)?;
    }
    Ok(opened)
}

/// A journal's file that no other process can write to.
struct Locked {
    head_file: HeadFile,
    acknowledged: Option<Head>,
    is_new: bool,
}

/// Locks the journal at a path, and creates it if there is none.
fn lock_or_create(path: &Path, new_epoch: Epoch) -> Result<Locked, OpenFault> {
    for ending in ["", "-wal", "-head", "-shm"] {
        let mounted = beside(path, ending);
        if mounts::is_mount_point(&mounted)? {
            return Err(OpenFault::MountPoint { mounted });
        }
    }
    // Nothing is created next to a file that is not a journal.
    match check_file(path) {
        Ok(()) => check_header(path)?,
        Err(OpenFault::Missing) => {}
        Err(fault) => return Err(fault),
    }
    let (mut head_file, acknowledged) = HeadFile::lock(path)?;
    let is_new = match check_file(path) {
        Ok(()) => false,
        Err(OpenFault::Missing) => {
            let wal = beside(path, "-wal");
            if fs::metadata(&wal).is_ok_and(|wal| wal.len() > 0) {
                return Err(OpenFault::Orphaned { wal });
            }
            if acknowledged.as_ref().is_some_and(|head| head.sequence > Sequence(0)) {
                tracing::warn!(path = %path.display(), "the journal file is gone; creating a new journal");
            }
            create(path, &mut head_file, new_epoch)?;
            true
        }
        Err(fault) => return Err(fault),
    };
    head_file.lock_journal(path)?;
    Ok(Locked { head_file, acknowledged, is_new })
}

/// The checkpoint, if it fits the journal and the journal needs no change before it is used. If an unusable checkpoint
/// would have saved a long check, the reason is logged.
fn find_checkpoint(
    path: &Path,
    connection: &Connection,
    version: i64,
    epoch: &Epoch,
    settings: CheckSettings,
) -> Option<Checkpoint> {
    let mode = connection.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0));
    if settings.when == CheckTime::First || version != schema::VERSION || !mode.is_ok_and(|mode| mode == "wal") {
        return None;
    }
    let found = checkpoint::read(path, epoch).and_then(|checkpoint| {
        let Head { sequence, chain, .. } = checkpoint.place;
        match chain_at(connection, sequence) {
            Ok(Some(recorded)) if recorded == chain => Ok(checkpoint),
            _ => Err(CheckpointFault::AnotherEvent(sequence)),
        }
    });
    match found {
        Ok(checkpoint) => return Some(checkpoint),
        Err(CheckpointFault::Missing) => {
            let events = head(connection, epoch.clone()).map_or(Sequence(0), |head| head.sequence);
            if events.0 >= settings.checkpoint_events {
                tracing::info!(
                    "there is no checkpoint next to the journal, so its {events} events are checked first"
                );
            }
        }
        Err(fault) => {
            tracing::warn!(
                "the checkpoint next to the journal is not used, so all events are checked first: {fault}"
            );
        }
    }
    None
}

/// The chain of an event; none if there is no such event, or its chain cannot be read.
fn chain_at(connection: &Connection, sequence: Sequence) -> rusqlite::Result<Option<Chain>> {
    let sequence = i64::try_from(sequence.0).unwrap_or(i64::MAX);
    let recorded = connection
        .query_row("SELECT chain FROM event WHERE sequence = ?1", [sequence], |row| row.get::<_, String>(0))
        .optional()?;
    Ok(recorded.and_then(|recorded| Chain::parse(&recorded)))
}

/// A journal is a regular file that is not empty and has one name. The names of its lock and its write-ahead log follow
/// from that name, so two services that open it by two names would overwrite each other's events.
pub(super) fn check_file(path: &Path) -> Result<(), OpenFault> {
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => Err(OpenFault::NotAJournal("it is not a regular file".into())),
        Ok(metadata) if metadata.len() == 0 => Err(OpenFault::Empty),
        Ok(metadata) if metadata.nlink() > 1 => Err(OpenFault::SeveralNames { names: metadata.nlink() }),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(OpenFault::Missing),
        Err(error) => Err(error.into()),
    }
}

/// Refuses a file that does not begin like a journal. One with a head file next to it is left to the checks after the
/// lock: it may be open in this process, where closing the file here would drop SQLite's locks on it.
fn check_header(path: &Path) -> Result<(), OpenFault> {
    const MAGIC: &[u8] = b"SQLite format 3\0";
    /// The header up to the application id, which is its last field here.
    const HEADER_BYTES: usize = 72;
    let has = |ending| beside(path, ending).exists();
    if has("-head") {
        return Ok(());
    }
    let mut begin = Vec::new();
    File::open(path)?.take(HEADER_BYTES as u64).read_to_end(&mut begin)?;
    let is_database = begin.len() == HEADER_BYTES && begin.starts_with(MAGIC);
    if is_database && begin.ends_with(&schema::APPLICATION_ID.to_be_bytes()) {
        return Ok(());
    }
    // SQLite's logs may have an intact first page.
    match (is_database, has("-wal"), has("-journal")) {
        (true, true, _) => schema::identify(&connect::for_reading(path)?).map(drop),
        (true, false, _) => Err(OpenFault::NotAJournal(schema::ANOTHER_KIND.into())),
        (false, false, false) => Err(OpenFault::NotAJournal("it is not an SQLite database".into())),
        (false, ..) => Ok(()),
    }
}

/// Checks the whole file for damage to its structure, and every row against its table's constraints. A changed text is
/// not noticed here, but by the chain when the rows are read.
pub(super) fn check_shape(connection: &Connection, epoch: &Epoch) -> Result<(), OpenFault> {
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" {
        return Ok(());
    }
    // SQLite rarely says which event is damaged.
    Err(first_unreadable(connection, epoch).map_or_else(|| OpenFault::damaged(&found), OpenFault::Damaged))
}

fn first_unreadable(connection: &Connection, epoch: &Epoch) -> Option<String> {
    let mut after = Sequence(0);
    loop {
        match history::page(connection, epoch, after, PAGE) {
            Ok(events) => after = events.last()?.sequence,
            Err(JournalError::Fatal(error) | JournalError::Unavailable(error)) => return Some(error.to_string()),
        }
    }
}

/// The end of the journal.
pub(super) fn head(connection: &Connection, epoch: Epoch) -> Result<Head, OpenFault> {
    let newest = "SELECT sequence, chain FROM event ORDER BY sequence DESC LIMIT 1";
    let newest = connection.query_row(newest, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)));
    let Some((sequence, chain)) = newest.optional()? else {
        return Ok(Head { chain: Chain::of(&epoch), epoch, sequence: Sequence(0) });
    };
    let sequence = Sequence(sequence.try_into().unwrap_or_default());
    let chain = Chain::parse(&chain);
    let chain =
        chain.ok_or_else(|| OpenFault::Damaged(format!("the checksum of event {sequence} cannot be read")))?;
    Ok(Head { epoch, sequence, chain })
}

/// Checks that everything that has been acknowledged is there, unchanged.
pub(super) fn check_acknowledged(
    connection: &Connection,
    head: &Head,
    acknowledged: Option<&Head>,
) -> Result<(), OpenFault> {
    let Some(acknowledged) = acknowledged.filter(|acknowledged| acknowledged.epoch == head.epoch) else {
        // The head file is missing, or left from a journal that this one has replaced.
        return Ok(());
    };
    if acknowledged.sequence == Sequence(0) {
        return Ok(());
    }
    if acknowledged.sequence > head.sequence {
        return Err(OpenFault::Shortened { head: head.sequence, acknowledged: acknowledged.sequence });
    }
    if chain_at(connection, acknowledged.sequence)? == Some(acknowledged.chain) {
        return Ok(());
    }
    let sequence = acknowledged.sequence;
    Err(OpenFault::Damaged(format!("event {sequence} is not the one that had been acknowledged")))
}

/// A main file without its log lacks the events in that log, and without the head file nothing shows that. A copy made
/// by SQLite's VACUUM INTO, or by `chitchat journal backup`, needs neither file, since it has no log.
pub(super) fn check_companion_files(connection: &Connection, path: &Path, head: &Head) -> Result<(), OpenFault> {
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    if mode == "wal" && size_of(&beside(path, "-wal"))? == 0 && size_of(&beside(path, "-head"))? == 0 {
        return Err(OpenFault::Alone { path: path.to_owned(), events: head.sequence });
    }
    Ok(())
}

/// Turns on the write-ahead log, with which an interrupted commit is dropped as a whole.
fn use_log(connection: &Connection, path: &Path) -> Result<(), OpenFault> {
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    if mode == "wal" {
        return Ok(());
    }
    // It may be a copy made by SQLite's VACUUM INTO. But then it has no log.
    if fs::metadata(beside(path, "-wal")).is_ok_and(|wal| wal.len() > 0) {
        return Err(OpenFault::Damaged("it does not belong to the log next to it".into()));
    }
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode == "wal" { Ok(()) } else { Err(OpenFault::Damaged(format!("its journal mode stays {mode}"))) }
}

/// Creates a journal under another name and renames it when it is complete and on the disk, so that its name never
/// belongs to an incomplete file.
fn create(path: &Path, head_file: &mut HeadFile, epoch: Epoch) -> Result<(), OpenFault> {
    let unfinished = beside(path, "-new");
    remove_if_there(&unfinished)?;
    let mut connection = connect::for_creating(&unfinished)?;
    schema::create(&mut connection, &epoch)?;
    let _mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    connect::keep_log_on_close(&connection, false)?;
    connection.close().map_err(|(_, error)| error)?;
    File::open(&unfinished)?.sync_all()?;
    // Leftovers: the main file that they belonged to is gone, and the log is empty.
    remove_if_there(&beside(path, "-wal"))?;
    remove_if_there(&beside(path, "-shm"))?;
    // Before the journal gets its name: a journal in use always has its head file next to it.
    head_file.write(&Head { chain: Chain::of(&epoch), epoch, sequence: Sequence(0) })?;
    fs::rename(&unfinished, path)?;
    // This makes the journal's name durable, and the head file's too.
    File::open(folder_of(path))?.sync_all()?;
    Ok(())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The absolute path, without links, of a file that may not exist yet. A link to a missing file leads to where that
/// file will be created.
pub(super) fn resolve(path: &Path) -> Result<PathBuf, OpenFault> {
    let mut file = path.to_owned();
    loop {
        match fs::canonicalize(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            resolved => return Ok(resolved?),
        }
        if let Ok(target) = fs::read_link(&file) {
            file = folder_of(&file).join(target);
            continue;
        }
        let name = file.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidFilename))?;
        return match fs::canonicalize(folder_of(&file)) {
            Ok(folder) => Ok(folder.join(name)),
            Err(_) if file != path => Err(OpenFault::DanglingLink { target: file }),
            Err(error) => Err(error.into()),
        };
    }
}

//! Connections to a journal file, and their settings.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

/// How long to wait for another process's lock, for instance an sqlite3 shell's. The engine is blocked meanwhile.
const BUSY_WAIT: Duration = Duration::from_secs(1);

/// The size that the write-ahead log keeps after it has been merged into the main file. A long read can make it grow
/// far beyond this; it is truncated to this size when it restarts. 1,024 commits of a few events each take less.
pub(crate) const LOG_BYTES_KEPT: i64 = 8 << 20;

/// The page cache of a connection, in KiB. The journal is read in order and written at its end, so little is read
/// twice. SQLite's default is 2,000, which each connection keeps for as long as it is open.
pub(crate) const PAGE_CACHE_KIB: i64 = 256;

/// The one connection that writes. The file must exist.
pub(crate) fn for_writing(path: &Path) -> rusqlite::Result<Connection> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // A commit returns once its log is on the disk (fsync), not only in the page cache.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // SQLite's own checkpoints would run inside a commit, and hide their errors.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
    Ok(connection)
}

/// A connection that only reads, while another process may write. It changes nothing, even when it is the last to
/// close.
pub(crate) fn for_reading(path: &Path) -> rusqlite::Result<Connection> {
    open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// A new file.
pub(crate) fn for_creating(path: &Path) -> rusqlite::Result<Connection> {
    open(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)
}

/// No URIs, so that every path is taken literally. No memory map, since an I/O error would then raise a signal.
fn open(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_WAIT)?;
    // The file may be damaged or foreign: closing it must leave it and its write-ahead log as they were.
    keep_log_on_close(&connection, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    // SQLite takes a negative number for KiB, a positive one for pages.
    connection.pragma_update(None, "cache_size", -PAGE_CACHE_KIB)?;
    Ok(connection)
}

/// Whether the write-ahead log (`-wal`) stays as it is when the last connection closes. Otherwise it is merged into the
/// main file and removed.
pub(crate) fn keep_log_on_close(connection: &Connection, keep: bool) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep).map(drop)
}

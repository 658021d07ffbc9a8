//! The file of the records. It says itself when it lacks some: on a full disk nothing can be written, and the
//! process goes on all the same, since its log is not what it is for.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::Serialize;
use tracing_subscriber::fmt::MakeWriter;

use crate::terminal::notice;

/// Each record is one write at the end of the file, without a lock. Only while records are lost is there one.
///
/// Of one task the records stay in order, and those of two tasks have none before one has told the other
/// something. So where the loss is recorded, nothing before it knows of what was lost.
pub(super) struct RecordFile<F = File> {
    file: F,
    component: &'static str,
    /// Whether a record of this process is in the file.
    began: AtomicBool,
    /// Whether the last write failed.
    failing: AtomicBool,
    debt: Mutex<Debt>,
}

/// What is to be put right when the file can be written again.
#[derive(Debug, Default)]
struct Debt {
    /// How many records were lost: all that are not whole to the end of the line, since what another thread was
    /// about to write could be behind them.
    lost: u64,
    /// Whether people have been told.
    told: bool,
}

/// What the file is for this: more than a file only in tests.
pub(super) trait Appended {
    /// Writes at the end, as much as there is room for.
    fn append(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Whether the file ends within a line.
    fn is_cut(&self) -> io::Result<bool>;
}

impl Appended for File {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut file = self;
        file.write(bytes)
    }

    fn is_cut(&self) -> io::Result<bool> {
        let Some(last) = self.metadata()?.len().checked_sub(1) else { return Ok(false) };
        let mut byte = [0];
        self.read_exact_at(&mut byte, last)?;
        Ok(byte != *b"\n")
    }
}

/// The record of a loss.
#[derive(Serialize)]
struct Loss {
    timestamp: String,
    level: &'static str,
    component: &'static str,
    event: &'static str,
    /// How many records.
    count: u64,
    /// Whether the first record of the process is among them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    from_start: bool,
}

impl RecordFile {
    /// Opens the file, and makes it and its folder where they are missing.
    pub(super) fn open(path: &Path, component: &'static str) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        Ok(Self::over(file, component))
    }
}

impl<F: Appended> RecordFile<F> {
    /// Where a process was killed while it wrote the last line, that is ended: it stays one bad line, and the
    /// next record is a line of its own. What cannot be done now is done with the next record.
    fn over(file: F, component: &'static str) -> Self {
        let (began, failing, debt) = (AtomicBool::new(false), AtomicBool::new(false), Mutex::default());
        let file = Self { file, component, began, failing, debt };
        let mut debt = file.lock();
        if let Err(error) = file.put_right(&mut debt) {
            file.fail(&mut debt, &error);
        }
        drop(debt);
        file
    }

    fn take(&self, record: &[u8]) {
        if !self.failing.load(Ordering::Acquire) {
            match self.append(record) {
                Ok(()) => {
                    if !self.began.load(Ordering::Relaxed) {
                        self.began.store(true, Ordering::Relaxed);
                    }
                }
                Err(error) => self.lose(&mut self.lock(), &error),
            }
            return;
        }
        let mut debt = self.lock();
        let written = self.put_right(&mut debt).and_then(|()| self.append(record));
        match written {
            Ok(()) => self.began.store(true, Ordering::Relaxed),
            Err(error) => self.lose(&mut debt, &error),
        }
    }

    /// One record, in one piece or not at all: a rest that follows could end up behind another record.
    fn append(&self, record: &[u8]) -> io::Result<()> {
        loop {
            match self.file.append(record) {
                Ok(written) if written == record.len() => return Ok(()),
                Ok(_) => return Err(io::ErrorKind::StorageFull.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Ends a cut line, and says what was lost.
    fn put_right(&self, debt: &mut Debt) -> io::Result<()> {
        // One that cannot be looked at may still take records.
        let mut text = if self.file.is_cut().unwrap_or(false) { "\n".to_owned() } else { String::new() };
        if debt.lost > 0 {
            let loss = Loss {
                timestamp: humantime::format_rfc3339_micros(SystemTime::now()).to_string(),
                level: "WARN",
                component: self.component,
                event: "records_lost",
                count: debt.lost,
                from_start: !self.began.load(Ordering::Relaxed),
            };
            text.push_str(&serde_json::to_string(&loss)?);
            text.push('\n');
        }
        if !text.is_empty() {
            self.append(text.as_bytes())?;
        }
        if debt.lost > 0 {
            notice(&format!("chitchat: the log is written again; {} records are not in it", debt.lost));
        }
        *debt = Debt::default();
        self.failing.store(false, Ordering::Release);
        Ok(())
    }

    fn lose(&self, debt: &mut Debt, error: &io::Error) {
        debt.lost += 1;
        self.fail(debt, error);
    }

    fn fail(&self, debt: &mut Debt, error: &io::Error) {
        self.failing.store(true, Ordering::Release);
        if !std::mem::replace(&mut debt.told, true) {
            notice(&format!("chitchat: the log cannot be written, and records are lost: {error}"));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Debt> {
        self.debt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: Appended> Write for &RecordFile<F> {
    /// Takes a whole record, always: what becomes of it is said in the file.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        self.take(record);
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for RecordFile {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A disk with room for so many bytes.
    struct Disk(Mutex<(Vec<u8>, usize)>);

    impl Disk {
        fn with(text: &str, room: usize) -> Self {
            Self(Mutex::new((text.into(), room)))
        }

        fn has_room(&self, room: usize) {
            self.0.lock().unwrap().1 = room;
        }

        fn lines(&self) -> Vec<String> {
            let text = String::from_utf8(self.0.lock().unwrap().0.clone()).unwrap();
            text.split_inclusive('\n').map(str::to_owned).collect()
        }
    }

    impl Appended for Disk {
        fn append(&self, bytes: &[u8]) -> io::Result<usize> {
            let (text, room) = &mut *self.0.lock().unwrap();
            let written = bytes.len().min(*room);
            *room -= written;
            text.extend(&bytes[..written]);
            if written == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(written) }
        }

        fn is_cut(&self) -> io::Result<bool> {
            Ok(self.0.lock().unwrap().0.last().is_some_and(|last| *last != b'\n'))
        }
    }

    fn record(mut file: &RecordFile<Disk>, text: &str) {
        file.write_all(format!("{text}\n").as_bytes()).unwrap();
    }

    fn loss(line: &str) -> Value {
        let mut loss: Value = serde_json::from_str(line).unwrap();
        let timestamp = loss.as_object_mut().unwrap().remove("timestamp").unwrap();
        assert!(line.starts_with("{\"timestamp\":\""), "as every record: {line}");
        let timestamp = timestamp.as_str().unwrap();
        assert_eq!((timestamp.len(), humantime::parse_rfc3339(timestamp).is_ok()), (27, true));
        loss
    }

    #[test]
    fn what_was_lost_is_said_before_anything_else_and_on_a_line_of_its_own() {
        let file = RecordFile::over(Disk::with("", 9), "server");
        for text in ["first", "second", "third"] {
            record(&file, text);
        }
        assert_eq!(file.file.lines(), ["first\n", "sec"]);
        file.file.has_room(1000);
        record(&file, "fourth");
        record(&file, "fifth");
        let lines = file.file.lines();
        assert_eq!(
            (&lines[..2], &lines[3..]),
            (&["first\n", "sec\n"].map(String::from)[..], &["fourth\n", "fifth\n"].map(String::from)[..])
        );
        let expected = json!({"level": "WARN", "component": "server", "event": "records_lost", "count": 2});
        assert_eq!(loss(&lines[2]), expected);
    }

    #[test]
    fn a_loss_that_cannot_be_said_in_one_piece_is_said_again() {
        let file = RecordFile::over(Disk::with("", 6), "client");
        record(&file, "first");
        record(&file, "second");
        file.file.has_room(20);
        record(&file, "third");
        file.file.has_room(1000);
        record(&file, "fourth");
        let lines = file.file.lines();
        assert_eq!((lines.len(), &*lines[0], &*lines[3]), (4, "first\n", "fourth\n"));
        assert_eq!(loss(&lines[2])["count"], 2);
    }

    #[test]
    fn a_process_whose_first_record_is_lost_says_that() {
        let file = RecordFile::over(Disk::with("cut", 0), "client");
        record(&file, "first");
        file.file.has_room(1000);
        record(&file, "second");
        let lines = file.file.lines();
        assert_eq!((lines.len(), &*lines[0], &*lines[2]), (3, "cut\n", "second\n"));
        assert_eq!((&loss(&lines[1])["count"], &loss(&lines[1])["from_start"]), (&json!(1), &json!(true)));
    }

    #[test]
    fn a_cut_line_is_ended_at_once_or_with_the_first_record_that_can_be_written() {
        let file = RecordFile::over(Disk::with("cut", 1000), "client");
        record(&file, "first");
        assert_eq!(file.file.lines(), ["cut\n", "first\n"]);
        let file = RecordFile::over(Disk::with("cut", 0), "client");
        file.file.has_room(1000);
        record(&file, "first");
        assert_eq!(file.file.lines(), ["cut\n", "first\n"], "nothing was lost");
    }

    /// Threads write records at once while room comes and goes.
    #[test]
    fn of_every_thread_the_records_are_in_order_and_no_gap_is_without_a_loss_that_is_said() {
        const THREADS: usize = 4;
        const RECORDS: usize = 2000;
        let file = RecordFile::over(Disk::with("", 100), "server");
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let file = &file;
                scope.spawn(move || {
                    for number in 0..RECORDS {
                        record(file, &json!({"thread": thread, "number": number}).to_string());
                        if number % 50 == thread {
                            file.file.has_room(37 * (number % 61));
                        }
                    }
                });
            }
        });
        file.file.has_room(1000);
        record(&file, &json!({"thread": 0, "number": RECORDS}).to_string());

        let (mut written, mut lost, mut cut, mut losses) = (0, 0, 0, 0);
        // Of each thread its next record, and how many losses had been said at its last.
        let mut next = [(0, 0); THREADS];
        for line in file.file.lines() {
            // A record may be behind one that is cut.
            let begins = line.rfind('{').unwrap_or(0);
            let Ok(record) = serde_json::from_str::<Value>(&line[begins..]) else {
                cut += 1;
                continue;
            };
            if let Some(count) = record["count"].as_u64() {
                (losses, lost) = (losses + 1, lost + count as usize);
                continue;
            }
            let [thread, number] = ["thread", "number"].map(|field| record[field].as_u64().unwrap() as usize);
            let (expected, said) = next[thread];
            assert!(number == expected || (number > expected && losses > said), "{record} and not {expected}");
            next[thread] = (number + 1, losses);
            written += 1;
        }
        // What lacks only the end of its line can be read, and is counted as lost all the same.
        assert!(written + lost > THREADS * RECORDS, "{written} {lost}");
        assert!(written > 100 && losses > 10 && cut > 10, "{written} {losses} {cut}");
    }
}

use serde_json::{Value, json};

use super::*;
use crate::log::RunId;

/// A disk with room for a number of bytes.
struct Disk(Mutex<(Vec<u8>, usize)>);

impl Disk {
    fn with(text: &str, room: usize) -> Self {
        Self(Mutex::new((text.into(), room)))
    }

    fn has_room(&self, room: usize) {
        self.0.lock().1 = room;
    }

    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().0.clone()).unwrap();
        text.split_inclusive('\n').map(str::to_owned).collect()
    }
}

impl Appended for Disk {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        let (text, room) = &mut *self.0.lock();
        let written = bytes.len().min(*room);
        *room -= written;
        text.extend(&bytes[..written]);
        if written == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(written) }
    }

    fn is_cut(&self) -> io::Result<bool> {
        Ok(self.0.lock().0.last().is_some_and(|last| *last != b'\n'))
    }
}

fn over(disk: Disk, component: Component) -> RecordFile<Disk> {
    RecordFile::over(disk, Path::new(""), component)
}

fn record(file: &RecordFile<Disk>, text: &str) {
    file.take(format!("{text}\n").as_bytes());
}

fn loss(line: &str) -> Value {
    let mut loss: Value = serde_json::from_str(line).unwrap();
    let timestamp = loss.as_object_mut().unwrap().remove("timestamp").unwrap();
    assert_eq!(loss.as_object_mut().unwrap().remove("run"), Some(json!(RunId::of_this_process().to_string())));
    assert!(line.starts_with("{\"timestamp\":\""), "as every record: {line}");
    let timestamp = timestamp.as_str().unwrap();
    assert_eq!((timestamp.len(), humantime::parse_rfc3339(timestamp).is_ok()), (27, true));
    loss
}

#[test]
fn a_loss_is_recorded_first_and_on_its_own_line() {
    let file = over(Disk::with("", 9), Component::Server);
    for text in ["first", "second", "third"] {
        record(&file, text);
    }
    assert_eq!(file.file.read().lines(), ["first\n", "sec"]);
    file.file.read().has_room(1000);
    record(&file, "fourth");
    record(&file, "fifth");
    let lines = file.file.read().lines();
    assert_eq!(
        (&lines[..2], &lines[3..]),
        (&["first\n", "sec\n"].map(String::from)[..], &["fourth\n", "fifth\n"].map(String::from)[..])
    );
    let expected = json!({"level": "WARN", "component": "server", "event": "records_lost", "count": 2});
    assert_eq!(loss(&lines[2]), expected);
}

#[test]
fn a_loss_record_that_was_cut_is_written_again() {
    let file = over(Disk::with("", 6), Component::Client);
    record(&file, "first");
    record(&file, "second");
    file.file.read().has_room(20);
    record(&file, "third");
    file.file.read().has_room(1000);
    record(&file, "fourth");
    let lines = file.file.read().lines();
    assert_eq!((lines.len(), &*lines[0], &*lines[3]), (4, "first\n", "fourth\n"));
    assert_eq!(loss(&lines[2])["count"], 2);
}

#[test]
fn a_lost_first_record_is_reported_as_such() {
    let file = over(Disk::with("cut", 0), Component::Client);
    record(&file, "first");
    file.file.read().has_room(1000);
    record(&file, "second");
    let lines = file.file.read().lines();
    assert_eq!((lines.len(), &*lines[0], &*lines[2]), (3, "cut\n", "second\n"));
    assert_eq!((&loss(&lines[1])["count"], &loss(&lines[1])["from_start"]), (&json!(1), &json!(true)));
}

#[test]
fn a_cut_line_is_ended_at_once_or_with_the_first_record_that_can_be_written() {
    let file = over(Disk::with("cut", 1000), Component::Client);
    record(&file, "first");
    assert_eq!(file.file.read().lines(), ["cut\n", "first\n"]);
    let file = over(Disk::with("cut", 0), Component::Client);
    file.file.read().has_room(1000);
    record(&file, "first");
    assert_eq!(file.file.read().lines(), ["cut\n", "first\n"], "nothing was lost");
}

/// Threads write records at once while room comes and goes.
#[test]
fn each_threads_records_are_in_order_and_every_gap_has_a_loss_record() {
    const THREADS: usize = 4;
    const RECORDS: usize = 2000;
    let file = over(Disk::with("", 100), Component::Server);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let file = &file;
            scope.spawn(move || {
                for number in 0..RECORDS {
                    record(file, &json!({"thread": thread, "number": number}).to_string());
                    if number % 50 == thread {
                        file.file.read().has_room(37 * (number % 61));
                    }
                }
            });
        }
    });
    file.file.read().has_room(1000);
    record(&file, &json!({"thread": 0, "number": RECORDS}).to_string());

    let (mut written, mut lost, mut cut, mut losses) = (0, 0, 0, 0);
    // For each thread: the number of its next record, and how many losses had been recorded before its last one.
    let mut next = [(0, 0); THREADS];
    for line in file.file.read().lines() {
        // A record may follow a cut one on the same line.
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
    // A record that lacks only its line end can be read, but counts as lost, too.
    assert!(written + lost > THREADS * RECORDS, "{written} {lost}");
    assert!(written > 100 && losses > 10 && cut > 10, "{written} {losses} {cut}");
}

/// Threads write while the file is renamed again and again: every record is in one piece, each thread's records are in
/// order over all segments, and none is lost.
#[test]
fn no_record_is_lost_or_torn_when_the_file_is_renamed() {
    const THREADS: usize = 4;
    const RECORDS: usize = 3000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.jsonl");
    let file = RecordFile::open(&path, Component::Server).unwrap();
    let segments = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let mut file = &file;
                let numbers = 0..RECORDS;
                scope.spawn(move || {
                    for number in numbers {
                        file.write_all(format!("{thread} {number}\n").as_bytes()).unwrap();
                    }
                })
            })
            .collect();
        let mut segments = 0;
        while writers.iter().any(|writer| !writer.is_finished()) {
            segments += 1;
            fs::rename(&path, folder.path().join(format!("server.jsonl.{segments}"))).unwrap();
            file.reopen();
        }
        segments
    });
    let text: String = (1..=segments)
        .map(|segment| fs::read_to_string(folder.path().join(format!("server.jsonl.{segment}"))).unwrap())
        .chain([fs::read_to_string(&path).unwrap()])
        .inspect(|segment| assert!(segment.is_empty() || segment.ends_with('\n')))
        .collect();
    let mut next = [0; THREADS];
    for line in text.lines() {
        let (thread, number) = line.split_once(' ').unwrap();
        let (thread, number): (usize, usize) = (thread.parse().unwrap(), number.parse().unwrap());
        assert_eq!(number, next[thread]);
        next[thread] += 1;
    }
    assert_eq!(next, [RECORDS; THREADS]);
}

/// A rename of the file is noticed without a signal; a new file that cannot be created loses no records.
#[test]
fn a_rename_is_noticed_without_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("a.jsonl"), folder.path().join("a.jsonl.1"));
    let file = RecordFile::open(&path, Component::Client).unwrap();
    let mut records = 0;
    for create in [false, true] {
        fs::rename(&path, &moved).unwrap();
        if create {
            fs::write(&path, "").unwrap();
        }
        while !fs::metadata(&path).is_ok_and(|file| file.len() > 0) {
            (&file).write_all(format!("{records}\n").as_bytes()).unwrap();
            records += 1;
        }
        let text = fs::read_to_string(&moved).unwrap() + &fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().last(), Some(&*(records - 1).to_string()));
    }
}

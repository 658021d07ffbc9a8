//! Logs that are rotated while their processes write: no record is lost or torn, and the segments prove the order.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Client, Program, ServerProgram, records};

fn segment(log: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", log.display()))
}

/// Rotates as logrotate does with `create`, with `nocreate` and a signal, and with `copytruncate`. The logs are checked
/// when the service is dropped.
#[test]
fn logs_can_be_rotated_during_a_conversation() {
    let mut server = ServerProgram::start(&[]);
    let log = server.log_folder().join("server.jsonl");
    let (mut ann, mut bob) = (server.join("ann"), server.join("bob"));
    let mut said = 0;
    let mut talk = |ann: &mut Client, bob: &Client, until: &dyn Fn() -> bool| loop {
        said += 1;
        ann.program.type_line(format!("number {said}"));
        bob.program.until(&format!("ann: number {said}"));
        if until() {
            break;
        }
    };
    let grown = |log: &Path| fs::metadata(log).is_ok_and(|log| log.len() > 0);
    talk(&mut ann, &bob, &|| has_messages(&log, 5));

    fs::rename(&log, segment(&log, ".1")).unwrap();
    fs::write(&log, "").unwrap();
    talk(&mut ann, &bob, &|| grown(&log));

    fs::rename(&log, segment(&log, ".2")).unwrap();
    server.program.signal("HUP");
    talk(&mut ann, &bob, &|| grown(&log));

    fs::rename(&log, segment(&log, ".3")).unwrap();
    server.program.signal("USR1");
    talk(&mut ann, &bob, &|| grown(&log));

    // Nothing is published meanwhile: copying takes time, and records written in between would be in neither file.
    fs::copy(&log, segment(&log, ".4")).unwrap();
    fs::OpenOptions::new().write(true).open(&log).unwrap().set_len(0).unwrap();
    talk(&mut ann, &bob, &|| grown(&log));

    let (of_ann, of_bob) = (ann.log.clone(), bob.log.clone());
    for (number, log) in [&of_ann, &of_bob, &of_ann].into_iter().enumerate() {
        fs::rename(log, segment(log, &format!("-{number}"))).unwrap();
        talk(&mut ann, &bob, &|| grown(log));
    }
    ann.quit().succeeded();
    bob.program.until("ann left");
    bob.quit().succeeded();
    server.stop("TERM").succeeded();

    let broadcasts: Vec<u64> = [".1", ".2", ".3", ".4", ""]
        .iter()
        .flat_map(|suffix| records(&segment(&log, suffix)))
        .filter(|record| record["event"].as_str().unwrap().ends_with("_broadcast"))
        .map(|record| record["sequence"].as_u64().unwrap())
        .collect();
    assert!(broadcasts.iter().copied().eq(1..=broadcasts.len() as u64), "{broadcasts:?}");
    assert_eq!(broadcasts.len(), said + 4);
}

fn has_messages(log: &Path, messages: usize) -> bool {
    records(log).iter().filter(|record| record["event"] == "message_broadcast").count() >= messages
}

/// The log of a real run may be cut into two segments anywhere, even between a request and its answer.
#[test]
fn two_pieces_prove_what_the_whole_log_proves() {
    let example = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/logs/example"));
    let logs: Vec<_> = fs::read_dir(example).unwrap().map(|file| file.unwrap().path()).collect();
    let logs: Vec<_> =
        logs.iter().filter(|log| log.extension().is_some_and(|extension| extension == "jsonl")).collect();
    let verify = |logs: &[PathBuf]| {
        let logs = logs.iter().map(|log| log.to_str().unwrap());
        let mut output =
            Program::run(&["verify"].into_iter().chain(logs).collect::<Vec<_>>(), &[]).succeeded().output;
        // This line has the number of files.
        output.remove(1);
        output
    };
    let folder = tempfile::tempdir().unwrap();
    let copy = |log: &Path| folder.path().join(log.file_name().unwrap());
    let all: Vec<_> = logs.iter().map(|log| copy(log)).collect();
    for log in &logs {
        fs::copy(log, copy(log)).unwrap();
    }
    let whole = verify(&all);
    for log in &all {
        let text = fs::read_to_string(log).unwrap();
        let lines: Vec<_> = text.split_inclusive('\n').collect();
        let older = segment(log, ".1");
        for cut in 1..=lines.len() {
            fs::write(&older, lines[..cut].concat()).unwrap();
            fs::write(log, lines[cut..].concat()).unwrap();
            // The newer segment comes first, as in a shell's expansion of `*`.
            let segments = [&all[..], std::slice::from_ref(&older)].concat();
            assert_eq!(verify(&segments), whole, "{} is cut after line {cut}", log.display());
        }
        fs::remove_file(older).unwrap();
        fs::write(log, text).unwrap();
    }
}

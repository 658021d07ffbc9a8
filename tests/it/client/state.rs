//! A client that was killed and is started again continues as the same participant (V4, V5, V7, V9).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use chitchat::client::{StateError, StateFile};
use serde_json::Value;

use crate::support::{Client, DEADLINE, Proxy, Record, ServerProgram};

/// The state files in a folder.
fn state_files(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().unwrap() == "json").collect()
}

/// Where a server's clients keep their state files by default.
fn sessions(server: &ServerProgram) -> PathBuf {
    server.log_folder().join("sessions")
}

/// Bob's state file in a folder.
#[track_caller]
fn state_of_bob(folder: &Path) -> PathBuf {
    let of_bob = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("bob-");
    state_files(folder).into_iter().find(of_bob).expect("a state file")
}

/// Waits until the client has saved that it has shown an event: it shows a line first.
#[track_caller]
fn wait_for_shown(folder: &Path, sequence: u64) {
    let (path, start) = (state_of_bob(folder), Instant::now());
    while read(&path)["shown"] != sequence {
        assert!(start.elapsed() < DEADLINE);
        std::thread::yield_now();
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Overwrites one of the numbers at the head of the file, keeping its width.
fn set(path: &Path, field: &str, value: u64) {
    let text = fs::read_to_string(path).unwrap();
    let from = format!("\"{field}\":{:>20}", read(path)[field].as_u64().unwrap());
    assert!(text.contains(&from), "{text}");
    fs::write(path, text.replace(&from, &format!("\"{field}\":{value:>20}"))).unwrap();
}

fn kill(client: &mut Client) -> Vec<String> {
    client.program.signal("KILL");
    client.program.end().output
}

fn numbers(records: &[Record], event: Option<&str>, field: &str) -> Vec<u64> {
    let wanted = records.iter().filter(|record| event.is_none_or(|event| record["event"] == event));
    wanted.filter_map(|record| record[field].as_u64()).collect()
}

/// Checks that the whole log has every event once and in order, and a clock that rises strictly.
#[track_caller]
fn check_log(records: &[Record], deliveries: usize) {
    let sequences = numbers(records, Some("event_delivered"), "sequence");
    let first = sequences[0];
    assert_eq!(sequences, (first..first + deliveries as u64).collect::<Vec<_>>(), "once and in order (V4)");
    assert!(numbers(records, None, "local_time").is_sorted_by(|a, b| a < b), "rises strictly (V7)");
}

/// Earlier events are also shown to a client that continues a session, since it may run on another screen (S7).
#[test]
fn a_continued_session_shows_history_too() {
    let server = ServerProgram::start(&[]);
    let mut alice = server.join("alice");
    let url = format!("http://{}", server.address);
    let mut bob = server.join_at(&url, "bob", &["--plain", "--history", "20"]);
    alice.program.type_line("before");
    bob.program.until("alice: before");
    wait_for_shown(&sessions(&server), 3);
    kill(&mut bob);
    alice.program.type_line("meanwhile");
    alice.program.until("alice: meanwhile");
    let mut bob = server.join_at(&url, "bob", &["--plain", "--history", "2"]);
    let lines = bob.program.lines(3);
    assert!(lines[0].starts_with("earlier [") && lines[0].contains("Participant bob joined"), "{lines:?}");
    assert!(lines[1].starts_with("earlier [") && lines[1].ends_with("alice: before"), "{lines:?}");
    assert!(lines[2].starts_with('[') && lines[2].ends_with("alice: meanwhile"), "{lines:?}");
    assert!(bob.quit().succeeded().errors.contains("* back as bob; 1 message while you were away"));
}

#[test]
fn a_client_killed_and_restarted_continues_unnoticed_v4_v7() {
    let server = ServerProgram::start(&[]);
    let mut alice = server.join("alice");
    let mut bob = server.join("bob");
    alice.program.type_line("before");
    bob.program.until("before");
    alice.program.until("before");
    wait_for_shown(&sessions(&server), 3);
    assert_eq!(kill(&mut bob), Vec::<String>::new());
    let missed: Vec<_> = (0..5).map(|n| format!("meanwhile {n}")).collect();
    for text in &missed {
        alice.program.type_line(text);
        alice.program.until(text);
    }

    let mut bob = server.join("bob");
    assert_eq!(bob.program.notice("* back"), "* back as bob; 5 messages while you were away");
    for text in &missed {
        assert!(bob.program.line().ends_with(text));
    }
    bob.program.type_line("here again");
    assert!(bob.program.line().ends_with("] bob: here again"));
    assert!(alice.program.line().ends_with("] bob: here again"), "nothing else happened");

    let records = bob.records();
    check_log(&records, 8);
    let id = |event| records.iter().find(|record| record["event"] == event).unwrap()["participant_id"].clone();
    assert_eq!((id("connected"), id("resumed")), ("p2".into(), "p2".into()));

    let path = state_of_bob(&sessions(&server));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    let token = read(&path)["session_token"].as_str().unwrap().to_owned();
    for log in ["client-bob.jsonl", "client-alice.jsonl", "server.jsonl"] {
        assert!(!fs::read_to_string(server.log_folder().join(log)).unwrap().contains(&token), "{log}");
    }
}

#[test]
fn a_client_killed_repeatedly_under_load_logs_every_event_once_v4_v5() {
    let server = ServerProgram::start(&["--publish-rate", "0", "--address-limits", "off"]);
    let mut alice = server.join("alice");
    let mut shown = Vec::new();
    for round in 0..10 {
        let mut bob = server.join("bob");
        for n in 0..40 {
            alice.program.type_line(format!("message {round}.{n}"));
        }
        for _ in 0..(7 * round) % 41 {
            shown.push(bob.program.line());
        }
        shown.extend(kill(&mut bob));
    }
    alice.program.type_line("the end");
    alice.program.until("the end");
    let mut bob = server.join("bob");
    bob.program.type_line("and out");
    while !shown.last().is_some_and(|line| line.ends_with("and out")) {
        shown.push(bob.program.line());
    }
    alice.program.until("and out");
    let records = bob.records();
    check_log(&records, numbers(&records, Some("event_delivered"), "sequence").len());
    // At each kill, one event may have been shown without being saved as shown.
    shown.dedup();
    let recorded = records.iter().filter(|record| record["event"] == "event_delivered");
    assert_eq!(recorded.count(), shown.len());
    assert!(shown.len() > 401, "{}", shown.len());
}

#[test]
fn an_event_logged_but_not_shown_is_shown_and_not_logged_again_v4() {
    let server = ServerProgram::start(&[]);
    let mut alice = server.join("alice");
    let mut bob = server.join("bob");
    for text in ["one", "two", "three"] {
        alice.program.type_line(text);
        bob.program.until(text);
    }
    kill(&mut bob);
    let path = state_of_bob(&sessions(&server));
    // As if it had been killed after it logged the last event, and before it saved the position.
    set(&path, "shown", 3);
    set(&path, "position", 4);
    set(&path, "clock", 6);
    let mut bob = server.join("bob");
    assert!(bob.program.notice("* back").contains("; 2 messages while you were away"));
    assert!(bob.program.line().ends_with("two"));
    assert!(bob.program.line().ends_with("three"));
    bob.program.type_line("four");
    assert!(bob.program.line().ends_with("four"));
    check_log(&bob.records(), 5);
}

#[test]
fn a_second_client_with_the_same_name_does_not_touch_the_session() {
    let server = ServerProgram::start(&[]);
    let mut bob = server.join("bob");
    let ended = server.start_client(server.address, "bob", &["--plain"]).end_of_input();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.errors.contains("belongs to another running client"), "{}", ended.errors);
    bob.program.type_line("still here");
    bob.program.until("still here");
    bob.quit().succeeded();
}

#[test]
fn a_client_that_leaves_keeps_no_session_s6() {
    let server = ServerProgram::start(&[]);
    for way in ["quit", "end of input", "INT"] {
        let mut bob = server.join("bob");
        bob.program.line();
        state_of_bob(&sessions(&server));
        match way {
            "quit" => bob.quit(),
            "end of input" => bob.program.end_of_input(),
            signal => {
                bob.program.signal(signal);
                bob.program.end()
            }
        }
        .succeeded();
        assert_eq!(state_files(&sessions(&server)), Vec::<PathBuf>::new(), "{way}");
    }
}

#[test]
fn an_expired_or_damaged_session_is_replaced_with_a_notice() {
    let server = ServerProgram::start(&["--grace", "200ms"]);
    let alice = server.join("alice");
    kill(&mut server.join("bob"));
    alice.program.until("Participant bob left");
    let mut bob = server.start_client(server.address, "bob", &["--plain"]);
    assert!(bob.notice("joined anew").contains("ended the session"));
    assert!(bob.line().contains("Participant bob joined"));
    bob.signal("KILL");
    bob.end();
    alice.program.until("Participant bob left");

    fs::write(state_of_bob(&sessions(&server)), "{}").unwrap();
    let bob = server.start_client(server.address, "bob", &["--plain"]);
    assert!(bob.notice("cannot be used").contains("damaged"));
    assert!(bob.line().contains("Participant bob joined"));
}

/// A client that joins anew when it starts says so, and then once who is here.
#[test]
fn who_is_here_after_an_expired_session() {
    let server = ServerProgram::start(&["--grace", "200ms"]);
    let alice = server.join("alice");
    kill(&mut server.join("bob"));
    alice.program.until("Participant bob left");
    let mut bob = server.start_client(server.address, "bob", &["--plain"]);
    bob.notice("* joined anew: ");
    bob.notice("* here: alice, bob");
    bob.until("Participant bob joined");
    bob.type_line("/quit");
    let ended = bob.end().succeeded();
    assert!(["* here: ", "joined anew"].iter().all(|said| !ended.errors.contains(said)), "{ended:?}");
}

#[test]
fn fresh_ignores_a_kept_session_until_a_join_replaces_it() {
    let server = ServerProgram::start(&[]);
    let elsewhere = server.log_folder().join("elsewhere");
    let keep = ["--plain", "--state-dir", elsewhere.to_str().unwrap()];
    let mut bob = server.start_client(server.address, "bob", &keep);
    bob.line();
    bob.type_line("shown");
    bob.line();
    bob.signal("KILL");
    bob.end();
    let fresh = [&keep[..], &["--fresh"]].concat();
    let ended = server.start_client(server.address, "bob", &fresh).end_of_input();
    assert_eq!(ended.code, Some(1), "the name is taken within the grace period: {ended:?}");
    let mut bob = server.start_client(server.address, "bob", &keep);
    assert!(bob.notice("* back").starts_with("* back as bob; "));
    bob.end_of_input().succeeded();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_continues_even_if_the_service_was_killed_too_v4() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("chitchat.db");
    let options = ["--journal", journal.to_str().unwrap()];
    let state = folder.path().join("state");
    let keep = ["--plain", "--state-dir", state.to_str().unwrap()];
    let mut first = ServerProgram::start(&options);
    let proxy = Proxy::to(first.address).await;
    let mut bob = first.start_client(proxy.address, "bob", &keep);
    bob.type_line("before");
    bob.until("before");
    wait_for_shown(&state, 2);
    bob.signal("KILL");
    bob.end();
    first.stop("KILL");

    let second = ServerProgram::start(&options);
    proxy.restore(second.address);
    let mut alice = second.join("alice");
    alice.program.type_line("meanwhile");
    alice.program.until("meanwhile");
    let bob = second.start_client(proxy.address, "bob", &keep);
    assert_eq!(bob.notice("* back"), "* back as bob; 2 events (1 message) while you were away");
    assert!(bob.line().contains("Participant alice joined"));
    assert!(bob.line().ends_with("meanwhile"));
}

#[test]
fn a_state_file_that_is_damaged_or_foreign_is_refused_and_can_be_replaced() {
    let server = ServerProgram::start(&[]);
    let mut bob = server.join("bob");
    bob.program.line();
    kill(&mut bob);
    let (path, url) = (state_of_bob(&sessions(&server)), format!("http://{}", server.address));
    let folder = path.parent().unwrap();
    let open = || StateFile::open(folder, &format!("{url}/"), "bob");
    let good = fs::read_to_string(&path).unwrap();
    let state = open().unwrap();
    assert!(state.has_session());
    assert!(matches!(open(), Err(StateError::InUse { .. })));
    let token = read(&path)["session_token"].as_str().unwrap().to_owned();
    assert!(!format!("{state:?}").contains(&token));
    drop(state);

    let mut bad: Vec<Vec<u8>> = (0..good.len() - 2).map(|length| good.as_bytes()[..length].to_vec()).collect();
    bad.push(good.replace("\"version\":1", "\"version\":2").into());
    bad.push(good.replace("\"bob\"", "\"alice\"").into());
    bad.push(good.replacen("\"shown\":    ", "\"shown\":9999", 1).into());
    bad.push(good.replacen("\"position\": ", "\"position\":", 1).into());
    bad.push(vec![0xff; 100_000]);
    for bytes in bad {
        fs::write(&path, &bytes).unwrap();
        let error = open().unwrap_err();
        assert!(matches!(error, StateError::Unusable { .. }), "{error:?} {}", String::from_utf8_lossy(&bytes));
        assert!(!StateFile::fresh(folder, &url, "bob").unwrap().has_session());
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(open(), Err(StateError::Unusable { .. })));
    fs::write(folder.join("file"), "").unwrap();
    let error = StateFile::open(&folder.join("file"), &url, "bob").unwrap_err();
    assert!(matches!(error, StateError::NotAFolder { .. }), "{error:?}");
}

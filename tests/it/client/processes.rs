//! One service and its clients as separate processes, fed from pipes (S1 to S7, T3).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Client, ServerProgram, check_transcript};

/// The logical time in brackets at the beginning of a line.
#[track_caller]
fn time_of(line: &str) -> u64 {
    let time = line.strip_prefix('[').and_then(|line| line.split_once("] "));
    time.and_then(|(time, _)| time.parse().ok()).unwrap_or_else(|| panic!("no time in {line:?}"))
}

#[track_caller]
fn left(name: &str, line: &str) {
    let time = time_of(line);
    assert_eq!(line, format!("[{time}] Participant {name} left Chit Chat at logical time {time}"));
}

#[test]
fn a_newcomer_is_shown_its_own_join_with_its_time_s5_v9() {
    let server = ServerProgram::start(&[]);
    // L(1) = max(0, 1) + 2, and L(2) = max(3, 1) + 2: the clock starts at 0, and each client sends its 1.
    let alice = server.join("alice");
    assert_eq!(alice.program.line(), "[3] Participant alice joined Chit Chat at logical time 3");
    let bob = server.join("Bob B.");
    for client in [&alice, &bob] {
        assert_eq!(client.program.line(), "[5] Participant Bob B. joined Chit Chat at logical time 5");
    }
}

#[test]
fn all_clients_show_the_same_events_in_the_same_order_with_the_same_times_s2_s4_s7_v3() {
    const EACH: usize = 20;
    let server = ServerProgram::start(&[]);
    let mut clients = ["alice", "bob", "carol"].map(|name| server.join(name));
    for n in 0..EACH {
        for client in &mut clients {
            client.program.type_line(format!("message {n}: æøå 漢字 😀"));
        }
    }
    let shown: Vec<Vec<String>> = (0..3).map(|k| clients[k].program.lines(3 - k + 3 * EACH)).collect();
    assert_eq!(shown[0][1..], shown[1], "from bob's join on");
    assert_eq!(shown[1][1..], shown[2], "from carol's join on");
    let transcript: Vec<_> = (1..).zip(shown[0].iter().map(|line| time_of(line))).collect();
    check_transcript(&transcript);
    for name in ["alice", "bob", "carol"] {
        let messages: Vec<_> =
            shown[2].iter().filter_map(|line| line.split_once(&format!("] {name}: "))).collect();
        let expected: Vec<_> = (0..EACH).map(|n| format!("message {n}: æøå 漢字 😀")).collect();
        assert!(
            messages.iter().map(|(_, text)| *text).eq(expected),
            "{name}'s messages are in the order in which they were sent (V6)"
        );
    }
}

#[test]
fn quit_and_the_end_of_input_leave_at_once_and_exit_0_s6() {
    let server = ServerProgram::start(&[]);
    let [alice, mut bob, mut carol] = ["alice", "bob", "carol"].map(|name| server.join(name));
    alice.program.lines(3);
    bob.program.type_line("last words");
    let ended = bob.quit().succeeded();
    assert!(
        ended.output.last().unwrap().ends_with("] bob: last words"),
        "it does not get its own Left: {ended:?}"
    );
    assert!(alice.program.line().ends_with("] bob: last words"));
    left("bob", &alice.program.line());

    carol.program.end_of_input().succeeded();
    left("carol", &alice.program.line());
}

#[test]
fn the_last_line_is_sent_even_without_a_newline() {
    let server = ServerProgram::start(&[]);
    let alice = server.join("alice");
    let mut bob = server.join("bob");
    bob.program.type_text("first\nlast");
    bob.program.end_of_input().succeeded();
    alice.program.lines(2);
    assert!(alice.program.line().ends_with("] bob: first"));
    assert!(alice.program.line().ends_with("] bob: last"));
    left("bob", &alice.program.line());
}

#[test]
fn an_interrupted_client_leaves_and_exits_0_s6() {
    let server = ServerProgram::start(&[]);
    let alice = server.join("alice");
    for signal in ["INT", "TERM"] {
        let mut bob = server.join("bob");
        bob.program.line();
        bob.program.signal(signal);
        bob.program.end().succeeded();
        left("bob", &alice.program.until("left"));
    }
}

#[test]
fn a_refused_line_is_reported_and_the_chat_continues_s3() {
    let server = ServerProgram::start(&[]);
    let Client { mut program, .. } = server.join("alice");
    program.line();
    program.type_line("");
    program.notice("* refused: ");
    program.type_line("å".repeat(129));
    assert!(program.notice("* refused: ").contains("129"));
    program.type_line(b"\xff\xfe");
    program.notice("* refused: ");
    program.type_line("x".repeat(100_000));
    program.notice("* refused: ");
    let longest = "å".repeat(128);
    program.type_line(&longest);
    assert!(program.line().ends_with(&format!("] alice: {longest}")), "nothing else was published");
}

#[test]
fn a_taken_name_is_refused_and_the_client_exits_1() {
    let server = ServerProgram::start(&[]);
    let _alice = server.join("alice");
    let url = format!("http://{}", server.address);
    let folder = server.log_folder().to_str().unwrap();
    for name in ["alice", "ALICE", "аlice"] {
        let ended = crate::support::Program::run(
            &["join", "--plain", "--name", name, "--server", &url, "--log-dir", folder],
            &[],
        );
        assert_eq!((ended.code, ended.output.len()), (Some(1), 0), "{ended:?}");
        assert!(ended.errors.contains("name"), "{}", ended.errors);
    }
}

/// Without `--replicate` a service has no threads or connections for replicas.
#[cfg(target_os = "linux")]
#[test]
fn a_service_without_replicas_has_no_extra_threads_and_one_listening_socket() {
    let server = ServerProgram::start(&[]);
    let of_process = Path::new("/proc").join(server.program.id().to_string());
    let read = |path: PathBuf| fs::read_to_string(path).unwrap();
    let threads = fs::read_dir(of_process.join("task")).unwrap();
    let threads: BTreeSet<_> = threads.map(|thread| read(thread.unwrap().path().join("comm"))).collect();
    let known = ["checkpoint", "chitchat", "jemalloc_bg_thd", "journal", "stderr", "tokio-rt-worker"];
    let unknown: Vec<_> = threads.iter().filter(|name| !known.contains(&name.trim())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let links = fs::read_dir(of_process.join("fd")).unwrap();
    let links: Vec<_> = links.filter_map(|link| fs::read_link(link.unwrap().path()).ok()).collect();
    let has = |inode: &str| links.iter().any(|link| link.as_os_str() == format!("socket:[{inode}]").as_str());
    // In a line of /proc/net/tcp the fourth word is the state (0A means listening), and the tenth is the inode.
    let sockets = ["net/tcp", "net/tcp6"].map(|table| read(of_process.join(table))).concat();
    let states = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let states: Vec<_> = states
        .filter(|words| words.get(9).is_some_and(|inode| has(inode)))
        .map(|words| words[3].to_owned())
        .collect();
    assert_eq!(states, ["0A"]);
}

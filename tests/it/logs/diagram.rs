//! `chitchat diagram`: a run as a picture and as text for other tools.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Program, Proxy, ServerProgram};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/logs/example");

/// The diagram of all logs in a folder.
fn diagram(folder: &Path, options: &[&str]) -> Vec<String> {
    let logs = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let logs: Vec<_> = logs.filter(|path| path.extension().is_some_and(|e| e == "jsonl")).collect();
    let mut arguments = vec!["diagram"];
    arguments.extend(logs.iter().map(|path| path.to_str().unwrap()));
    arguments.extend(options);
    Program::run(&arguments, &[]).succeeded().output
}

fn example(options: &[&str]) -> Vec<String> {
    diagram(Path::new(EXAMPLE), options)
}

/// The records of one log of the example.
fn records(file: &str) -> Vec<Value> {
    let text = fs::read_to_string(Path::new(EXAMPLE).join(file)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The logical time of the example's event that contains a text, and the logical time of its request.
fn times(content: &str) -> [u64; 2] {
    let said = |record: &Value| {
        record["recipients"].is_u64() && record["content"].as_str().is_some_and(|text| text.contains(content))
    };
    let record = records("server.jsonl").into_iter().find(said).unwrap();
    ["logical_time", "sent_logical_time"].map(|time| record[time].as_u64().unwrap())
}

/// The logical times of the two messages that crossed in the example, in order.
fn crossed() -> [u64; 2] {
    let mut times = [times("Who was first?")[0], times("Me!")[0]];
    times.sort_unstable();
    times
}

fn count(lines: &[String], text: &str) -> usize {
    lines.iter().map(|line| line.matches(text).count()).sum()
}

#[test]
fn the_picture_is_self_contained_and_shows_what_happened() {
    let picture = example(&[]);
    let text = picture.join("\n");
    assert!(text.starts_with("<svg xmlns=") && text.ends_with("</svg>"));
    assert!(
        !text.contains("<script") && !text.contains("href") && !text.contains("url("),
        "nothing from elsewhere"
    );
    assert!(text.contains("prefers-color-scheme:dark"));
    for name in ["service", "alice", "bob", "carol", "dora"] {
        assert_eq!(count(&picture, &format!(">{name}</text>")), 2, "{name} above and below");
    }
    let clients = ["client-alice", "client-bob", "client-carol", "browser-dora"];
    let records: Vec<_> = clients.iter().flat_map(|name| records(&format!("{name}.jsonl"))).collect();
    let having = |event: &str| records.iter().filter(|record| record["event"] == event).count();
    assert_eq!(count(&picture, "class=\"tell\""), having("event_delivered"), "an arrow for every delivery");
    let requests = having("connected") + having("publish_sent") + having("leave_sent");
    assert_eq!(count(&picture, "class=\"send\""), requests, "and for every request");
    assert!(text.contains(&format!("⇄ written before seeing [{}]", crossed()[0])), "two messages crossed");
    assert!(text.contains("carol: its log ends here"), "one was killed");
    assert!(
        text.contains("bob: the process was killed") && count(&picture, "class=\"off2\"") == 1,
        "one came back"
    );
    assert!(text.contains("I was killed, and have missed nothing."));
}

#[test]
fn a_part_of_the_picture_can_be_chosen() {
    let [from, to] = [times("Carol is not reading")[1], crossed()[0] + 1].map(|time| time.to_string());
    let part = example(&["--from", &from, "--to", &to, "--only", "dora"]).join("\n");
    assert!(part.contains("2 events on 2 lifelines"), "{part}");
    assert!(part.contains("Carol is not reading") && !part.contains("I was killed"));
    assert!(part.contains(">dora</text>") && !part.contains(">carol</text>"));
}

#[test]
fn text_in_a_picture_is_escaped() {
    let server = ServerProgram::start(&[]);
    let mut eve = server.join("<b>&\"end\"");
    eve.program.type_line("</text><script>alert(1)</script> \u{202e}x ; end # %% \u{7}");
    eve.program.until("script");
    eve.quit().succeeded();
    let picture = diagram(server.log_folder(), &[]).join("\n");
    assert!(!picture.contains("<script") && !picture.contains('\u{202e}') && !picture.contains('\u{7}'));
    assert!(picture.contains("&lt;b&gt;&amp;&quot;end&quot;"));
    let text = diagram(server.log_folder(), &["--format", "mermaid"]);
    assert_eq!(text[0], "sequenceDiagram");
    for line in &text[1..] {
        let line = line.trim_start();
        let known = ["participant P", "Note over P", "P"].iter().any(|begin| line.starts_with(begin));
        assert!(known && !line.contains(['<', '{', '%']) && !line.contains(" end "), "{line}");
    }
    check_shiviz(&diagram(server.log_folder(), &["--format", "shiviz"]));
}

type VectorClock = BTreeMap<String, u64>;

/// One event in the log for ShiViz.
#[derive(Debug)]
struct Noted {
    host: String,
    clock: VectorClock,
    words: String,
}

/// Checks the format: a line with the regular expression, one with the delimiter, and then lines
/// `host {clock} timestamp event`. A host's own entries count 1, 2, 3 …, and each vector clock covers exactly the past
/// of the event: the host's own and, for a receipt, the sender's.
#[track_caller]
fn check_shiviz(lines: &[String]) -> HashMap<String, u64> {
    assert_eq!(lines[0], r"(?<host>\S+) (?<clock>\{.*?\}) (?<timestamp>\d+) (?<event>.*)");
    assert_eq!(lines[1], "", "one execution, so nothing divides it");
    let mut noted: Vec<Noted> = Vec::new();
    let mut own: HashMap<String, u64> = HashMap::new();
    for line in &lines[2..] {
        let (host, rest) = line.split_once(' ').unwrap();
        let end = rest.find("} ").unwrap();
        let clock: BTreeMap<String, u64> = serde_json::from_str(&rest[..=end]).unwrap();
        let (timestamp, rest) = rest[end + 2..].split_once(' ').unwrap();
        assert!(
            timestamp.len() == 19 && timestamp.parse::<u64>().is_ok(),
            "TSViz compares timestamps as strings: {line}"
        );
        let (time, words) = rest.split_once("] ").unwrap();
        assert!(!host.is_empty() && !words.is_empty() && time[1..].parse::<u64>().is_ok(), "{line}");
        let count = own.entry(host.to_owned()).or_default();
        *count += 1;
        assert_eq!(clock[host], *count, "a host's own entry rises by 1: {line}");
        assert!(
            clock.iter().all(|(host, n)| own[host] >= *n),
            "no clock knows an event before it happened: {line}"
        );
        let now = Noted { host: host.into(), clock, words: words.into() };
        check_knowledge(&noted, &now);
        noted.push(now);
    }
    own
}

/// A step's clock merges what its host knew, what the sender knew if it is a receipt, and the step itself.
#[track_caller]
fn check_knowledge(noted: &[Noted], now: &Noted) {
    let mut past =
        noted.iter().rfind(|before| before.host == now.host).map_or_else(BTreeMap::new, |b| b.clock.clone());
    *past.entry(now.host.clone()).or_default() += 1;
    let number = |words: &str| words.split([' ', ':']).find_map(|word| word.parse::<u64>().ok());
    let broadcast = |before: &&Noted| before.host == "service" && before.words.starts_with("event ");
    let same_name = |before: &&Noted| now.host.starts_with(&*before.host) && before.host != now.host;
    let asks = |before: &&Noted| before.words.starts_with("sends: ") || before.words.starts_with("asks to ");
    let senders: Vec<&Noted> = match now.words.split_once(' ').unwrap_or_default() {
        ("gets", _) | ("its", _) if now.words.contains(" event ") => {
            noted.iter().filter(broadcast).filter(|b| number(&b.words) == number(&now.words)).collect()
        }
        ("has", "joined" | "left" | "resumed") => noted.iter().filter(broadcast).collect(),
        ("the", rest) if rest.starts_with("service receives") => noted.iter().filter(asks).collect(),
        ("the", "process starts") => noted.iter().filter(same_name).collect(),
        _ => {
            assert_eq!(now.clock, past, "not a receipt: {now:?}");
            return;
        }
    };
    let knows = |sender: &&Noted| {
        let mut known = past.clone();
        for (host, n) in &sender.clock {
            let entry = known.entry(host.clone()).or_default();
            *entry = (*entry).max(*n);
        }
        known == now.clock
    };
    let alone = now.words == "the process starts" && now.clock == past;
    assert!(alone || senders.iter().any(knows), "exactly the past of a sender: {now:?}");
}

#[test]
fn the_log_for_shiviz_satisfies_its_format() {
    let hosts = check_shiviz(&example(&["--format", "shiviz"]));
    let mut names: Vec<_> = hosts.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["alice", "bob", "carol", "dora", "service"]);
}

/// ShiViz and TSViz keep processes in a plain JavaScript object, keyed by name.
#[test]
fn names_of_javascript_object_properties_are_prefixed_for_shiviz() {
    let server = ServerProgram::start(&[]);
    for name in ["constructor", "__proto__"] {
        let mut eve = server.join(name);
        eve.program.type_line(format!("I am {name}."));
        eve.program.until(&format!("I am {name}."));
        eve.quit().succeeded();
    }
    let hosts = check_shiviz(&diagram(server.log_folder(), &["--format", "shiviz"]));
    let mut names: Vec<_> = hosts.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["@__proto__", "@constructor", "service"]);
}

#[test]
fn the_mermaid_text_shows_senders_and_recipients() {
    let text = example(&["--format", "mermaid"]).join("\n");
    let [time, sent] = times("I was killed");
    let lines = [
        format!("->>P0: {sent} I was killed, and have missed nothing.\n"),
        format!("Note over P0: #91;{time}#93; bob#58; I was killed, and have missed nothing.\n"),
        format!("P0-->>P1: {time} → {}\n", time + 1),
        format!(": ⇄ #91;{}#93; and #91;{}#93; crossed", crossed()[0], crossed()[1]),
    ];
    assert!(lines.iter().all(|line| text.contains(line)), "{lines:#?} in {text}");
}

#[test]
fn a_mermaid_text_too_long_for_code_hosts_is_reported() {
    let server = ServerProgram::start(&["--publish-rate", "0", "--address-limits", "off"]);
    let mut eve = server.join("eve");
    for n in 0..180 {
        eve.program.type_line(format!("{n:0128}"));
    }
    eve.program.until(&format!("{:0128}", 179));
    eve.quit().succeeded();
    let logs = ["server", "client-eve"].map(|name| server.log_folder().join(format!("{name}.jsonl")));
    let arguments = ["diagram", logs[0].to_str().unwrap(), logs[1].to_str().unwrap(), "--format", "mermaid"];
    let whole = Program::run(&arguments, &[]).succeeded();
    assert!(whole.errors.contains("code hosts render at most 50000: choose a part"), "{}", whole.errors);
    let part = Program::run(&[&arguments[..], &["--to", "100"]].concat(), &[]).succeeded();
    assert_eq!(part.errors, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn breaks_resumes_and_other_processes_are_visible() {
    let server = ServerProgram::start(&[]);
    let proxy = Proxy::to(server.address).await;
    let mut alice = server.join("alice");
    let mut bob = server.join_by(proxy.address, "bob", "--plain");
    proxy.cut();
    bob.program.notice("* offline");
    alice.program.type_line("meanwhile");
    alice.program.until("meanwhile");
    proxy.restore(server.address);
    bob.program.notice("* back");
    bob.program.until("meanwhile");
    alice.quit().succeeded();
    server.join("alice").quit().succeeded();
    bob.quit().succeeded();
    let picture = diagram(server.log_folder(), &[]);
    assert_eq!(count(&picture, "class=\"off2\""), 1);
    assert_eq!(count(&picture, ">alice</text>"), 4, "two processes, two lifelines");
    check_shiviz(&diagram(server.log_folder(), &["--format", "shiviz"]));
}

#[test]
fn a_service_log_in_two_files_is_one_lifeline_and_copies_add_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read_to_string(Path::new(EXAMPLE).join("server.jsonl")).unwrap();
    let lines: Vec<_> = whole.split_inclusive('\n').collect();
    let (first, second) = lines.split_at(lines.len() / 2);
    for file in fs::read_dir(EXAMPLE).unwrap().map(|file| file.unwrap()) {
        if file.file_name() != "server.jsonl" && file.path().extension().is_some_and(|e| e == "jsonl") {
            fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
        }
    }
    let expected = example(&[]);
    // In either order, and with the whole log given as well.
    fs::write(folder.path().join("a.jsonl"), second.concat()).unwrap();
    fs::write(folder.path().join("b.jsonl"), first.concat()).unwrap();
    assert_eq!(diagram(folder.path(), &[]), expected);
    fs::write(folder.path().join("c.jsonl"), &whole).unwrap();
    assert_eq!(diagram(folder.path(), &[]), expected);
}

/// Bob's process was killed, and another continued his session, in the same log or in another.
#[test]
fn a_process_that_continues_in_another_log_is_on_the_same_lifeline_c14() {
    let folder = tempfile::tempdir().unwrap();
    for file in fs::read_dir(EXAMPLE).unwrap().map(|file| file.unwrap()) {
        fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    let log = fs::read_to_string(Path::new(EXAMPLE).join("client-bob.jsonl")).unwrap();
    let started = log.rfind("\"event\":\"client_started\"").unwrap();
    let (first, second) = log.split_at(log[..started].rfind('\n').unwrap() + 1);
    // By name, this file sorts before the one with the beginning.
    fs::write(folder.path().join("a-bob.jsonl"), second).unwrap();
    fs::write(folder.path().join("client-bob.jsonl"), first).unwrap();
    let end = "bob: the process was killed";
    // The order of the elements does not matter.
    let mut expected: Vec<_> =
        example(&[]).iter().map(|line| line.replace(end, "bob: its log ends here")).collect();
    let mut picture = diagram(folder.path(), &[]);
    expected.sort();
    picture.sort();
    assert!(picture == expected, "{:?}", picture.iter().find(|line| !expected.contains(line)));

    // Processes that overlap in time cannot share a lifeline: here a copy of the log counts as another process.
    fs::write(folder.path().join("client-bob.jsonl"), &log).unwrap();
    fs::remove_file(folder.path().join("a-bob.jsonl")).unwrap();
    fs::write(folder.path().join("copy.jsonl"), &log).unwrap();
    assert_eq!(count(&diagram(folder.path(), &[]), ">bob</text>"), 4);
}

#[test]
fn a_part_that_does_not_exist_is_refused_with_what_exists() {
    for (options, why) in [
        (
            &["--only", "nobody"][..],
            "no participant in these logs is called \"nobody\"; the participants are: alice, bob, carol, dora",
        ),
        (&["--only", "alice", "--only", ""], "no participant in these logs is called \"\""),
        (&["--from", "25", "--to", "15"], "--from 25 is after --to 15"),
        (&["--from", "1000"], "nothing happened in that time: logical times go up to 4"),
    ] {
        let log = format!("{EXAMPLE}/server.jsonl");
        let ended = Program::run(&[&["diagram", &log], options].concat(), &[]);
        assert_eq!((ended.code, ended.output.len()), (Some(2), 0), "{ended:?}");
        assert!(ended.errors.contains(why), "{}", ended.errors);
    }
}

/// A drawing replaces no log, and does not become one (C11).
#[test]
fn an_output_among_the_logs_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (log, new) = (folder.path().join("server.jsonl"), folder.path().join("new.jsonl"));
    fs::copy(Path::new(EXAMPLE).join("server.jsonl"), &log).unwrap();
    let (whole, one, new) = (folder.path().to_str().unwrap(), log.to_str().unwrap(), new.to_str().unwrap());
    for (input, output, why) in [
        (one, one, format!("--output: {one} is one of the logs; name another file")),
        (whole, one, format!("--output: {one} is one of the logs; name another file")),
        (whole, new, format!("--output: {new} would be read as a log of the folder {whole}; name another file")),
        (one, whole, format!("--output: cannot write {whole}: ")),
    ] {
        let ended = Program::run(&["diagram", input, "-o", output], &[]);
        assert!(ended.code == Some(2) && ended.errors.contains(&why), "{why}: {ended:?}");
    }
    Program::run(&["diagram", one, "-o", new], &[]).succeeded();
    assert_eq!(fs::read(&log).unwrap(), fs::read(Path::new(EXAMPLE).join("server.jsonl")).unwrap());
}

/// A service's log of messages by three writers, each of which says that its writer had seen `seen`.
fn unseen_messages(messages: u64, seen: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let record = |sequence: u64| {
        let joined = sequence <= 3;
        let writer = if joined { sequence } else { sequence % 3 + 1 };
        let (event, kind) = if joined { ("join_broadcast", "joined") } else { ("message_broadcast", "message") };
        let mut record = serde_json::json!({
            "timestamp": format!("2026-11-25T10:{:02}:{:02}.000000Z", sequence / 60 % 60, sequence % 60),
            "level": "INFO", "component": "server", "event": event, "epoch": "e", "kind": kind,
            "participant_id": format!("p{writer}"), "display_name": format!("writer {writer}"),
            "sequence": sequence, "logical_time": 2 * sequence, "sent_logical_time": 0, "content": "text",
        });
        if !joined {
            record["message_id"] = sequence.to_string().into();
            record["seen_sequence"] = seen.into();
        }
        record.to_string()
    };
    let log: Vec<_> = (1..=3 + messages).map(record).collect();
    fs::write(folder.path().join("server.jsonl"), log.join("\n")).unwrap();
    folder
}

/// A message whose writer had long seen nothing crosses everything since. Only the nearest crossings are drawn and the
/// others are counted, so that the picture grows linearly with the run, not quadratically.
#[test]
fn crossings_are_bounded() {
    let folder = unseen_messages(1_500, 3);
    let picture = diagram(folder.path(), &[]);
    let drawn = count(&picture, "<path class=\"cross\"");
    assert!(drawn > 1_500 && drawn <= 6 * 1_500, "{drawn}");
    // A third of the 500 events before it are the writer's own.
    let counted = count(&picture, "and 327 more") + count(&picture, "and 328 more");
    assert!(counted >= 1_000, "{counted}");
}

/// A message with `seen_sequence` 0 does not state what its writer had seen, so no crossing is marked.
#[test]
fn a_seen_sequence_of_0_marks_no_crossing() {
    let folder = unseen_messages(30, 0);
    let picture = diagram(folder.path(), &[]);
    assert_eq!(count(&picture, "<path class=\"cross\""), 0);
    assert_eq!(count(&picture, "written before seeing"), 0);
}

//! `chitchat diagram`: what happened, as a picture and as text for other tools.

use std::collections::HashMap;
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

fn count(lines: &[String], text: &str) -> usize {
    lines.iter().map(|line| line.matches(text).count()).sum()
}

#[test]
fn the_picture_stands_alone_and_shows_what_happened() {
    let picture = example(&[]);
    let text = picture.join("\n");
    assert!(text.starts_with("<svg xmlns=") && text.ends_with("</svg>"));
    assert!(
        !text.contains("<script") && !text.contains("href") && !text.contains("url("),
        "nothing from elsewhere"
    );
    assert!(text.contains("prefers-color-scheme:dark"));
    for name in ["service", "alice", "bob", "carol"] {
        assert_eq!(count(&picture, &format!(">{name}</text>")), 2, "{name} above and below");
    }
    assert_eq!(count(&picture, "class=\"tell\""), 20, "an arrow for every delivery");
    assert_eq!(count(&picture, "class=\"send\""), 9, "and for every request");
    assert!(text.contains("⇄ written before seeing [15]"), "two messages crossed");
    assert!(text.contains("carol: its log ends here"), "one was killed");
    assert!(text.contains("Hei, æøå og 😀 telles likt."));
}

#[test]
fn a_part_of_the_picture_can_be_chosen() {
    let part = example(&["--from", "9", "--to", "18", "--only", "bob"]).join("\n");
    assert!(part.contains("2 processes") || part.contains("3 events, 2 processes"), "{part}");
    assert!(part.contains("Hello, everybody!") && !part.contains("Carol is gone."));
    assert!(!part.contains(">carol</text>"));
}

#[test]
fn text_in_a_picture_is_text_whatever_it_contains() {
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

/// The rules of the format: a line with the regular expression, one with the delimiter, and then
/// `host {clock} event`, a host's own entries being 1, 2, 3 …, and nobody knowing what has not happened.
#[track_caller]
fn check_shiviz(lines: &[String]) -> HashMap<String, u64> {
    assert_eq!(lines[0], r"(?<host>\S+) (?<clock>\{.*?\}) (?<event>.*)");
    assert_eq!(lines[1], "", "one execution, so nothing divides it");
    let mut clocks: HashMap<String, HashMap<String, u64>> = HashMap::new();
    let mut own: HashMap<String, u64> = HashMap::new();
    for line in &lines[2..] {
        let (host, rest) = line.split_once(' ').unwrap();
        let end = rest.find("} ").unwrap();
        let (clock, event) = (&rest[..=end], &rest[end + 2..]);
        assert!(!host.is_empty() && !event.is_empty(), "{line}");
        let clock: HashMap<String, Value> = serde_json::from_str(clock).unwrap();
        let clock: HashMap<_, _> = clock.into_iter().map(|(host, n)| (host, n.as_u64().unwrap())).collect();
        let before = clocks.entry(host.to_owned()).or_default();
        assert!(before.iter().all(|(host, n)| clock[host] >= *n), "nothing is forgotten: {line}");
        let count = own.entry(host.to_owned()).or_default();
        *count += 1;
        assert_eq!(clock[host], *count, "own entries go up by 1: {line}");
        assert!(clock.iter().all(|(host, n)| own[host] >= *n), "nothing is known before it happened: {line}");
        clocks.insert(host.to_owned(), clock);
    }
    own
}

#[test]
fn the_log_for_shiviz_satisfies_its_format() {
    let hosts = check_shiviz(&example(&["--format", "shiviz"]));
    let mut names: Vec<_> = hosts.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["alice", "bob", "carol", "service"]);
}

#[test]
fn the_mermaid_text_tells_who_sent_and_who_got_what() {
    let text = example(&["--format", "mermaid"]).join("\n");
    assert!(text.contains("P1->>P0: 9 Hello, everybody!\n"), "{text}");
    assert!(text.contains("P0-->>P3: 11 → 12 alice#58; Hello, everybody!\n"), "{text}");
    assert!(text.contains("Note over P2,P3: ⇄ #91;15#93; and #91;17#93; crossed"), "{text}");
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

//! `chitchat verify` as a command: what it accepts and refuses, its exit codes, and the gallery.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use chitchat::trace::gallery::{mistakes, truthful};
use chitchat::trace::report::Rule;
use tempfile::TempDir;

use super::verify::{EXAMPLE, example, files, verify};
use crate::support::{Ended, Program};

#[test]
fn input_that_is_not_a_log_exits_2() {
    let folder = TempDir::new().unwrap();
    fs::create_dir_all(folder.path().join("no logs/logs.jsonl")).unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let example = example("server");
    let damaged = format!("{example}garbage\n{example}");
    for path in [
        folder.path().join("missing.jsonl"),
        "/dev/null".into(),
        folder.path().join("no logs"),
        file("empty", ""),
        file("prose", "not a log\n"),
        file("other", "{}\n"),
        file("damaged", &damaged),
        file("binary", "\u{0}\u{1}\u{7f}ELF\n\u{0}"),
        file("endless", &"x".repeat(3 << 20)),
        file("endless record", &format!("{example}{{\"timestamp\":\"{}", "x".repeat(3 << 20))),
    ] {
        let ended = verify(std::slice::from_ref(&path), &[]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.errors.starts_with("chitchat: "), "{ended:?}");
    }
    assert_eq!(Program::run(&["verify"], &[]).code, Some(2));
}

fn gallery(part: &[&str]) -> Vec<String> {
    Program::run(&[&["verify", "--gallery"], part].concat(), &[]).succeeded().output
}

#[test]
fn the_gallery_is_a_list_and_shows_every_mistake_with_its_verdict() {
    let (mistakes, list) = (mistakes(), gallery(&[]));
    assert!(list.len() < mistakes.len() + 40 && list.iter().all(|line| !line.contains("VIOLATED")), "{list:?}");
    for (number, mistake) in (1..).zip(&mistakes) {
        assert!(list.contains(&format!("  {number:>3}  {}", mistake.title)), "{}", mistake.title);
    }
    let all = gallery(&["all"]);
    let shown = all.join("\n");
    assert_eq!(shown.matches("VIOLATED: ").count(), mistakes.len());
    assert!(mistakes.iter().all(|mistake| shown.contains(&*mistake.title)));
    assert!(all.iter().all(|line| line.chars().count() < 260), "short");

    let one = gallery(&["25"]).join("\n");
    assert!(one.contains(&format!("\n25. {}\n", mistakes[24].title)), "{one}");
    assert_eq!(one.matches("VIOLATED: ").count(), 1, "{one}");
    let of_a_rule = gallery(&["v6"]).join("\n");
    let count = mistakes.iter().filter(|mistake| mistake.rule == Rule::V6).count();
    assert_eq!(of_a_rule.matches("VIOLATED: ").count(), count, "{of_a_rule}");
    assert!(gallery(&["logs"]).join("\n").contains("server_started"));
    for wrong in ["0", "1000", "V16", "logs.jsonl"] {
        let ended = Program::run(&["verify", "--gallery", wrong], &[]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.errors.contains("--gallery") && ended.errors.contains("V1 to V15"), "{ended:?}");
    }
}

/// A teacher's own table is shown, and an invalid one is refused with the line of its error.
#[test]
fn the_gallery_shows_mistakes_of_a_file() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("mine.toml");
    let named = file.to_str().unwrap();
    let show = |table: &str, part: &[&str]| {
        fs::write(&file, table).unwrap();
        Program::run(&[&["verify", "--gallery-file", named], part].concat(), &[])
    };
    let table = |rule: &str| {
        format!(
            "[[mistake]]\nrule = \"{rule}\"\ntitle = \"Lost\"\nexplanation = \"A message is dropped.\"\n\
             steps = [\n{{ find = \"gone\", in = \"server\", where = \"event == 'message_broadcast'\" }},\n\
             {{ remove = \"gone\" }}]\n"
        )
    };
    let shown = show(&table("V1"), &[]).succeeded().output.join("\n");
    assert!(shown.contains("1. Lost\n   A message is dropped.") && shown.contains("VIOLATED: "), "{shown}");
    let list = show(&table("V1"), &["--gallery"]).succeeded().output.join("\n");
    assert!(list.contains("    1  Lost") && !list.contains("VIOLATED"), "{list}");
    let not_caught = show(&table("V13"), &["--gallery", "1"]);
    assert_eq!(not_caught.code, Some(1));
    assert!(not_caught.output.join("\n").contains("V13 does not catch it"));
    let beyond = show(&table("V1"), &["--gallery", "2"]);
    assert_eq!(beyond.code, Some(2));
    assert!(beyond.errors.contains("mine.toml: it has no mistake 2: the last one is 1"), "{beyond:?}");
    let none = show(&table("V1"), &["--gallery", "V6"]);
    assert_eq!((none.code, &none.output[..]), (Some(2), &[][..]), "{none:?}");
    assert!(none.errors.contains("mine.toml: it has no mistake that V6 should catch"), "{none:?}");
    let wrong = show(&table("V1").replace("remove", "delete"), &[]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.errors.contains("mine.toml: line 7: a step needs exactly one of"), "{wrong:?}");
    fs::remove_file(&file).unwrap();
    let missing = Program::run(&["verify", "--gallery-file", named], &[]);
    assert_eq!(missing.code, Some(2));
    for refused in [beyond, wrong, missing] {
        assert!(refused.errors.contains("--gallery-file: "), "{refused:?}");
    }
}

/// A folder, a pipe and standard input work like files.
#[test]
fn folders_pipes_and_standard_input_are_read_c11() {
    let of = |ended: Ended| -> serde_json::Value { serde_json::from_str(&ended.succeeded().output[0]).unwrap() };
    let expected = of(verify(&files(Path::new(EXAMPLE)), &["--json"]));
    let folder = of(verify(&[EXAMPLE.into()], &["--json"]));
    assert_eq!(folder, expected);
    assert_eq!(expected["schema"], "chitchat.verify-report/1");
    let counted: u64 =
        expected["inputs"].as_array().unwrap().iter().map(|log| log["records"].as_u64().unwrap()).sum();
    assert_eq!(expected["records"], counted);

    let texts: String = files(Path::new(EXAMPLE)).iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let piped = |arguments: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_chitchat"));
        program.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = program.spawn().unwrap();
        child.stdin.take().unwrap().write_all(texts.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for name in ["-", "/dev/stdin"] {
        let report: serde_json::Value = serde_json::from_str(&piped(&["verify", "--json", name])).unwrap();
        assert_eq!((&report["rules"], &report["records"]), (&expected["rules"], &expected["records"]), "{name}");
    }
    assert!(piped(&["diagram", "-"]).contains("<svg"));
}

#[test]
fn strict_exits_3_where_a_rule_could_not_be_checked() {
    let folder = TempDir::new().unwrap();
    for log in truthful().0 {
        let text: String = log.records.iter().map(|record| format!("{record}\n")).collect();
        fs::write(folder.path().join(log.name), text).unwrap();
    }
    let code = |options: &[&str]| verify(&[folder.path().to_owned()], options).code;
    assert_eq!(code(&[]), Some(0));
    assert_eq!(code(&["--strict"]), Some(0), "there is one copy of the journal, and one order");
    assert_eq!(code(&["--strict=V16"]), Some(2));
    fs::remove_file(folder.path().join("client-bob.jsonl")).unwrap();
    assert_eq!(code(&[]), Some(0));
    let ended = verify(&[folder.path().to_owned()], &["--strict"]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.errors.contains("chitchat: --strict: V3 V4 "), "{ended:?}");
    assert_eq!(code(&["--strict=V1,v2,V13,V15"]), Some(0));
    assert_eq!(code(&["--strict=V1,V10"]), Some(3));
}

/// In an ordinary run even V13 and V14 can be checked: the journal was new, and all have left.
#[test]
fn strict_passes_an_ordinary_run_and_fails_where_a_log_of_the_service_is_missing_v13() {
    let folder = TempDir::new().unwrap();
    for file in files(Path::new(EXAMPLE)) {
        fs::copy(&file, folder.path().join(file.file_name().unwrap())).unwrap();
    }
    verify(&[folder.path().to_owned()], &["--strict"]).succeeded();
    // The service's log was rotated, and its first segment is missing.
    let server = folder.path().join("server.jsonl");
    let lines: Vec<String> = fs::read_to_string(&server).unwrap().lines().map(str::to_owned).collect();
    let middle = lines.iter().position(|line| line.contains("\"sequence\":3,")).unwrap();
    let text = lines[middle + 1..].join("\n");
    fs::write(&server, text).unwrap();
    let ended = verify(&[folder.path().to_owned()], &["--strict"]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let said = ended.output.join("\n");
    assert!(said.contains("V13: there is only one copy of the journal of epoch "), "{said}");
}

#[test]
fn a_damaged_line_is_named_with_what_to_do_next() {
    let folder = TempDir::new().unwrap();
    let whole = example("server");
    let damaged = folder.path().join("server.jsonl");
    let line = whole.lines().nth(6).unwrap();
    for (instead, fault) in [
        ("garbage", "is not a log record: a record is a JSON object"),
        ("[1, 2]", "is not a log record: a record is a JSON object"),
        (&*line.replacen("\"event\"", "\"evnt\"", 1), "it has no `event`"),
        (&*line.replacen('Z', "+01:00", 1), "in UTC (it has to end in Z)"),
        (&*line.replacen(':', "", 1), "it stops being JSON at character 13"),
        (&*line.replacen("\"server\"", "\"waiter\"", 1), "a `component` cannot be \"waiter\""),
        ("\0\0\0\0", "contains zero bytes"),
    ] {
        fs::write(&damaged, whole.replace(line, instead)).unwrap();
        for command in ["verify", "diagram"] {
            let ended = Program::run(&[command, folder.path().to_str().unwrap()], &[]);
            assert_eq!(ended.code, Some(2), "{ended:?}");
            assert!(ended.errors.starts_with(&format!("chitchat: {}:7 ", damaged.display())), "{ended:?}");
            assert!(ended.errors.contains(fault), "{fault}: {ended:?}");
            assert!(ended.errors.contains("copy it again from where it was written"), "{ended:?}");
        }
    }
    // What the specification advises if the original is damaged (G8).
    let record: serde_json::Value = serde_json::from_str(line).unwrap();
    let lost = format!(
        "{{\"timestamp\":{},\"component\":\"server\",\"event\":\"records_lost\",\"count\":1}}",
        record["timestamp"]
    );
    fs::write(&damaged, whole.replace(line, &lost)).unwrap();
    let clients = files(Path::new(EXAMPLE)).into_iter().filter(|file| !file.ends_with("server.jsonl"));
    let ended = verify(&clients.chain([damaged]).collect::<Vec<_>>(), &[]).succeeded();
    assert!(ended.output.join("\n").contains("1 record of the service was lost"), "{ended:?}");
}

/// CRLF line ends, a byte order mark and empty lines change nothing.
#[test]
fn a_log_saved_by_an_editor_is_read_unchanged() {
    let folder = TempDir::new().unwrap();
    let rules = |folder: &Path| {
        let ended = verify(&[folder.to_owned()], &["--json"]).succeeded();
        let report: serde_json::Value = serde_json::from_str(&ended.output[0]).unwrap();
        assert!(
            report["inputs"].as_array().unwrap().iter().all(|log| log["cut_off"] == serde_json::json!([])),
            "{report}"
        );
        (report["rules"].clone(), report["records"].clone())
    };
    for file in files(Path::new(EXAMPLE)) {
        let text = fs::read_to_string(&file).unwrap().replace('\n', "\r\n\r\n");
        fs::write(folder.path().join(file.file_name().unwrap()), format!("\u{feff}{text}\r\n")).unwrap();
    }
    assert_eq!(rules(folder.path()), rules(Path::new(EXAMPLE)));
}

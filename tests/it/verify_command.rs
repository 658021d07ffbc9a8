//! `chitchat verify` as a command: what it takes, what it refuses, its exit codes, and the gallery.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use chitchat::trace::gallery::{mistakes, truthful};
use chitchat::trace::report::Rule;
use tempfile::TempDir;

use crate::support::{Ended, Program};
use crate::verify::{EXAMPLE, example, files, verify};

#[test]
fn what_is_no_log_exits_2() {
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

/// A teacher's own table: what it shows, and that a wrong one is refused with its line.
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
    let wrong = show(&table("V1").replace("remove", "delete"), &[]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.errors.contains("mine.toml: line 7: a step needs exactly one of"), "{wrong:?}");
    fs::remove_file(&file).unwrap();
    assert_eq!(Program::run(&["verify", "--gallery-file", named], &[]).code, Some(2));
}

/// A folder, a pipe and standard input are logs as the files are.
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
    assert_eq!(code(&["--strict"]), Some(3), "there is one copy of the journal");
    assert_eq!(code(&["--strict=V1,v2"]), Some(0));
    assert_eq!(code(&["--strict=V2,V13"]), Some(3));
    assert_eq!(code(&["--strict=V16"]), Some(2));
}

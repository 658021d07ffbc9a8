//! "Prove it": the lab verifies its own logs together with the log of a page.

use std::fs;
use std::net::SocketAddr;

use http::StatusCode;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Answer, Http1, Program, ServerProgram, soon};

const PATH: &str = "/lab/proof";

/// A service with a lab, and its key.
fn lab(options: &[&str]) -> (ServerProgram, String) {
    let lab = ServerProgram::start_command("lab", "127.0.0.1:0", options);
    let key = lab.program.notice("lab-key=").split("lab-key=").nth(1).unwrap().trim().to_owned();
    (lab, key)
}

fn run(lab: &ServerProgram, key: &str, arguments: &[&str]) {
    let (server, key) = (format!("--server=http://{}", lab.address), format!("--lab-key={key}"));
    let (command, rest) = arguments.split_first().unwrap();
    Program::run(&[&[command, &*server, &*key], rest].concat(), &[]).succeeded();
}

async fn post(address: SocketAddr, key: &str, log: &str) -> Answer {
    Http1::connect(address).await.ask("POST", PATH, &[("lab-key", key)], log.as_bytes()).await
}

async fn proved(address: SocketAddr, key: &str, log: &str) -> Value {
    let answer = post(address, key, log).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

/// The log of a participant that has left. Like a page's, it is not in the lab's folder.
fn page_log(lab: &ServerProgram) -> String {
    let elsewhere = TempDir::new().unwrap();
    let (server, folder) = (format!("http://{}", lab.address), elsewhere.path().to_str().unwrap());
    let mut page =
        Program::start(&["join", "--plain", "--name=visitor", "--server", &server, "--log-dir", folder], &[]);
    page.notice("* here: ");
    page.type_line("Does anybody see this?");
    page.until("visitor: Does anybody see this?");
    page.end_of_input();
    let log = fs::read_to_string(elsewhere.path().join("client-visitor.jsonl")).unwrap();
    log.replace("\"component\":\"client\"", "\"component\":\"browser\"")
}

fn rule<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["rules"].as_array().unwrap().iter().find(|rule| rule["rule"] == name).unwrap()
}

/// K11: the logs of the service, its companions and the page so far are judged as `chitchat verify` judges them, and
/// are returned for the replay.
#[tokio::test(flavor = "multi_thread")]
async fn logs_of_service_companions_and_page() {
    let (lab, key) = lab(&[]);
    run(&lab, &key, &["companion", "--add", "echo"]);
    let log = page_log(&lab);
    let proof = proved(lab.address, &key, &log).await;
    let report = &proof["report"];
    assert_eq!(
        (&report["schema"], &report["verdict"]),
        (&"chitchat.verify-report/1".into(), &"holds".into()),
        "{report:#}"
    );
    let inputs: Vec<&str> =
        report["inputs"].as_array().unwrap().iter().map(|input| input["files"][0].as_str().unwrap()).collect();
    let ends = |name: &str| inputs.iter().any(|file| file.ends_with(name));
    assert!(ends("server.jsonl") && ends("client-echo.jsonl") && ends("this-page.jsonl"), "{inputs:?}");
    for name in ["V1", "V2", "V3", "V4", "V6", "V7", "V10", "V11"] {
        assert_eq!(rule(report, name)["verdict"], "held", "{name}: {report:#}");
        assert_eq!(rule(report, name)["gaps"].as_array().unwrap().len(), 0, "{name}: {report:#}");
    }
    let names: Vec<&str> =
        proof["logs"].as_array().unwrap().iter().map(|log| log["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["client-echo.jsonl", "server.jsonl"]);
    // Without the page's log, the report names the participant whose log is missing.
    let without = proved(lab.address, &key, "").await;
    assert_eq!(without["report"]["verdict"], "holds");
    assert!(without["report"]["not_checked"].to_string().contains("no log of visitor"), "{without:#}");
}

/// K11: a contradiction between a page's log and the service's is a violation, shown with its lines.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_changed() {
    let (lab, key) = lab(&[]);
    let log = page_log(&lab);
    let changed: String = log
        .lines()
        .map(|line| match line.contains("\"event_delivered\"") {
            true => line.replace("Does anybody see this?", "Nobody sees this.") + "\n",
            false => format!("{line}\n"),
        })
        .collect();
    let proof = proved(lab.address, &key, &changed).await;
    assert_eq!(proof["report"]["verdict"], "violated");
    let agreement = rule(&proof["report"], "V3");
    assert_eq!(agreement["verdict"], "violated");
    let evidence = agreement["violations"][0]["evidence"].as_array().unwrap();
    assert!(evidence.iter().any(|line| line["file"] == "this-page.jsonl"), "{evidence:#?}");
}

/// K11: a proof that cannot be made is refused with the reason, and a service without a lab has no proofs.
#[tokio::test(flavor = "multi_thread")]
async fn refusals() {
    let (lab, key) = lab(&["--proof-logs-max", "1"]);
    let refused = async |key: &str, log: &str, status: StatusCode, why: &str| {
        let answer = post(lab.address, key, log).await;
        assert_eq!((answer.status, answer.text().contains(why)), (status, true), "{}", answer.text());
    };
    refused("", "", StatusCode::FORBIDDEN, "the lab's key is missing or wrong").await;
    refused("0123456789abcdef", "", StatusCode::FORBIDDEN, "the lab's key is missing or wrong").await;
    refused(
        &key,
        "no record\n",
        StatusCode::UNPROCESSABLE_ENTITY,
        "this-page.jsonl is not a log: line 1 is not a log record",
    )
    .await;
    let mut announced = Http1::connect(lab.address).await;
    let length = (16 * 1024 * 1024 + 1).to_string();
    announced
        .say(format!(
            "POST {PATH} HTTP/1.1\r\nhost: localhost\r\nlab-key: {key}\r\ncontent-length: {length}\r\n\r\n"
        ))
        .await;
    assert_eq!(announced.head().await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let mut alice = lab.join("alice");
    run(&lab, &key, &["fault", "--stop-writer", "60s"]);
    alice.program.type_line("Nobody writes this down.");
    let unavailable =
        async { while post(lab.address, &key, "").await.status != StatusCode::SERVICE_UNAVAILABLE {} };
    soon(unavailable).await;
    refused(&key, "", StatusCode::SERVICE_UNAVAILABLE, "writer is stopped").await;
    run(&lab, &key, &["fault", "--clear"]);
    alice.program.until("Nobody writes this down.");
    assert_eq!(alice.quit().code, Some(0));
    let record = fs::read_to_string(lab.log_folder().join("server.jsonl")).unwrap();
    let long = record.lines().next().unwrap().to_owned() + &"\n".repeat(1 << 20);
    fs::write(lab.log_folder().join("long.jsonl"), long).unwrap();
    refused(&key, "", StatusCode::PAYLOAD_TOO_LARGE, "raise --proof-logs-max").await;
    fs::remove_file(lab.log_folder().join("long.jsonl")).unwrap();
    let serve = ServerProgram::start(&["--journal", "memory"]);
    assert_eq!(post(serve.address, &key, "").await.status, StatusCode::NOT_FOUND);
}

/// K11: one proof at a time.
#[tokio::test(flavor = "multi_thread")]
async fn one_at_a_time() {
    let lab = ServerProgram::start_command("lab", "127.0.0.1:0", &["--lab-open"]);
    let mut slow = Http1::connect(lab.address).await;
    let headers = "host: localhost\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n";
    slow.say(format!("POST {PATH} HTTP/1.1\r\n{headers}")).await;
    assert_eq!(slow.head().await.0, StatusCode::CONTINUE, "it is its turn");
    let busy = post(lab.address, "", "").await;
    assert_eq!(busy.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(busy.text().contains("another proof is running") && busy.header("retry-after") == "1", "{busy:?}");
    slow.say(b"\n").await;
    assert_eq!(slow.head().await.0, StatusCode::OK);
    proved(lab.address, "", "").await;
}

/// K7, K8, K11: faults, scenarios and the proof also work with a journal in a file and an access secret. The next run
/// of the service with the same journal proves both runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_journal_file_and_a_secret() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (journal, secret) = (path("lab.db"), path("secret"));
    fs::write(&secret, "a-long-s3cret-indeed\n").unwrap();
    for times in 1..=2 {
        let (mut lab, key) = lab(&["--journal", &journal, "--secret-file", &secret]);
        for command in [
            &["companion", "--add=echo"][..],
            &["fault", "echo", "--hold=both"],
            &["scenario", "crossing", "--pause=0s"],
        ] {
            run(&lab, &key, &[command, &["--secret-file", &secret]].concat());
        }
        let mut http = Http1::connect(lab.address).await;
        assert_eq!(http.ask("POST", PATH, &[("lab-key", &key)], b"").await.status, StatusCode::UNAUTHORIZED);
        let headers = [("lab-key", &*key), ("authorization", "Bearer a-long-s3cret-indeed")];
        let answer = http.ask("POST", PATH, &headers, b"").await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let proof: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(proof["report"]["verdict"], "holds", "{proof:#}");
        let joins = lab.records().iter().filter(|record| record["event"] == "join_broadcast").count();
        assert!(joins >= 3, "the echo and both companions of run {times}: {joins}");
        drop(http);
        lab.stop("TERM");
    }
}

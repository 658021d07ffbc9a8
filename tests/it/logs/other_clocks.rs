//! Clients on hosts whose clocks are wrong, behind a tunnel that hides this from the service. `verify` uses the
//! messages to bound how far each clock is off, and does not count the error as a violation (V12).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Client, Program, Proxy, ServerProgram, records, wait_for_record};

/// How far each clock is off, in libfaketime's notation and in microseconds.
const CLOCKS: [(&str, &str, i64); 5] = [
    ("day-behind", "-1d", -86_400_000_000),
    ("half-behind", "-0.5s", -500_000),
    ("little-ahead", "+0.02s", 20_000),
    ("seconds-ahead", "+3s", 3_000_000),
    ("month-ahead", "+30d", 30 * 86_400_000_000),
];
/// How far apart the bounds may be on a busy machine.
const UNCERTAINTY_MAX_MICROS: i64 = 5_000_000;

fn libfaketime() -> PathBuf {
    let places = ["/usr/lib", "/usr/local/lib"].map(Path::new);
    let folders = places.iter().flat_map(|place| {
        let inner = fs::read_dir(place).into_iter().flatten().flatten().map(|folder| folder.path());
        inner.chain([place.to_path_buf()])
    });
    let libraries = folders.map(|folder| folder.join("faketime/libfaketime.so.1"));
    libraries.into_iter().find(|library| library.exists()).expect("libfaketime (tests/tools system installs it)")
}

/// A client on a host whose clock is wrong, through a tunnel.
fn join(server: &ServerProgram, tunnel: &Proxy, name: &str, off: &str) -> Client {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chitchat"));
    let url = format!("http://{}", tunnel.address);
    command.args(["join", name, "--plain", "--server", &url, "--log-dir"]).arg(server.log_folder());
    let library = libfaketime();
    // Only the time of day is wrong; the monotonic clock stays right.
    let settings =
        [("LD_PRELOAD", library.to_str().unwrap()), ("FAKETIME", off), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
    let program = Program::of(command, &settings);
    program.notice("* here: ");
    Client { program, log: server.log_folder().join(chitchat::log::file_name("client", name)) }
}

fn verify(logs: &[PathBuf]) -> Value {
    let arguments = ["verify", "--json"].into_iter().chain(logs.iter().map(|log| log.to_str().unwrap()));
    let ended = Program::run(&arguments.collect::<Vec<_>>(), &[]);
    serde_json::from_str(&ended.output[0]).unwrap_or_else(|_| panic!("{ended:?}"))
}

fn violated(report: &Value) -> Vec<String> {
    let rules = report["rules"].as_array().unwrap().iter().filter(|rule| rule["violated"] != 0);
    rules.map(|rule| rule["rule"].as_str().unwrap().to_owned()).collect()
}

fn rule<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["rules"].as_array().unwrap().iter().find(|rule| rule["rule"] == name).unwrap()
}

fn logs(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_clocks_are_bounded_by_messages_and_violate_nothing_v12() {
    let mut server = ServerProgram::start(&["--publish-rate", "0"]);
    let tunnel = Proxy::to(server.address).await;
    let mut clients = CLOCKS.map(|(name, off, _)| join(&server, &tunnel, name, off));
    for round in 0..6 {
        for index in 0..clients.len() {
            let text = format!("round {round} of {index}");
            clients[index].program.type_line(&text);
            for client in &clients {
                client.program.until(&text);
            }
            // Each is acknowledged before the next one is sent.
            let own = records(&clients[index].log);
            let sent = own.iter().rfind(|record| record["event"] == "publish_sent").unwrap();
            wait_for_record(&clients[index].log, |record| {
                record["event"] == "publish_acknowledged" && record["message_id"] == sent["message_id"]
            });
        }
    }
    for client in &mut clients {
        client.quit().succeeded();
    }
    server.stop("TERM").succeeded();

    // The clocks were really off.
    let started = |log: &Path| {
        let record = records(log).into_iter().next().unwrap();
        humantime::parse_rfc3339(record["timestamp"].as_str().unwrap()).unwrap()
    };
    let first = started(&server.log_folder().join("server.jsonl"));
    assert!(started(&clients[0].log) < first && started(&clients[4].log) > first);

    let report = verify(&logs(server.log_folder()));
    assert_eq!(violated(&report), [""; 0], "{report:#}");
    assert_eq!(rule(&report, "V12")["records"], 30, "every send is compared: {}", rule(&report, "V12"));
    for (name, off, micros) in CLOCKS {
        let clocks = report["clocks"].as_array().unwrap();
        let clock = clocks.iter().find(|clock| clock["file"].as_str().unwrap().contains(name)).unwrap();
        let bounds = ["ahead_micros_min", "ahead_micros_max"].map(|field| clock[field].as_i64().unwrap());
        assert!(bounds[0] <= micros + 1_000 && micros - 1_000 <= bounds[1], "{off}: {clock}");
        assert!(bounds[1] - bounds[0] < UNCERTAINTY_MAX_MICROS, "{off}: {clock}");
    }

    a_real_violation_is_caught(&server, &clients);
}

/// How much later the second message is sent in the changed logs.
const LATER: Duration = Duration::from_secs(60);

/// The texts of the two messages.
const EARLIER: &str = "round 5 of 0";
const SECOND: &str = "round 5 of 1";

/// A message is acknowledged, another one is sent a minute later, and yet the later one comes first in the order: the
/// service acknowledged a position that it had not assigned. All logs agree on the order.
fn a_real_violation_is_caught(server: &ServerProgram, clients: &[Client]) {
    let folder = tempfile::tempdir().unwrap();
    let broadcasts = server.records();
    let broadcast = |text: &str| {
        let is_it = |record: &&Value| record["event"] == "message_broadcast" && record["content"] == text;
        broadcasts.iter().find(is_it).unwrap().clone()
    };
    let [earlier, second] = [EARLIER, SECOND].map(broadcast);
    assert_eq!(earlier["sequence"].as_u64().unwrap() + 1, second["sequence"].as_u64().unwrap());
    for log in logs(server.log_folder()) {
        let changed = overtaken(records(&log), &earlier, &second, log == clients[1].log);
        let lines: String = changed.iter().map(|record| format!("{record}\n")).collect();
        fs::write(folder.path().join(log.file_name().unwrap()), lines).unwrap();
    }
    let report = verify(&logs(folder.path()));
    let v12 = rule(&report, "V12");
    assert_eq!(v12["violated"], 1, "{v12:#}");
    let sentence = v12["violations"][0]["sentence"].as_str().unwrap();
    assert!(sentence.contains("had been acknowledged before"), "{sentence}");
}

/// One log of that run, changed so that the second message overtakes the earlier one.
fn overtaken(mut log: Vec<Value>, earlier: &Value, second: &Value, is_of_second: bool) -> Vec<Value> {
    let own = ["participant_id", "display_name", "content", "message_id", "seen_sequence", "sent_logical_time"];
    let [one, two] = [earlier, second].map(|event| event["sequence"].as_u64());
    for record in &mut log {
        let other = match record["sequence"].as_u64() {
            sequence if sequence == one => second,
            sequence if sequence == two => earlier,
            _ => continue,
        };
        match record["event"].as_str().unwrap() {
            "message_broadcast" | "event_delivered" => {
                own.iter().for_each(|field| record[*field] = other[*field].clone());
            }
            "publish_acknowledged" => {
                (record["sequence"], record["logical_time"]) =
                    (other["sequence"].clone(), other["logical_time"].clone());
            }
            _ => {}
        }
    }
    // The first message gets the promised position only after the second one has got its own.
    let find = |log: &[Value], sequence: Option<u64>| {
        let tells = |record: &Value| record["content"].is_string() && record["sequence"].as_u64() == sequence;
        log.iter().position(tells).unwrap()
    };
    let first = log.remove(find(&log, one));
    let at = find(&log, two);
    log.insert(at, first);
    log[at]["timestamp"] = log[at + 1]["timestamp"].clone();
    let submits = |record: &Value| record["event"] == "publish_queued" && record["content"] == SECOND;
    let from = if is_of_second { log.iter().position(submits).unwrap() } else { at };
    for record in &mut log[from..] {
        let time = humantime::parse_rfc3339(record["timestamp"].as_str().unwrap()).unwrap() + LATER;
        record["timestamp"] = json!(humantime::format_rfc3339_micros(time).to_string());
    }
    log
}

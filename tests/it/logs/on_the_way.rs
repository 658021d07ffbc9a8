//! Events that the service handed to a stream, but that are not delivered when the logs end: they are on a slow path,
//! or wait for a program that is suspended or whose output is not read. That violates no rule (V9, V14).

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::support::{Client, Program, ServerProgram, wait_for_record};

/// The size of a pipe's buffer on Linux.
const PIPE_BYTES: usize = 1 << 16;
/// How long a stream may stall here, and, with what V14 allows a busy service, how long it may go unread.
const STALL: [&str; 2] = ["--stall", "1s"];
const PATIENCE: Duration = Duration::from_secs(6);

/// A client whose output is a full pipe that is not read. Dropping it kills the client.
struct Unread {
    child: Child,
    _output: io::PipeReader,
}

impl Unread {
    fn join(server: &ServerProgram, name: &str) -> Self {
        let (output, mut full) = io::pipe().unwrap();
        full.write_all(&[b'\n'; PIPE_BYTES]).unwrap();
        let url = format!("http://{}", server.address);
        let child = Command::new(env!("CARGO_BIN_EXE_chitchat"))
            .args(["join", name, "--plain", "--server", &url, "--log-dir"])
            .arg(server.log_folder())
            .stdin(Stdio::piped())
            .stdout(full)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, _output: output }
    }

    fn signal(&self, name: &str) {
        let kill = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.child.id())).status();
        assert!(kill.unwrap().success());
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A path that accepts everything from the service, but stops forwarding once it is stuck.
struct Path {
    address: SocketAddr,
    is_stuck: Arc<AtomicBool>,
}

impl Path {
    fn to(service: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, is_stuck) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let stuck = is_stuck.clone();
        thread::spawn(move || {
            for inner in listener.incoming() {
                let (inner, outer) = (inner.unwrap(), TcpStream::connect(service).unwrap());
                let (up, down) = (inner.try_clone().unwrap(), outer.try_clone().unwrap());
                let (stuck, never) = (stuck.clone(), Arc::new(AtomicBool::new(false)));
                thread::spawn(move || pass(up, outer, &never));
                thread::spawn(move || pass(down, inner, &stuck));
            }
        });
        Self { address, is_stuck }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, is_stuck: &AtomicBool) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if !is_stuck.load(Ordering::Relaxed) && to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

fn time(record: &serde_json::Value) -> SystemTime {
    humantime::parse_rfc3339(record["timestamp"].as_str().unwrap()).unwrap()
}

/// Lets alice talk until the service's log has continued for longer than a stream may go unread.
fn talk(server: &ServerProgram, alice: &mut Client) {
    let began = time(server.records().last().unwrap());
    for n in 0.. {
        alice.program.type_line(format!("number {n}"));
        alice.program.until(&format!("number {n}"));
        let now = time(server.records().last().unwrap());
        if now.duration_since(began).unwrap_or_default() > PATIENCE + Duration::from_secs(1) {
            break;
        }
    }
}

fn caveats_of_v14(server: &ServerProgram) -> (i64, String) {
    let mut arguments = vec!["verify".to_owned(), "--json".to_owned()];
    for log in std::fs::read_dir(server.log_folder()).unwrap() {
        let path = log.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            arguments.push(path.to_str().unwrap().to_owned());
        }
    }
    let ended = Program::run(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    let report: serde_json::Value = serde_json::from_str(&ended.output[0]).unwrap();
    let v14 = report["rules"].as_array().unwrap().iter().find(|rule| rule["rule"] == "V14").unwrap().clone();
    (v14["violated"].as_i64().unwrap(), v14.to_string())
}

/// The service notices none of the three, as it pings only every 300 seconds.
#[test]
fn events_on_a_slow_path_or_waiting_for_a_program_violate_nothing_v14() {
    let mut server = ServerProgram::start(&[&STALL[..], &["--ping", "300s", "--publish-rate", "0"]].concat());
    let mut alice = server.join("alice");
    let asleep = server.join("asleep");
    let path = Path::to(server.address);
    let far = server.join_by(path.address, "far", "--plain");
    far.program.until("Participant far joined");
    asleep.program.until("Participant far joined");
    let unread = Unread::join(&server, "unread");
    alice.program.until("Participant unread joined");
    asleep.program.signal("STOP");
    path.is_stuck.store(true, Ordering::Relaxed);
    talk(&server, &mut alice);
    server.stop("TERM").succeeded();
    // From here on nothing more is delivered.
    for client in [&asleep, &far] {
        client.program.signal("KILL");
    }
    unread.signal("KILL");
    alice.program.signal("KILL");
    let (violated, v14) = caveats_of_v14(&server);
    assert_eq!(violated, 0, "{v14}");
    for name in ["asleep", "far", "unread"] {
        let got = format!("{name} (p");
        let is_said = v14.split('"').any(|said| said.contains(&got) && said.contains("may be on its way"));
        assert!(is_said, "{name}: {v14}");
    }
}

/// A client that leaves while its output is not read does not deliver the last events before its leave.
#[test]
fn a_leave_while_the_output_is_not_read_violates_nothing_v9() {
    let server = ServerProgram::start(&["--ping", "300s"]);
    let mut alice = server.join("alice");
    let unread = Unread::join(&server, "unread");
    alice.program.until("Participant unread joined");
    for n in 0..10 {
        alice.program.type_line(format!("number {n}"));
    }
    alice.program.until("number 9");
    unread.signal("INT");
    alice.program.until("Participant unread left");
    let log = server.log_folder().join("client-unread.jsonl");
    wait_for_record(&log, |record| record["event"] == "leave_acknowledged");
    alice.quit().succeeded();
    drop(unread);
    // The logs are checked when the service is dropped.
}

//! What a client prints: nothing that acts on a terminal, and JSON for programs (S7).

use std::net::SocketAddr;

use bytes::Bytes;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::support::{Participant, Program, ServerProgram, records};

/// These clear the screen, change a color or the title, move the cursor, and hide or reverse text.
const HOSTILE: [&str; 8] = [
    "\u{1b}[2J\u{1b}[H",
    "\u{1b}]0;title\u{7}",
    "\u{9b}31m red",
    "back\u{8}\u{8}space\u{7f}",
    "two\nlines\r\n[1] forged: line",
    "\u{202e}turned\u{2066}round\u{200f}\u{061c}",
    "\u{2028}separated\u{2029}",
    "\0\u{85}",
];

/// By the Unicode standard: general category Cc, and the characters of UAX 9 and UAX 14 that reorder or break a line.
fn acts_on_terminal(c: char) -> bool {
    matches!(c, '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}')
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_acts_on_a_terminal_is_shown_raw_s7() {
    let server = ServerProgram::start(&[]);
    let plain = server.join("plain");
    let json = server.join_by(server.address, "json", "--json");
    let eve = Participant::join(server.address, "eve").await;
    plain.program.lines(3);
    json.program.lines(2);
    for text in HOSTILE {
        eve.publish(text).await;
        let (shown, object) = (plain.program.line(), json.program.line());
        for line in [&shown, &object] {
            assert!(!line.contains(acts_on_terminal), "{line:?}");
        }
        assert!(shown.contains("] eve: "), "{shown}");
        let object: Value = serde_json::from_str(&object).unwrap();
        assert_eq!(object["content"], text, "JSON gives it back byte for byte");
    }
    for log in [&server.log_folder().join("server.jsonl"), &plain.log, &json.log] {
        let lines = std::fs::read_to_string(log).unwrap();
        for line in lines.lines() {
            assert!(!line.contains(acts_on_terminal), "{}: {line:?}", log.display());
        }
        let records = records(log);
        for text in HOSTILE {
            assert!(records.iter().any(|record| record["content"] == text), "{}: {text:?}", log.display());
        }
    }
}

#[test]
fn json_has_the_fields_of_the_log_records_one_object_a_line() {
    let server = ServerProgram::start(&[]);
    let mut alice = server.join_by(server.address, "alice", "--json");
    let object = |line: String| serde_json::from_str::<Value>(&line).unwrap();
    let joined = object(alice.program.line());
    alice.program.type_line("hello");
    let message = object(alice.program.line());
    let mut bob = server.join("bob");
    object(alice.program.line());
    bob.quit();
    let left = object(alice.program.line());
    alice.quit().succeeded();

    let logged: Vec<_> =
        alice.records().into_iter().filter(|record| record["event"] == "event_delivered").collect();
    for (shown, logged) in [(&joined, &logged[0]), (&message, &logged[1]), (&left, &logged[3])] {
        let (shown, logged) = (shown.as_object().unwrap(), logged.as_object().unwrap());
        assert!(shown.keys().eq(logged.keys()), "{shown:?} and {logged:?}");
        for (field, value) in shown.iter().filter(|(field, _)| *field != "timestamp") {
            assert_eq!(value, &logged[field], "{field}");
        }
    }
    assert_eq!(
        (&joined["kind"], &joined["sequence"], &joined["logical_time"]),
        (&"joined".into(), &1.into(), &3.into())
    );
    assert_eq!((&message["kind"], &message["content"]), (&"message".into(), &"hello".into()));
    assert_eq!((&message["display_name"], &message["participant_id"]), (&"alice".into(), &"p1".into()));
    assert_eq!((&left["kind"], &left["reason"]), (&"left".into(), &"REQUESTED".into()));
    assert!(message["local_time"].as_u64() > message["logical_time"].as_u64());
}

/// A service that refuses every call with this grpc-message.
async fn rude_service(message: &'static str) -> (SocketAddr, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(socket).await.unwrap();
        while let Some(Ok((_, mut answering))) = connection.accept().await {
            let response = http::Response::builder()
                .header("content-type", "application/grpc")
                .header("grpc-status", "7")
                .header("grpc-message", message)
                .body(())
                .unwrap();
            let _: h2::SendStream<Bytes> = answering.send_response(response, true).unwrap();
        }
    });
    (address, AbortOnDropHandle::new(serving))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_text_from_a_service_is_not_shown_raw() {
    let (address, _serving) = rude_service("%1B[2Jgo%C2%9B31m away%E2%80%AE").await;
    let folder = tempfile::tempdir().unwrap();
    let (url, folder) = (format!("http://{address}"), folder.path().to_str().unwrap());
    let ended = Program::run(&["join", "--plain", "--name", "a", "--server", &url, "--log-dir", folder], &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.errors.contains("away") && !ended.errors.contains(acts_on_terminal), "{:?}", ended.errors);
}

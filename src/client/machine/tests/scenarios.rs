//! Whole scenarios, which the page's machine runs, too: `web/test/core/machine/scenarios.test.ts` reads the same
//! files (tests/vectors/README.md).

use serde_json::json;

use super::*;

macro_rules! scenarios {
    ($file:literal) => {
        serde_json::from_str::<Value>(include_str!(concat!("../../../../tests/vectors/scenarios/", $file)))
            .unwrap()
    };
}

/// The records that both machines write at the same moments.
const RECORDS: [&str; 9] = [
    "join_sent",
    "connected",
    "resumed",
    "publish_sent",
    "publish_acknowledged",
    "leave_sent",
    "leave_acknowledged",
    "event_delivered",
    "event_refused",
];

#[test]
fn joining_resuming_and_joining_anew() {
    run(&scenarios!("connection.json"));
}

#[test]
fn messages() {
    run(&scenarios!("outbox.json"));
}

#[test]
fn leaving() {
    run(&scenarios!("leaving.json"));
}

#[test]
fn frames() {
    run(&scenarios!("frames.json"));
}

/// A wrong expectation in a vector makes the test fail.
#[test]
fn a_wrong_vector_fails() {
    let mut steps = scenarios!("joined.json");
    steps[0]["expect"][1]["time"] = "2".into();
    let wrong = json!([{ "name": "wrong", "rules": [], "steps": steps }]);
    std::panic::catch_unwind(|| run(&wrong)).unwrap_err();
}

fn run(scenarios: &Value) {
    let joined = scenarios!("joined.json");
    for scenario in scenarios.as_array().unwrap() {
        let before = if scenario["joined"] == true { joined.as_array().unwrap() } else { &Vec::new() };
        let mut client = Client::with(1, Duration::ZERO, None);
        for (index, step) in before.iter().chain(scenario["steps"].as_array().unwrap()).enumerate() {
            let first = client.outputs.len();
            let was_over = client.machine.is_over();
            take(&mut client, step);
            let mut said: Vec<_> = client.outputs[first..].iter().filter_map(neutral).collect();
            if client.machine.is_over() && !was_over {
                said.push(json!({ "out": ended_by(&client.outputs[first..]) }));
            }
            let expected = step["expect"].as_array().cloned().unwrap_or_default();
            assert_eq!(said, expected, "{}: step {index}, {step}", scenario["name"]);
        }
    }
}

/// Takes a step of a scenario.
fn take(client: &mut Client, step: &Value) {
    let text = |field: &str| step[field].as_str().unwrap_or_else(|| panic!("{field} in {step}"));
    let number = |field: &str| text(field).parse::<u64>().unwrap();
    let refusal = || {
        let reason = Reason::all().find(|reason| reason.as_str() == text("reason")).unwrap();
        refusal(reason, step["retry_ms"].as_u64())
    };
    match text("do") {
        "join" => drop(client.feed(Input::Join)),
        "welcome" => {
            let me = person(text("id"), "alice");
            drop(client.welcome(pb::Welcome {
                session_token: format!("token of {}", text("id")),
                participant_id: text("id").into(),
                epoch: text("epoch").into(),
                participants: vec![me],
                ..welcome(number("head"), number("time"), step["resumed"] == true)
            }));
        }
        "event" => drop(client.event(event(step))),
        "caught_up" => drop(client.frame(Frame::CaughtUp(pb::CaughtUp { sequence: number("sequence") }))),
        "heartbeat" => drop(client.frame(Frame::Heartbeat(pb::Heartbeat { head_sequence: number("head") }))),
        "presence" => {
            let (participant_id, connected) = (text("id").into(), step["connected"] == true);
            drop(client.frame(Frame::Presence(pb::Presence { participant_id, connected })));
        }
        "wait" => drop(client.wait(step["ms"].as_u64().unwrap())),
        "lose" => drop(client.ended(lost("reset"))),
        "refuse" => drop(client.ended(refusal())),
        "end" => drop(client.end()),
        "submit" => drop(client.submit(text("id"), text("text"))),
        "acknowledge" => drop(client.published(Ok((number("sequence"), number("time"))))),
        "refuse_publish" => drop(client.published(Err(refusal()))),
        "leave" => drop(client.feed(Input::Leave)),
        "acknowledge_leave" => drop(client.left(Ok((number("sequence"), number("time"))))),
        other => panic!("{other}"),
    }
}

fn event(step: &Value) -> pb::Event {
    let text = |field: &str| step[field].as_str().unwrap_or_else(|| panic!("{field} in {step}"));
    let number = |field: &str| text(field).parse::<u64>().unwrap();
    let (name, time) = (text("name"), text("time"));
    let sentence = |what: &str| format!("Participant {name} {what} Chit Chat at logical time {time}");
    let (content, kind) = match text("kind") {
        "joined" => (sentence("joined"), pb::event::Kind::Joined(pb::Joined {})),
        "left" => {
            let reason = match text("reason") {
                "REQUESTED" => pb::LeaveReason::Requested,
                _ => pb::LeaveReason::Disconnected,
            };
            (sentence("left"), pb::event::Kind::Left(pb::Left { reason: reason.into() }))
        }
        _ => {
            let (sent_logical_time, seen_sequence) = (number("sent"), number("seen"));
            let message = pb::Message {
                message_id: text("message").into(),
                sent_logical_time,
                seen_sequence,
                sent_at: None,
            };
            (text("text").into(), pb::event::Kind::Message(message))
        }
    };
    pb::Event {
        sequence: number("sequence"),
        logical_time: number("time"),
        content,
        participant: Some(person(text("id"), name)),
        kind: Some(kind),
        ..Default::default()
    }
}

/// An output in the notation of the vectors; `None` if they leave it out.
fn neutral(output: &Output) -> Option<Value> {
    if let Output::NotJoined(error) = output {
        return Some(json!({ "out": error.reason().map(Reason::as_str) }));
    }
    if let Output::Call(call) = output {
        return neutral_call(call);
    }
    let mut record = record(output).filter(|record| RECORDS.contains(&record["event"].as_str().unwrap()))?;
    let fields = record.as_object_mut().unwrap();
    let name = fields.remove("event").unwrap();
    if name == "event_refused" {
        // The two machines word it differently.
        fields.remove("reason");
    }
    fields.values_mut().filter(|value| value.is_number()).for_each(|value| *value = value.to_string().into());
    fields.insert("record".into(), name);
    Some(record)
}

fn neutral_call(call: &DriverCall) -> Option<Value> {
    Some(match call {
        DriverCall::Open { request } => {
            let time = request.logical_time.to_string();
            match &request.resume {
                None => json!({ "call": "join", "time": time }),
                Some(resume) => {
                    let after = resume.after_sequence.to_string();
                    json!({ "call": "resume", "time": time, "epoch": resume.epoch, "after": after })
                }
            }
        }
        DriverCall::Publish { request, .. } => json!({
            "call": "publish",
            "id": request.message_id,
            "text": request.text,
            "time": request.logical_time.to_string(),
            "seen": request.seen_sequence.to_string(),
        }),
        DriverCall::Leave { request, .. } => json!({ "call": "leave", "time": request.logical_time.to_string() }),
        DriverCall::Dial { .. } | DriverCall::Close | DriverCall::List { .. } => return None,
    })
}

/// The reason why the client ended; null if it has left.
fn ended_by(outputs: &[Output]) -> Option<&'static str> {
    outputs.iter().find_map(|output| match output {
        Output::Update(Update::Ended(error)) => error.reason().map(Reason::as_str),
        _ => None,
    })
}

//! Calls to the lab's service, and faults for them.

use std::time::Duration;

use chitchat::server::{Config, LabConfig};
use chitchat::wire::pb;
use chitchat::wire::pb::join_response::Frame;
use prost::Message;
use tonic::Status;

use crate::support::{Participant, Server, Wire, soon};

pub const KEY: &str = "the-key-of-the-lab";
/// Longer than any test takes.
pub const LONG: Duration = Duration::from_secs(600);

pub async fn lab() -> Server {
    let lab = Some(LabConfig::default());
    Server::with(Config { lab, heartbeat: Duration::from_millis(20), ..Server::config() }).await
}

pub async fn call<R: Message + Default>(wire: &Wire, method: &str, request: &impl Message) -> Result<R, Status> {
    wire.call(&format!("/chitchat.v1.LabService/{method}"), &request.encode_to_vec()).await
}

pub fn wire_time(duration: Duration) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(duration).ok()
}

pub async fn set(wire: &Wire, name: &str, fault: pb::Fault, duration: Duration) -> pb::LabParticipant {
    let (display_name, fault, duration) = (name.to_owned(), Some(fault), wire_time(duration));
    let request = pb::SetFaultRequest { display_name, fault, disconnect: false, duration };
    call::<pb::SetFaultResponse>(wire, "SetFault", &request).await.unwrap().participant.unwrap()
}

pub async fn release(wire: &Wire, name: &str, count: u32) -> pb::LabParticipant {
    let request = pb::ReleaseHeldRequest { display_name: name.into(), count, ..Default::default() };
    call::<pb::ReleaseHeldResponse>(wire, "ReleaseHeld", &request).await.unwrap().participant.unwrap()
}

pub async fn clear(wire: &Wire) {
    let request = pb::ClearFaultsRequest::default();
    call::<pb::ClearFaultsResponse>(wire, "ClearFaults", &request).await.unwrap();
}

pub async fn list(wire: &Wire) -> pb::ListFaultsResponse {
    call(wire, "ListFaults", &pb::ListFaultsRequest {}).await.unwrap()
}

pub async fn listed(wire: &Wire, name: &str) -> pb::LabParticipant {
    let is_meant = |listed: &pb::LabParticipant| listed.participant.as_ref().unwrap().display_name == name;
    list(wire).await.participants.into_iter().find(is_meant).unwrap()
}

/// Waits until the lab holds this many publishes of a participant.
pub async fn holds(wire: &Wire, name: &str, publishes: u32) {
    soon(async {
        while listed(wire, name).await.publishes_held != publishes {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

pub fn hold() -> pb::Impairment {
    pb::Impairment { hold: true, ..Default::default() }
}

pub fn cut() -> pb::Impairment {
    pb::Impairment { cut: true, ..Default::default() }
}

pub fn delayed(delay: Duration, jitter: Duration) -> pb::Impairment {
    pb::Impairment { delay: wire_time(delay), jitter: wire_time(jitter), ..Default::default() }
}

pub fn deliveries(impairment: pb::Impairment) -> pb::Fault {
    pb::Fault { deliveries: Some(impairment), ..Default::default() }
}

pub fn publishes(impairment: pb::Impairment) -> pb::Fault {
    pb::Fault { publishes: Some(impairment), ..Default::default() }
}

/// The next notice of the lab in a stream; no event may come before it.
pub async fn next_notice(participant: &mut Participant) -> String {
    loop {
        match participant.frames.next().await.unwrap() {
            Frame::LabNotice(notice) => return notice.faults,
            Frame::Event(event) => panic!("event {} came first", event.sequence),
            _ => {}
        }
    }
}

/// Reads this many heartbeats, and fails if an event comes.
pub async fn beats(participant: &mut Participant, count: usize) {
    for _ in 0..count {
        let frame = participant.frames.next().await.unwrap();
        assert!(matches!(frame, Frame::Heartbeat(_) | Frame::CaughtUp(_)), "{frame:?}");
    }
}

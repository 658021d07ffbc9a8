//! A participant that speaks through a hand-made client.

use std::net::SocketAddr;

use chitchat::wire::pb;
use chitchat::wire::pb::join_response::Frame;
use tokio::task::JoinSet;
use tonic::Status;

use super::wire::{Frames, Window, Wire};

/// One participant, with its own connection and stream.
pub struct Participant {
    pub wire: Wire,
    pub frames: Frames,
    pub welcome: pb::Welcome,
}

impl Participant {
    /// Joins under a name, at logical time 1. The next event of the stream is the participant's own Joined.
    pub async fn join(address: SocketAddr, name: &str) -> Self {
        Self::join_with(address, name, Window::default()).await
    }

    pub async fn join_with(address: SocketAddr, name: &str, window: Window) -> Self {
        let request = pb::JoinRequest { display_name: name.into(), logical_time: 1, resume: None };
        Self::open(address, &request, window).await.unwrap()
    }

    /// Joins, and reads up to its own Joined event.
    pub async fn arrive(address: SocketAddr, name: &str) -> Self {
        let mut participant = Self::join(address, name).await;
        assert_eq!(participant.event().await.participant, participant.itself());
        participant
    }

    pub async fn open(address: SocketAddr, request: &pb::JoinRequest, window: Window) -> Result<Self, Status> {
        Self::over(Wire::connect_with(address, window).await, request).await
    }

    /// Opens a stream over a connection.
    pub async fn over(wire: Wire, request: &pb::JoinRequest) -> Result<Self, Status> {
        let mut frames = wire.join(request).await;
        match frames.next().await? {
            Frame::Welcome(welcome) => Ok(Self { wire, frames, welcome }),
            other => panic!("a stream begins with a Welcome, not with {other:?}"),
        }
    }

    /// A resume point after a position.
    pub fn resume_point(&self, after_sequence: u64) -> pb::ResumePoint {
        let pb::Welcome { session_token, epoch, .. } = self.welcome.clone();
        pb::ResumePoint { session_token, epoch, after_sequence, ..Default::default() }
    }

    /// Opens another stream of the same session, over another connection.
    pub async fn resume(&self, address: SocketAddr, after_sequence: u64) -> Result<Self, Status> {
        let resume = Some(self.resume_point(after_sequence));
        Self::open(address, &pb::JoinRequest { resume, ..Default::default() }, Window::default()).await
    }

    /// Its own entry in the list of participants.
    pub fn itself(&self) -> Option<pb::Participant> {
        let me = |participant: &&pb::Participant| participant.participant_id == self.welcome.participant_id;
        self.welcome.participants.iter().find(me).cloned()
    }

    /// A valid publish request, which a test may then spoil.
    pub fn request(&self, text: &str) -> pb::PublishRequest {
        pb::PublishRequest {
            session_token: self.welcome.session_token.clone(),
            text: text.into(),
            ..Default::default()
        }
    }

    pub async fn publish(&self, text: &str) -> pb::PublishResponse {
        self.wire.publish(&self.request(text)).await.unwrap()
    }

    /// Publishes this many messages, up to 64 at a time.
    pub async fn publish_many(&self, count: u64) {
        let mut publishing = JoinSet::new();
        for n in 0..count {
            if publishing.len() == 64 {
                publishing.join_next().await.unwrap().unwrap();
            }
            let (wire, request) = (self.wire.clone(), self.request(&format!("{n} of {count}")));
            publishing.spawn(async move { wire.publish(&request).await.unwrap() });
        }
        publishing.join_all().await;
    }

    pub async fn leave(&self) -> Result<pb::LeaveResponse, Status> {
        let session_token = self.welcome.session_token.clone();
        self.wire.leave(&pb::LeaveRequest { session_token, logical_time: 0 }).await
    }

    pub async fn list(&self, after_sequence: u64, page_size: u32) -> Result<pb::ListEventsResponse, Status> {
        let session_token = self.welcome.session_token.clone();
        self.wire.list(&pb::ListEventsRequest { session_token, after_sequence, page_size }).await
    }

    /// The next event.
    pub async fn event(&mut self) -> pb::Event {
        self.frames.event().await.unwrap()
    }

    /// The next event, which is a message with this content.
    pub async fn hears(&mut self, content: &str) -> pb::Event {
        let event = self.event().await;
        assert_eq!(event.content, content);
        event
    }

    /// The status that ends the stream, after any events.
    pub async fn end(&mut self) -> Status {
        loop {
            if let Err(status) = self.frames.next().await {
                return status;
            }
        }
    }
}

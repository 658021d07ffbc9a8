//! The lab's own RPCs: checks the key, parses, and changes the table.

use std::time::Duration;

use tokio::time::Instant;
use tonic::{Request, Response, Status, async_trait};

use super::control::Lab;
use super::faults::{
    Change, DELAY_MAX, FAULT_TIME_DEFAULT, FAULT_TIME_MAX, Fault, Impairment, WRITER_STOP_DEFAULT, WRITER_STOP_MAX,
};
use crate::chat::{Conversation, ParticipantId};
use crate::server::http::secret::Secret;
use crate::wire::service::lab_service_server::LabService;
use crate::wire::{self, LAB_KEY, Rejection, pb};

pub struct LabApi {
    lab: Lab,
    /// `None`: everybody may use the lab.
    key: Option<Secret>,
}

impl LabApi {
    /// Serves a lab to those who have the key, or with none to everybody.
    pub fn new(lab: Lab, key: Option<Secret>) -> Self {
        Self { lab, key }
    }

    fn check_key<T>(&self, request: &Request<T>) -> Result<(), Rejection> {
        let Some(key) = &self.key else { return Ok(()) };
        match request.metadata().get(LAB_KEY) {
            Some(guess) if key.is(guess.as_bytes()) => Ok(()),
            _ => Err(Rejection::LabKeyRequired),
        }
    }

    fn describe(&self, participant: ParticipantId, conversation: &Conversation) -> Option<pb::LabParticipant> {
        let member = conversation.member(participant)?;
        let table = self.lab.subscribe();
        let table = table.borrow();
        let active = table.get(participant).filter(|active| active.fault != Fault::default());
        Some(pb::LabParticipant {
            participant: Some(pb::Participant {
                participant_id: participant.to_string(),
                display_name: member.display_name.to_string(),
            }),
            fault: active.map(|active| fault_message(&active.fault)),
            ends_in: active.and_then(|active| remaining(active.ends_at)),
            deliveries_held: table.deliveries_held(participant, conversation.head()),
            publishes_held: u32::try_from(self.lab.queues().held(participant)).unwrap_or(u32::MAX),
            from_sequence: active.map_or(0, |active| active.from.0),
        })
    }

    fn set_fault(&self, request: &pb::SetFaultRequest) -> Result<pb::SetFaultResponse, Rejection> {
        let (participant, name) = self.lab.find(&request.display_name)?;
        let fault = request.fault.as_ref().map(parse_fault).transpose()?;
        if fault.unwrap_or_default() == Fault::default() && !request.disconnect {
            return Err(invalid("fault", "the request names no fault".into()));
        }
        let duration = parse_duration(request.duration, "duration", FAULT_TIME_DEFAULT, FAULT_TIME_MAX)?;
        if duration.is_zero() {
            return Err(invalid("duration", "a fault needs a time greater than zero".into()));
        }
        self.lab.set(participant, &name, Change { fault, disconnect: request.disconnect, duration });
        Ok(pb::SetFaultResponse { participant: self.describe(participant, &self.lab.conversation()) })
    }

    fn release_held(&self, request: &pb::ReleaseHeldRequest) -> Result<pb::ReleaseHeldResponse, Rejection> {
        let (participant, name) = self.lab.find(&request.display_name)?;
        self.lab.release(participant, &name, (request.count > 0).then_some(request.count));
        Ok(pb::ReleaseHeldResponse { participant: self.describe(participant, &self.lab.conversation()) })
    }

    fn clear_faults(&self, request: &pb::ClearFaultsRequest) -> Result<pb::ClearFaultsResponse, Rejection> {
        let participant = match request.display_name.as_str() {
            "" => None,
            name => Some(self.lab.find(name)?.0),
        };
        self.lab.clear(participant);
        Ok(pb::ClearFaultsResponse {})
    }

    fn stop_writer(&self, request: &pb::StopWriterRequest) -> Result<pb::StopWriterResponse, Rejection> {
        let duration = parse_duration(request.duration, "duration", WRITER_STOP_DEFAULT, WRITER_STOP_MAX)?;
        if duration.is_zero() {
            return Err(invalid("duration", "a stop needs a time greater than zero".into()));
        }
        self.lab.stop_writer(duration);
        Ok(pb::StopWriterResponse {})
    }

    fn list_faults(&self) -> pb::ListFaultsResponse {
        let conversation = self.lab.conversation();
        let participants = conversation
            .roster()
            .filter_map(|(participant, _)| self.describe(participant, &conversation))
            .collect();
        let stopped = self.lab.subscribe().borrow().writer_stopped_until();
        pb::ListFaultsResponse { participants, writer_stopped_for: stopped.and_then(remaining) }
    }
}

fn invalid(field: &'static str, why: String) -> Rejection {
    Rejection::FaultInvalid { field, why }
}

fn remaining(until: Instant) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(until.saturating_duration_since(Instant::now())).ok()
}

fn parse_duration(
    duration: Option<prost_types::Duration>,
    field: &'static str,
    default: Duration,
    longest: Duration,
) -> Result<Duration, Rejection> {
    let Some(duration) = duration else { return Ok(default) };
    let parsed = wire::duration(duration).filter(|duration| *duration <= longest);
    parsed.ok_or_else(|| invalid(field, format!("{field} should be from 0 to {} s", longest.as_secs())))
}

fn parse_fault(fault: &pb::Fault) -> Result<Fault, Rejection> {
    let parse = |impairment: &Option<pb::Impairment>| -> Result<Impairment, Rejection> {
        let Some(impairment) = impairment else { return Ok(Impairment::default()) };
        Ok(Impairment {
            hold: impairment.hold,
            cut: impairment.cut,
            delay: parse_duration(impairment.delay, "delay", Duration::ZERO, DELAY_MAX)?,
            jitter: parse_duration(impairment.jitter, "jitter", Duration::ZERO, DELAY_MAX)?,
        })
    };
    Ok(Fault { deliveries: parse(&fault.deliveries)?, publishes: parse(&fault.publishes)?, pause: fault.pause })
}

fn fault_message(fault: &Fault) -> pb::Fault {
    let message = |impairment: &Impairment| {
        let duration = |duration: Duration| {
            (!duration.is_zero()).then(|| prost_types::Duration::try_from(duration).unwrap_or_default())
        };
        let present = *impairment != Impairment::default();
        present.then(|| pb::Impairment {
            hold: impairment.hold,
            cut: impairment.cut,
            delay: duration(impairment.delay),
            jitter: duration(impairment.jitter),
        })
    };
    pb::Fault { deliveries: message(&fault.deliveries), publishes: message(&fault.publishes), pause: fault.pause }
}

#[async_trait]
impl LabService for LabApi {
    async fn list_faults(
        &self,
        request: Request<pb::ListFaultsRequest>,
    ) -> Result<Response<pb::ListFaultsResponse>, Status> {
        self.check_key(&request)?;
        Ok(Response::new(self.list_faults()))
    }

    async fn set_fault(
        &self,
        request: Request<pb::SetFaultRequest>,
    ) -> Result<Response<pb::SetFaultResponse>, Status> {
        self.check_key(&request)?;
        Ok(Response::new(self.set_fault(request.get_ref())?))
    }

    async fn release_held(
        &self,
        request: Request<pb::ReleaseHeldRequest>,
    ) -> Result<Response<pb::ReleaseHeldResponse>, Status> {
        self.check_key(&request)?;
        Ok(Response::new(self.release_held(request.get_ref())?))
    }

    async fn clear_faults(
        &self,
        request: Request<pb::ClearFaultsRequest>,
    ) -> Result<Response<pb::ClearFaultsResponse>, Status> {
        self.check_key(&request)?;
        Ok(Response::new(self.clear_faults(request.get_ref())?))
    }

    async fn stop_writer(
        &self,
        request: Request<pb::StopWriterRequest>,
    ) -> Result<Response<pb::StopWriterResponse>, Status> {
        self.check_key(&request)?;
        Ok(Response::new(self.stop_writer(request.get_ref())?))
    }
}

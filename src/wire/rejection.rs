//! The one place where errors become a gRPC status, and a status becomes a reason again (specification, chapter 7).

use std::collections::HashMap;
use std::time::Duration;

use prost::Message;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, RetryInfo, StatusExt};

use super::convert::duration;
pub use super::pb::ErrorReason as Reason;
use crate::chat::{MESSAGE_ID_BYTES_MAX, NAME_CHARACTERS_MAX, Refusal, TEXT_CHARACTERS_MAX};

/// The domain of every `google.rpc.ErrorInfo` of this service.
pub const DOMAIN: &str = "chitchat";

/// The delay before a retry if nothing better is known.
const RETRY_SOON: Duration = Duration::from_secs(1);

/// Every reason for which the service refuses a request or ends a stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the message says what each field is")]
pub enum Rejection {
    /// The conversation refused the command.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Bytes that do not decode, or a message without a required part.
    #[error("malformed request: {0}")]
    Malformed(String),
    /// A resume against another journal.
    #[error("this is a different conversation now: its epoch is {epoch}")]
    EpochChanged { epoch: String },
    /// The access secret is missing or wrong.
    #[error("the access secret that this service asks for is missing or wrong")]
    SecretRequired,
    /// The request addresses the service by a name that it does not answer to.
    #[error("this service does not answer to that host name; see --allow-host")]
    HostNotAllowed,
    /// A page from an origin that is not allowed.
    #[error("pages from that origin may not use this service; see --allow-origin")]
    OriginNotAllowed,
    /// Too many requests in too short a time.
    #[error("too fast; try again in {} ms", .retry_after.as_millis().max(1))]
    RateLimited { retry_after: Duration },
    /// An address has used up its memory budget.
    #[error(
        "your address holds too much of the service's memory; try again in {} ms; see --memory-per-address-max",
        .retry_after.as_millis()
    )]
    MemoryUsedUp { retry_after: Duration },
    /// The limit on active participants has been reached.
    #[error("the conversation is full: at most {participants_max} participants at a time")]
    ConversationFull { participants_max: usize },
    /// The limit on active participants from one address has been reached.
    #[error(
        "your address has reached its limit: at most {participants_per_address_max} participants at a time; \
         see --participants-per-address-max"
    )]
    ShareTaken { participants_per_address_max: usize },
    /// Nothing was read from the stream for the stall limit.
    #[error("nothing was read from the stream for {} s", .stall.as_secs_f32())]
    SlowConsumer { stall: Duration },
    /// A newer stream of the same session took over.
    #[error("another stream of this session took over")]
    Replaced,
    /// The service is stopping.
    #[error("the service is shutting down")]
    ShuttingDown,
    /// The journal cannot be written or read now. The request may or may not take effect: try again, with the
    /// same message id.
    #[error("the journal is unavailable; try again")]
    JournalUnavailable,
    /// The lab already holds its maximum of publishes for the participant.
    #[error("the lab already holds {publishes_held_max} publishes of this participant; try again later")]
    HeldByLab { publishes_held_max: usize },
    /// The lab broke the stream.
    #[error("the lab broke this stream")]
    LabDisconnected,
    /// The lab's key is missing or wrong.
    #[error("the lab's key is missing or wrong: `chitchat lab` prints it when it starts")]
    LabKeyRequired,
    /// No active participant has that name.
    #[error("no active participant is called {0}")]
    NameUnknown(String),
    /// No active participant has the name of the person who is to take part in a scenario.
    #[error("no active participant is called {0}")]
    PersonUnknown(String),
    /// No companion has that name.
    #[error("no companion is called {0}")]
    CompanionUnknown(String),
    /// A fault that cannot be set.
    #[error("{why}")]
    FaultInvalid { field: &'static str, why: String },
    /// The limit on companions has been reached.
    #[error("the limit on companions is reached: {companions_max}; see --companions-max")]
    CompanionsFull { companions_max: usize },
    /// A companion could not join.
    #[error("the companion cannot take part: {0}")]
    CompanionFailed(String),
    /// No scenario has that name.
    #[error("there is no scenario called {0}")]
    ScenarioUnknown(String),
}

impl Reason {
    /// The prefix of the names in the generated enum, which an `ErrorInfo` leaves out.
    const PREFIX: &str = "ERROR_REASON_";

    /// Every reason that a refusal can have, in the order of the specification's chapter 7.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..).map_while(|number| Self::try_from(number).ok())
    }

    /// The name in an `ErrorInfo` and in log records, such as `TEXT_TOO_LONG`.
    pub fn as_str(self) -> &'static str {
        let name = self.as_str_name();
        name.strip_prefix(Self::PREFIX).unwrap_or(name)
    }

    /// Its gRPC status code.
    pub fn code(self) -> Code {
        match self {
            Self::TextEmpty | Self::TextTooLong | Self::NameInvalid | Self::MessageIdTooLong | Self::Malformed => {
                Code::InvalidArgument
            }
            Self::NameTaken => Code::AlreadyExists,
            Self::SessionUnknown | Self::SecretRequired => Code::Unauthenticated,
            Self::HostNotAllowed | Self::OriginNotAllowed | Self::LabKeyRequired => Code::PermissionDenied,
            Self::EpochChanged => Code::FailedPrecondition,
            Self::ClockOutOfRange | Self::SequenceOutOfRange => Code::OutOfRange,
            Self::RateLimited | Self::ConversationFull | Self::SlowConsumer | Self::CompanionsFull => {
                Code::ResourceExhausted
            }
            Self::Replaced => Code::Aborted,
            Self::ShuttingDown | Self::JournalUnavailable | Self::LabDisconnected | Self::CompanionFailed => {
                Code::Unavailable
            }
            Self::NameUnknown | Self::ScenarioUnknown => Code::NotFound,
            Self::FaultInvalid => Code::InvalidArgument,
            Self::Unspecified => Code::Unknown,
        }
    }

    /// The reason that a status of this service carries. None for a reason that this program does not know.
    pub fn of(status: &Status) -> Option<Self> {
        let info = status.get_details_error_info().filter(|info| info.domain == DOMAIN)?;
        Self::all().find(|reason| reason.as_str() == info.reason)
    }
}

/// How long the service asks the caller to wait before it tries again.
pub fn retry_delay(status: &Status) -> Option<Duration> {
    // Decoded by hand, since the library's conversion panics on some delays.
    let details = tonic_types::pb::Status::decode(status.details()).ok()?.details;
    let info = details.iter().find(|detail| detail.type_url == RetryInfo::TYPE_URL)?;
    tonic_types::pb::RetryInfo::decode(&*info.value).ok()?.retry_delay.and_then(duration)
}

impl Rejection {
    /// Its reason: the stable name that clients see.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Refused(Refusal::TextEmpty) => Reason::TextEmpty,
            Self::Refused(Refusal::TextTooLong { .. }) => Reason::TextTooLong,
            Self::Refused(Refusal::NameInvalid(_)) => Reason::NameInvalid,
            Self::Refused(Refusal::NameTaken) => Reason::NameTaken,
            Self::Refused(Refusal::MessageIdTooLong { .. }) => Reason::MessageIdTooLong,
            Self::Refused(Refusal::SessionUnknown) => Reason::SessionUnknown,
            Self::Refused(Refusal::ClockOutOfRange { .. }) => Reason::ClockOutOfRange,
            Self::Refused(Refusal::SequenceOutOfRange { .. }) => Reason::SequenceOutOfRange,
            Self::Malformed(_) => Reason::Malformed,
            Self::EpochChanged { .. } => Reason::EpochChanged,
            Self::SecretRequired => Reason::SecretRequired,
            Self::HostNotAllowed => Reason::HostNotAllowed,
            Self::OriginNotAllowed => Reason::OriginNotAllowed,
            Self::RateLimited { .. } | Self::MemoryUsedUp { .. } | Self::HeldByLab { .. } => Reason::RateLimited,
            Self::ConversationFull { .. } | Self::ShareTaken { .. } => Reason::ConversationFull,
            Self::SlowConsumer { .. } => Reason::SlowConsumer,
            Self::Replaced => Reason::Replaced,
            Self::ShuttingDown => Reason::ShuttingDown,
            Self::JournalUnavailable => Reason::JournalUnavailable,
            Self::LabDisconnected => Reason::LabDisconnected,
            Self::LabKeyRequired => Reason::LabKeyRequired,
            Self::NameUnknown(_) | Self::PersonUnknown(_) | Self::CompanionUnknown(_) => Reason::NameUnknown,
            Self::FaultInvalid { .. } => Reason::FaultInvalid,
            Self::CompanionsFull { .. } => Reason::CompanionsFull,
            Self::CompanionFailed(_) => Reason::CompanionFailed,
            Self::ScenarioUnknown(_) => Reason::ScenarioUnknown,
        }
    }

    /// The figures for the metadata of the `ErrorInfo`.
    fn figures(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Refused(Refusal::TextTooLong { characters }) => {
                vec![("characters", characters.to_string()), ("characters_max", TEXT_CHARACTERS_MAX.to_string())]
            }
            Self::Refused(Refusal::NameInvalid(_)) => vec![("characters_max", NAME_CHARACTERS_MAX.to_string())],
            Self::Refused(Refusal::MessageIdTooLong { bytes }) => {
                vec![("bytes", bytes.to_string()), ("bytes_max", MESSAGE_ID_BYTES_MAX.to_string())]
            }
            Self::Refused(Refusal::ClockOutOfRange { time, latest }) => {
                vec![("logical_time", time.to_string()), ("logical_time_max", latest.to_string())]
            }
            Self::Refused(Refusal::SequenceOutOfRange { sequence, head }) => {
                vec![("sequence", sequence.to_string()), ("head_sequence", head.to_string())]
            }
            Self::EpochChanged { epoch } => vec![("epoch", epoch.clone())],
            Self::ConversationFull { participants_max } => {
                vec![("participants_max", participants_max.to_string())]
            }
            Self::ShareTaken { participants_per_address_max } => {
                vec![("participants_per_address_max", participants_per_address_max.to_string())]
            }
            Self::HeldByLab { publishes_held_max } => {
                vec![("publishes_held_max", publishes_held_max.to_string())]
            }
            Self::SlowConsumer { stall } => vec![("stall_milliseconds", stall.as_millis().to_string())],
            Self::CompanionsFull { companions_max } => vec![("companions_max", companions_max.to_string())],
            _ => Vec::new(),
        }
    }

    /// The path of the request field that is at fault, if there is one.
    fn field(&self) -> Option<&'static str> {
        match self {
            Self::Refused(Refusal::TextEmpty | Refusal::TextTooLong { .. }) => Some("text"),
            Self::Refused(Refusal::NameInvalid(_) | Refusal::NameTaken) => Some("display_name"),
            Self::Refused(Refusal::MessageIdTooLong { .. }) => Some("message_id"),
            Self::Refused(Refusal::ClockOutOfRange { .. }) => Some("logical_time"),
            Self::NameUnknown(_) | Self::CompanionUnknown(_) => Some("display_name"),
            Self::PersonUnknown(_) => Some("person"),
            Self::FaultInvalid { field, .. } => Some(field),
            Self::ScenarioUnknown(_) => Some("name"),
            _ => None,
        }
    }

    /// How long to wait before trying again; `None` if that makes no sense.
    pub fn retry_delay(&self) -> Option<Duration> {
        match self {
            Self::ConversationFull { .. }
            | Self::ShareTaken { .. }
            | Self::JournalUnavailable
            | Self::HeldByLab { .. }
            | Self::CompanionFailed(_)
            | Self::ShuttingDown => Some(RETRY_SOON),
            Self::SlowConsumer { .. } | Self::LabDisconnected => Some(Duration::ZERO),
            Self::RateLimited { retry_after } | Self::MemoryUsedUp { retry_after } => Some(*retry_after),
            _ => None,
        }
    }
}

impl From<Rejection> for Status {
    fn from(rejection: Rejection) -> Self {
        let (reason, message) = (rejection.reason(), rejection.to_string());
        let figures: HashMap<String, String> =
            rejection.figures().into_iter().map(|(name, figure)| (name.to_owned(), figure)).collect();
        let mut details = ErrorDetails::with_error_info(reason.as_str(), DOMAIN, figures);
        if let Some(field) = rejection.field() {
            details.add_bad_request_violation(field, message.clone());
        }
        if let Some(delay) = rejection.retry_delay() {
            details.set_retry_info(Some(delay));
        }
        Status::with_error_details(reason.code(), message, details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{LogicalTime, NameFault, Sequence};

    #[test]
    fn the_reason_and_the_figures_can_be_read_from_the_status() {
        let (time, latest) = (LogicalTime(9), LogicalTime(8));
        let (sequence, head) = (Sequence(2), Sequence(1));
        for rejection in [
            Rejection::Refused(Refusal::TextEmpty),
            Rejection::Refused(Refusal::TextTooLong { characters: 129 }),
            Rejection::Refused(Refusal::NameInvalid(NameFault::CombiningMarks)),
            Rejection::Refused(Refusal::NameTaken),
            Rejection::Refused(Refusal::MessageIdTooLong { bytes: 65 }),
            Rejection::Refused(Refusal::SessionUnknown),
            Rejection::Refused(Refusal::ClockOutOfRange { time, latest }),
            Rejection::Refused(Refusal::SequenceOutOfRange { sequence, head }),
            Rejection::Malformed("no".into()),
            Rejection::EpochChanged { epoch: "e".into() },
            Rejection::SecretRequired,
            Rejection::HostNotAllowed,
            Rejection::OriginNotAllowed,
            Rejection::RateLimited { retry_after: Duration::from_millis(250) },
            Rejection::MemoryUsedUp { retry_after: Duration::from_secs(1) },
            Rejection::ConversationFull { participants_max: 3 },
            Rejection::ShareTaken { participants_per_address_max: 2 },
            Rejection::SlowConsumer { stall: Duration::from_secs(30) },
            Rejection::Replaced,
            Rejection::ShuttingDown,
            Rejection::JournalUnavailable,
            Rejection::HeldByLab { publishes_held_max: 16 },
            Rejection::LabDisconnected,
            Rejection::LabKeyRequired,
            Rejection::NameUnknown("nobody".into()),
            Rejection::PersonUnknown("nobody".into()),
            Rejection::CompanionUnknown("nobody".into()),
            Rejection::FaultInvalid { field: "duration", why: "too long".into() },
            Rejection::CompanionsFull { companions_max: 16 },
            Rejection::CompanionFailed("no".into()),
            Rejection::ScenarioUnknown("no".into()),
        ] {
            let status = Status::from(rejection.clone());
            assert_eq!(Reason::of(&status), Some(rejection.reason()), "{rejection:?}");
            assert_eq!(status.code(), rejection.reason().code(), "{rejection:?}");
            let metadata = status.get_details_error_info().expect("has an ErrorInfo").metadata;
            for (name, figure) in rejection.figures() {
                assert_eq!(metadata.get(name), Some(&figure), "{rejection:?}");
            }
        }
    }
}

//! Reads a stream without decoding it: where gRPC messages begin and end, and the few fields that every delivery is
//! checked by. Ten thousand readers share two processors with the service, so a delivery must cost next to nothing.

use bytes::{Buf, Bytes, BytesMut};

use crate::wire::pb;

/// What precedes a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;
/// The largest message that is read: what gRPC clients accept unless they are configured otherwise.
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

// Wire types of protobuf.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;
const FIXED32: u64 = 5;

// Field numbers of `proto/chitchat/v1/chitchat.proto`; a test holds them to the generated code.
const RESPONSE_WELCOME: u64 = 1;
const RESPONSE_EVENT: u64 = 2;
const WELCOME_SESSION_TOKEN: u64 = 1;
const WELCOME_PARTICIPANT_ID: u64 = 2;
const WELCOME_HEAD_SEQUENCE: u64 = 4;
const WELCOME_LOGICAL_TIME: u64 = 5;
const EVENT_SEQUENCE: u64 = 1;
const EVENT_MESSAGE: u64 = 8;
const MESSAGE_ID: u64 = 1;

/// Bytes that cannot be a stream of this service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the service sent bytes that are not a frame of a stream")]
pub struct Malformed;

/// Cuts a stream's bytes into messages. One that lies in a single chunk is not copied.
#[derive(Debug, Default)]
pub struct Messages {
    chunk: Bytes,
    /// The beginning of a message that the chunk does not have in full.
    begun: BytesMut,
}

impl Messages {
    /// Takes the next chunk. All complete messages of the last one must have been taken.
    pub fn push(&mut self, chunk: Bytes) {
        if self.begun.is_empty() {
            self.chunk = chunk;
        } else {
            self.begun.extend_from_slice(&chunk);
        }
    }

    /// The next complete message, without its prefix.
    ///
    /// # Errors
    /// [`Malformed`]: it is compressed, although that was not requested, or larger than 4 MiB.
    pub fn next_message(&mut self) -> Result<Option<Bytes>, Malformed> {
        if !self.begun.is_empty() {
            let Some(length) = complete(&self.begun)? else { return Ok(None) };
            // The rest becomes a chunk again, so a large buffer is not kept.
            let mut message = std::mem::take(&mut self.begun).freeze();
            self.chunk = message.split_off(PREFIX_BYTES + length);
            message.advance(PREFIX_BYTES);
            return Ok(Some(message));
        }
        if let Some(length) = complete(&self.chunk)? {
            let mut message = self.chunk.split_to(PREFIX_BYTES + length);
            message.advance(PREFIX_BYTES);
            return Ok(Some(message));
        }
        self.begun.extend_from_slice(&std::mem::take(&mut self.chunk));
        Ok(None)
    }
}

/// The length of the message with which these bytes begin, if they have all of it.
fn complete(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let Some((prefix, rest)) = bytes.split_first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
    let [0, length @ ..] = *prefix else { return Err(Malformed) };
    let length = u32::from_be_bytes(length) as usize;
    if length > MESSAGE_BYTES_MAX {
        return Err(Malformed);
    }
    Ok((rest.len() >= length).then_some(length))
}

/// A frame of a stream, as far as a reader has to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scanned<'a> {
    /// The first frame.
    Welcome(Welcome<'a>),
    /// An event: its sequence, and its message id if it is a message.
    Event {
        /// Its position in the conversation.
        sequence: u64,
        /// Empty for a message without an id; none for a join or a leave.
        message_id: Option<&'a [u8]>,
    },
    /// Anything else.
    Other,
}

/// The parts of a Welcome that a participant needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Welcome<'a> {
    /// The session's secret.
    pub session_token: &'a [u8],
    /// Which participant it is.
    pub participant_id: &'a [u8],
    /// The newest event.
    pub head_sequence: u64,
    /// Its logical time.
    pub logical_time: u64,
}

/// Scans one frame of a stream.
pub fn scan(frame: &[u8]) -> Result<Scanned<'_>, Malformed> {
    let mut scanned = Scanned::Other;
    for_each_field(frame, |number, value| {
        match (number, value) {
            (RESPONSE_EVENT, Value::Bytes(event)) => scanned = scan_event(event)?,
            (RESPONSE_WELCOME, Value::Bytes(welcome)) => scanned = Scanned::Welcome(scan_welcome(welcome)?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(scanned)
}

fn scan_event(event: &[u8]) -> Result<Scanned<'_>, Malformed> {
    let (mut sequence, mut message_id) = (0, None);
    for_each_field(event, |number, value| {
        match (number, value) {
            (EVENT_SEQUENCE, Value::Number(number)) => sequence = number,
            (EVENT_MESSAGE, Value::Bytes(message)) => {
                let mut id = &[][..];
                for_each_field(message, |number, value| {
                    if let (MESSAGE_ID, Value::Bytes(bytes)) = (number, value) {
                        id = bytes;
                    }
                    Ok(())
                })?;
                message_id = Some(id);
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(Scanned::Event { sequence, message_id })
}

fn scan_welcome(bytes: &[u8]) -> Result<Welcome<'_>, Malformed> {
    let mut welcome = Welcome::default();
    for_each_field(bytes, |number, value| {
        match (number, value) {
            (WELCOME_SESSION_TOKEN, Value::Bytes(token)) => welcome.session_token = token,
            (WELCOME_PARTICIPANT_ID, Value::Bytes(id)) => welcome.participant_id = id,
            (WELCOME_HEAD_SEQUENCE, Value::Number(head)) => welcome.head_sequence = head,
            (WELCOME_LOGICAL_TIME, Value::Number(time)) => welcome.logical_time = time,
            _ => {}
        }
        Ok(())
    })?;
    Ok(welcome)
}

/// A whole frame, for the sample that is compared in full.
pub fn decode_event(frame: &[u8]) -> Result<pb::Event, Malformed> {
    let response: pb::JoinResponse = prost::Message::decode(frame).map_err(|_| Malformed)?;
    match response.frame {
        Some(pb::join_response::Frame::Event(event)) => Ok(event),
        _ => Err(Malformed),
    }
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// A fixed width, which no field here uses.
    Fixed,
}

#[inline]
fn for_each_field<'a>(
    mut bytes: &'a [u8],
    mut see: impl FnMut(u64, Value<'a>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let value = match key & 7 {
            VARINT => Value::Number(varint(&mut bytes)?),
            LENGTH_DELIMITED => {
                let length = varint(&mut bytes)?;
                Value::Bytes(take(&mut bytes, length)?)
            }
            FIXED64 => take(&mut bytes, 8).map(|_| Value::Fixed)?,
            FIXED32 => take(&mut bytes, 4).map(|_| Value::Fixed)?,
            _ => return Err(Malformed),
        };
        see(key >> 3, value)?;
    }
    Ok(())
}

#[inline]
fn take<'a>(bytes: &mut &'a [u8], length: u64) -> Result<&'a [u8], Malformed> {
    let length = usize::try_from(length).map_err(|_| Malformed)?;
    let (taken, rest) = bytes.split_at_checked(length).ok_or(Malformed)?;
    *bytes = rest;
    Ok(taken)
}

#[inline]
fn varint(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(Malformed)?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(Malformed)
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::wire::pb::event::Kind;
    use crate::wire::pb::join_response::Frame;

    fn encoded(frame: Frame) -> Vec<u8> {
        pb::JoinResponse { frame: Some(frame) }.encode_to_vec()
    }

    fn event(sequence: u64, kind: Kind) -> pb::Event {
        pb::Event {
            sequence,
            logical_time: u64::MAX,
            content: "æøå".repeat(60),
            participant: Some(pb::Participant { participant_id: "p1".into(), display_name: "a".into() }),
            recorded_at: Some(prost_types::Timestamp { seconds: -1, nanos: 5 }),
            kind: Some(kind),
            chain_hash: vec![7; 32],
        }
    }

    /// The scan sees what the generated code has encoded.
    #[test]
    fn the_scan_agrees_with_the_generated_code() {
        let message =
            pb::Message { message_id: "id".into(), sent_logical_time: 300, seen_sequence: 7, sent_at: None };
        for sequence in [1, 127, 128, u64::MAX] {
            let frame = encoded(Frame::Event(event(sequence, Kind::Message(message.clone()))));
            assert_eq!(scan(&frame), Ok(Scanned::Event { sequence, message_id: Some(b"id") }));
            assert_eq!(decode_event(&frame), Ok(event(sequence, Kind::Message(message.clone()))));
        }
        let frame = encoded(Frame::Event(event(5, Kind::Joined(pb::Joined {}))));
        assert_eq!(scan(&frame), Ok(Scanned::Event { sequence: 5, message_id: None }));
        let frame = encoded(Frame::Event(event(5, Kind::Message(pb::Message::default()))));
        assert_eq!(scan(&frame), Ok(Scanned::Event { sequence: 5, message_id: Some(b"") }));

        let participants = vec![pb::Participant { participant_id: "p2".into(), display_name: "b".into() }; 3];
        let welcome = pb::Welcome {
            session_token: "secret".into(),
            participant_id: "p9".into(),
            epoch: "e".into(),
            head_sequence: 9,
            logical_time: 21,
            participants,
            ..Default::default()
        };
        let frame = encoded(Frame::Welcome(welcome));
        let expected =
            Welcome { session_token: b"secret", participant_id: b"p9", head_sequence: 9, logical_time: 21 };
        assert_eq!(scan(&frame), Ok(Scanned::Welcome(expected)));
        for frame in [
            Frame::CaughtUp(pb::CaughtUp { sequence: 3 }),
            Frame::Heartbeat(pb::Heartbeat { head_sequence: 3 }),
            Frame::Presence(pb::Presence { participant_id: "p1".into(), connected: true }),
        ] {
            assert_eq!(scan(&encoded(frame)), Ok(Scanned::Other));
        }
    }

    #[test]
    fn a_truncated_frame_is_malformed() {
        let frame = encoded(Frame::Event(event(300, Kind::Joined(pb::Joined {}))));
        for length in 1..frame.len() {
            assert_eq!(scan(&frame[..length]), Err(Malformed), "{length}");
        }
        assert_eq!(scan(&[0xff; 12]), Err(Malformed));
    }

    /// The messages do not depend on how the stream is cut into chunks.
    #[test]
    fn messages_are_found_wherever_the_stream_is_cut() {
        let sent: Vec<Vec<u8>> = [0, 1, 200, 3].map(|length| vec![length as u8; length]).into();
        let mut stream = Vec::new();
        for message in &sent {
            stream.push(0);
            stream.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
            stream.extend(message);
        }
        for size in 1..=stream.len() {
            let (mut messages, mut found) = (Messages::default(), Vec::new());
            for chunk in stream.chunks(size) {
                messages.push(Bytes::copy_from_slice(chunk));
                while let Some(message) = messages.next_message().unwrap() {
                    found.push(message.to_vec());
                }
            }
            assert_eq!(found, sent, "chunks of {size}");
        }
        for wrong in [[1, 0, 0, 0, 0], [0, 255, 0, 0, 0]] {
            let mut messages = Messages::default();
            messages.push(Bytes::copy_from_slice(&wrong));
            assert_eq!(messages.next_message(), Err(Malformed));
        }
    }
}

//! The server's codec. Unlike tonic's own, it answers bytes that do not decode with INVALID_ARGUMENT, and reserves
//! little memory for a stream.

use std::marker::PhantomData;

use bytes::Buf;
use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::Rejection;

/// The largest request, in bytes. A valid one is well below 2 KiB.
pub const REQUEST_BYTES_MAX: usize = 4 * 1024;

/// How many bytes of a request tonic may buffer before the codec sees it. More than [`REQUEST_BYTES_MAX`], so that a
/// request that is somewhat too large gets our answer, with a reason and figures.
pub const REQUEST_BYTES_BUFFERED_MAX: usize = 4 * REQUEST_BYTES_MAX;

/// How many bytes tonic reserves for a stream at first; an event is rarely longer.
const BUFFER_BYTES: usize = 512;
/// How many bytes of ready messages tonic gathers into one DATA frame.
const YIELD_BYTES: usize = 32 * 1024;

/// Encodes `T` and decodes `U`.
#[derive(Debug)]
pub struct ServerCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for ServerCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T: Message + 'static, U: Message + Default + Send + 'static> Codec for ServerCodec<T, U> {
    type Encode = T;
    type Decode = U;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self::default()
    }

    fn decoder(&mut self) -> Self {
        Self::default()
    }
}

impl<T: Message, U> Encoder for ServerCodec<T, U> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        // Exactly as much as needed: a buffer that doubles could hold twice what is charged for an unread page.
        buffer.reserve(item.encoded_len());
        // An EncodeBuf grows, and lack of space is the only possible error.
        item.encode(buffer).expect("a growing buffer has room");
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
    }
}

impl<T, U: Message + Default> Decoder for ServerCodec<T, U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        if bytes.remaining() > REQUEST_BYTES_MAX {
            let why =
                format!("a request has at most {REQUEST_BYTES_MAX} bytes, and this one has {}", bytes.remaining());
            return Err(Rejection::Malformed(why).into());
        }
        U::decode(bytes).map(Some).map_err(|error| Rejection::Malformed(error.to_string()).into())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
    }
}

//! The boundary to the network: generated code, conversion to and from the domain, errors to status, the codec, and the
//! frames of a stream, encoded once for everybody.

pub mod codec;
mod convert;
mod frame;
mod rejection;

pub use convert::{duration, time};
pub use frame::{Frame, PARTICIPANTS_MAX, WelcomeParts};
pub use rejection::{DOMAIN, Reason, Rejection, retry_delay};

/// The metadata that carries the lab's key.
pub const LAB_KEY: &str = "lab-key";

/// The messages and the client of `proto/chitchat/v1/chitchat.proto`, as generated.
#[allow(missing_docs)]
pub mod pb {
    tonic::include_proto!("chitchat.v1");
}

/// The server of the same service, as generated.
#[allow(missing_docs)]
pub mod service {
    include!(concat!(env!("OUT_DIR"), "/server/chitchat.v1.rs"));

    /// The descriptors for server reflection, without the lab.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
    /// The descriptors for server reflection, with the lab.
    pub const LAB_FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/lab_descriptors.bin"));
}

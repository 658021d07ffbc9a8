//! Generates the gRPC code from `proto/`, without protoc.
//!
//! Two passes over one descriptor set. The first makes the messages and the client. The second makes the
//! server, for which `JoinResponse` is our own `Frame`: bytes that were encoded once and go to every stream.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

const PROTO: &str = "proto/chitchat/v1/chitchat.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let descriptors = protox::compile([PROTO], ["proto"])?;

    tonic_prost_build::configure().build_server(false).build_transport(false).compile_fds(descriptors.clone())?;

    let server = out.join("server");
    fs::create_dir_all(&server)?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .codec_path("crate::wire::codec::ServerCodec")
        .extern_path(".chitchat.v1", "crate::wire::pb")
        .extern_path(".chitchat.v1.JoinResponse", "crate::wire::Frame")
        .out_dir(server)
        .compile_fds(descriptors.clone())?;

    // For reflection, without the comments.
    let mut reflected = descriptors;
    reflected.file.iter_mut().for_each(|file| file.source_code_info = None);
    fs::write(out.join("descriptors.bin"), reflected.encode_to_vec())?;
    Ok(())
}

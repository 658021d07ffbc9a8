//! Compressed requests, as some clients send them.

use std::io::Write;

use bytes::{BufMut, Bytes, BytesMut};
use chitchat::wire::pb;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::Version;
use prost::Message;
use tonic::{Code, Status};

use crate::support::{BINARY, Participant, Server, TEXT, Web, refused};

const GZIP: [(&str, &str); 1] = [("grpc-encoding", "gzip")];

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The gRPC frame around a compressed message.
fn frame(compressed: &[u8]) -> Bytes {
    let mut framed = BytesMut::new();
    framed.put_u8(1);
    framed.put_u32(compressed.len() as u32);
    framed.put_slice(compressed);
    framed.freeze()
}

#[tokio::test]
async fn a_compressed_request_is_read_and_its_answer_is_not_compressed() {
    let server = Server::start().await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    let wire = alice.wire.with("grpc-encoding", "gzip").with("grpc-accept-encoding", "gzip");
    let body = frame(&gzip(&alice.request("hello").encode_to_vec()));
    // `call_with` reads only frames that are not compressed.
    wire.call_with::<pb::PublishResponse>("Publish", body.clone()).await.unwrap();
    alice.hears("hello").await;
    wire.publish(&alice.request("uncompressed")).await.expect("the header names the encoding, but it is not used");
    alice.hears("uncompressed").await;
    for (version, content_type) in
        [(Version::HTTP_11, BINARY), (Version::HTTP_2, BINARY), (Version::HTTP_11, TEXT)]
    {
        let web = Web { version, content_type, headers: &GZIP, ..Web::new(server.address) };
        let mut answer = web.send("Publish", &body).await;
        answer.message::<pb::PublishResponse>().await;
        assert_eq!(answer.end().await.code(), Code::Ok, "{version:?} {content_type}");
        alice.hears("hello").await;
    }
}

#[tokio::test]
async fn a_request_too_large_after_decompression_is_refused() {
    let server = Server::start().await;
    let alice = Participant::arrive(server.address, "alice").await;
    let wire = alice.wire.with("grpc-encoding", "gzip");
    // The last one is 64 MiB, compressed to 64 KiB.
    for size in [8 << 10, 128 << 10, 64 << 20] {
        let body = frame(&gzip(&vec![0; size]));
        let answer = wire.call_with::<pb::PublishResponse>("Publish", body.clone()).await;
        refused(answer, Code::InvalidArgument, "MALFORMED");
        let web = Web { headers: &GZIP, ..Web::new(server.address) };
        let end = web.send("Publish", &body).await.end().await;
        refused::<()>(Err(end), Code::InvalidArgument, "MALFORMED");
    }
    for body in [frame(b"not gzip"), frame(&gzip(b"\x0a\x05ab")), frame(&gzip(&[7; 100])[..20])] {
        let answer = wire.call_with::<pb::PublishResponse>("Publish", body).await;
        refused(answer, Code::InvalidArgument, "MALFORMED");
    }
    // A compressed message without a header that names the encoding.
    let answer = alice.wire.call_with::<pb::PublishResponse>("Publish", frame(&gzip(b""))).await;
    refused(answer, Code::InvalidArgument, "MALFORMED");
    alice.publish("still here").await;
}

#[tokio::test]
async fn an_unknown_encoding_is_unimplemented_and_the_answer_lists_the_known_ones() {
    let server = Server::start().await;
    let alice = Participant::arrive(server.address, "alice").await;
    for path in ["/chitchat.v1.ChitChatService/Publish", "/grpc.health.v1.Health/Check"] {
        let long = "%".repeat(9_000);
        for encoding in ["deflate", "zstd", "nonsense", "", &long] {
            let wire = alice.wire.with("grpc-encoding", encoding);
            let (_, headers, _) = wire.post(path, "application/grpc", frame(b"")).await;
            let status = Status::from_header_map(&headers).expect("a refusal");
            assert_eq!(status.code(), Code::Unimplemented, "{path} {encoding:?}");
            let known = headers["grpc-accept-encoding"].to_str().unwrap();
            assert!(known.split(',').any(|known| known.trim() == "gzip"), "{known}");
            let message = headers["grpc-message"].as_bytes();
            assert!(message.len() <= 1_024, "a refusal that repeats {} bytes of the request", message.len());
            assert_eq!(message.ends_with(b"%25"), encoding == long, "{message:?}");
        }
    }
}

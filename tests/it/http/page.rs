//! The page's files are sent compressed, with a separate ETag for each coding; answers to calls are never compressed.

use std::io::Read;

use chitchat::server::{Config, LabConfig, Secret};
use chitchat::wire::pb;
use flate2::read::GzDecoder;
use http::{StatusCode, Version};
use tonic::Code;

use crate::support::{Http1, Participant, Server, Web};

/// What a browser loads with the page.
const FILES: [&str; 4] = ["/", "/app.js", "/style.css", "/icon.svg"];
/// What it loads when the diagram or a recorded run is opened.
const LATER: [&str; 9] = [
    "/diagram.js",
    "/diagram-style.css",
    "/replay.js",
    "/replay-style.css",
    "/example/server.jsonl",
    "/example/client-alice.jsonl",
    "/example/client-bob.jsonl",
    "/example/client-carol.jsonl",
    "/example/browser-dora.jsonl",
];
/// The most that the page may weigh as it is sent, in bytes: it should grow by decision, not by accident.
const PAGE_BYTES_MAX: usize = 72_000;
const CODINGS: [&str; 3] = ["br", "gzip", "identity"];

fn decode(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    match coding {
        "br" => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut decoded).unwrap(),
        "gzip" => GzDecoder::new(bytes).read_to_end(&mut decoded).unwrap(),
        _ => return bytes.to_vec(),
    };
    decoded
}

/// Each file is the same in every coding, and its headers name the coding and say that it depends on the request.
#[tokio::test]
async fn files_are_the_same_in_every_coding() {
    let server = Server::start().await;
    let mut browser = Http1::connect(server.address).await;
    for path in FILES.into_iter().chain(LATER) {
        let plain = browser.ask("GET", path, &[], b"").await;
        assert_eq!((plain.header("content-encoding"), plain.header("vary")), ("", "accept-encoding"), "{path}");
        for coding in CODINGS {
            let accepted = [("accept-encoding", coding)];
            let answer = browser.ask("GET", path, &accepted, b"").await;
            assert_eq!((answer.status, answer.header("vary")), (StatusCode::OK, "accept-encoding"));
            let stated = if coding == "identity" { "" } else { coding };
            assert_eq!(answer.header("content-encoding"), stated, "{path}");
            assert_eq!(answer.header("content-type"), plain.header("content-type"), "{path}");
            assert!(decode(coding, &answer.body) == plain.body, "{path} {coding}");
            assert!(coding == "identity" || answer.body.len() < plain.body.len(), "{path} {coding}");

            let head = browser.ask("HEAD", path, &accepted, b"").await;
            assert_eq!(head.headers.get("etag"), answer.headers.get("etag"), "{path} {coding}");
            assert_eq!(head.header("content-encoding"), stated, "{path} {coding}");
            assert_eq!(head.header("content-length"), answer.body.len().to_string(), "{path} {coding}");
        }
    }
}

/// Either coding compresses the whole page to less than a third of its size.
#[tokio::test]
async fn the_page_is_small() {
    let server = Server::start().await;
    let mut browser = Http1::connect(server.address).await;
    let mut sizes = [0, 0, 0];
    for path in FILES {
        for (coding, size) in CODINGS.iter().zip(&mut sizes) {
            *size += browser.ask("GET", path, &[("accept-encoding", coding)], b"").await.body.len();
        }
    }
    let [brotli, gzip, plain] = sizes;
    assert!(brotli < gzip && gzip * 3 < plain, "{sizes:?}");
    assert!(brotli <= PAGE_BYTES_MAX, "{sizes:?}");
    let page = browser.ask("GET", "/", &[], b"").await;
    assert!(
        LATER.iter().all(|path| !page.text().contains(&path[1..])),
        "the diagram and the replay are loaded only when they are opened"
    );
}

/// All logs of the example are served unchanged for the replay.
#[tokio::test]
async fn the_example() {
    let server = Server::start().await;
    let mut browser = Http1::connect(server.address).await;
    let mut logs = 0;
    for entry in std::fs::read_dir("logs/example").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        let address = format!("/example/{}", path.file_name().unwrap().to_str().unwrap());
        assert!(LATER.contains(&address.as_str()), "{address}");
        assert!(browser.ask("GET", &address, &[], b"").await.body == std::fs::read(&path).unwrap(), "{address}");
        logs += 1;
    }
    assert_eq!(logs, LATER.iter().filter(|path| path.starts_with("/example/")).count());
}

/// The mistakes that the page replays are those of the gallery, and a service without a gallery has none.
#[tokio::test]
async fn the_gallery_of_mistakes() {
    let config = Config { gallery: Some(chitchat::trace::gallery::page), ..Config::default() };
    let server = Server::with(config).await;
    let mut browser = Http1::connect(server.address).await;
    for name in ["index", "1", "25"] {
        let answer = browser.ask("GET", &format!("/mistakes/{name}.json"), &[], b"").await;
        assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/json"), "{name}");
        assert_eq!(answer.text(), &*chitchat::trace::gallery::page(name).unwrap(), "{name}");
    }
    for name in ["0.json", "1", "999.json", "x.json"] {
        let answer = browser.ask("GET", &format!("/mistakes/{name}"), &[], b"").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{name}");
    }
    let without = Server::start().await;
    let answer = Http1::connect(without.address).await.ask("GET", "/mistakes/index.json", &[], b"").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

/// A cached copy is valid only for its own coding.
#[tokio::test]
async fn an_etag_belongs_to_one_coding() {
    let server = Server::start().await;
    let mut browser = Http1::connect(server.address).await;
    for path in FILES.into_iter().chain(LATER) {
        for coding in CODINGS {
            let tag =
                browser.ask("GET", path, &[("accept-encoding", coding)], b"").await.header("etag").to_owned();
            for other in CODINGS {
                let headers = [("accept-encoding", other), ("if-none-match", tag.as_str())];
                let answer = browser.ask("GET", path, &headers, b"").await;
                let expected = if other == coding { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
                assert_eq!(answer.status, expected, "{path}: the copy is {coding}, and {other} is accepted");
                assert_eq!(
                    (answer.header("vary"), answer.header("cache-control")),
                    ("accept-encoding", "no-cache")
                );
            }
        }
    }
}

/// A client that refuses all codings gets no file; the error lists the codings.
#[tokio::test]
async fn nothing_acceptable() {
    let server = Server::start().await;
    let mut browser = Http1::connect(server.address).await;
    for accepted in ["identity;q=0", "*;q=0", "zstd, *;q=0"] {
        let answer = browser.ask("GET", "/", &[("accept-encoding", accepted)], b"").await;
        assert_eq!((answer.status, answer.header("vary")), (StatusCode::NOT_ACCEPTABLE, "accept-encoding"));
        assert!(answer.text().contains("br, gzip"), "{accepted}: {}", answer.text());
        assert!(!answer.header("content-security-policy").is_empty(), "{accepted}");
    }
}

/// An event is encoded once for all streams, so answers to calls are not compressed, whatever the browser accepts.
#[tokio::test]
async fn calls_are_not_compressed() {
    let server = Server::start().await;
    let alice = Participant::arrive(server.address, "alice").await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let headers = [("accept-encoding", "gzip, deflate, br, zstd")];
        let web = Web { version, headers: &headers, ..Web::new(server.address) };
        let mut answer = web.call("Publish", &alice.request(&"hello ".repeat(20))).await;
        assert_eq!(answer.header("content-encoding"), "", "{version:?}");
        answer.message::<pb::PublishResponse>().await;
        assert_eq!(answer.end().await.code(), Code::Ok);
    }
    let operators =
        Http1::connect(server.address).await.ask("GET", "/readyz", &[("accept-encoding", "br")], b"").await;
    assert_eq!(operators.header("content-encoding"), "");
}

/// K7: the page of a lab has a meta element that says so, and whether the lab's key is needed. Otherwise it is the page
/// of every service, which does not mention the lab and serves none of its files.
#[tokio::test]
async fn the_page_of_a_lab() {
    let key = Some(Secret::parse("the-key-of-the-lab").unwrap());
    let index = async |lab: Option<LabConfig>| {
        let server = Server::with(Config { lab, ..Server::config() }).await;
        let mut browser = Http1::connect(server.address).await;
        let status = browser.ask("GET", "/lab.js", &[], b"").await.status;
        assert_eq!(browser.ask("GET", "/lab-style.css", &[], b"").await.status, status);
        let plain = browser.ask("GET", "/", &[], b"").await.text().to_owned();
        let compressed = browser.ask("GET", "/", &[("accept-encoding", "br")], b"").await;
        assert_eq!(decode("br", &compressed.body), plain.as_bytes());
        (plain, status)
    };
    let (plain, status) = index(None).await;
    assert_eq!(
        (plain.contains("chitchat-lab"), plain.contains("lab.js"), status),
        (false, false, StatusCode::NOT_FOUND)
    );
    for (key, content) in [(key, "key"), (None, "open")] {
        let (page, status) = index(Some(LabConfig { key, stage: None })).await;
        let mark = format!("\n    <meta name=\"chitchat-lab\" content=\"{content}\">");
        assert_eq!((page.matches(&mark).count(), status), (1, StatusCode::OK));
        assert_eq!(page.replace(&mark, ""), plain);
    }
}

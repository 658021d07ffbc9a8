//! Generates the gRPC code from `proto/`, without protoc.
//!
//! Two passes over one descriptor set. The first makes the messages and the client. The second makes the
//! server, with a codec of our own.
//!
//! Compresses the page's files, too, so that the service only has to send them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::{env, error::Error, fs};

use brotli::CompressorWriter;
use flate2::{Compression, write::GzEncoder};
use prost::Message;

const PROTO: [&str; 2] = ["proto/chitchat/v1/chitchat.proto", "proto/chitchat/v1/lab.proto"];
/// The end of the name of the proto file whose service only `chitchat lab` has.
const LAB: &str = "/lab.proto";

/// The files that the service sends to a browser, as `src/server/http/page.rs` embeds them.
const PAGE: [&str; 15] = [
    "web/index.html",
    "web/dist/app.js",
    "web/dist/style.css",
    "web/icon.svg",
    "web/dist/diagram.js",
    "web/dist/diagram-style.css",
    "web/dist/replay.js",
    "web/dist/replay-style.css",
    "web/dist/lab.js",
    "web/dist/lab-style.css",
    "logs/example/server.jsonl",
    "logs/example/client-alice.jsonl",
    "logs/example/client-bob.jsonl",
    "logs/example/client-carol.jsonl",
    "logs/example/browser-dora.jsonl",
];

/// The page of a lab with a key and of one without: the file, and the content of its `chitchat-lab` meta tag.
const LAB_PAGES: [(&str, &str); 2] = [("web/lab-key.html", "key"), ("web/lab-open.html", "open")];
/// The tag after which that meta tag is inserted.
const LAB_MARK: &str = "<meta charset=\"utf-8\">";

/// The highest quality that brotli has, and the largest window that every decoder takes.
const BROTLI: (u32, u32) = (11, 22);

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let descriptors = protox::compile(PROTO, ["proto"])?;

    tonic_prost_build::configure().build_server(false).build_transport(false).compile_fds(descriptors.clone())?;

    let server = out.join("server");
    fs::create_dir_all(&server)?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .codec_path("crate::wire::codec::ServerCodec")
        .extern_path(".chitchat.v1", "crate::wire::pb")
        .out_dir(server)
        .compile_fds(descriptors.clone())?;

    // For reflection, without the comments.
    let mut reflected = descriptors;
    reflected.file.iter_mut().for_each(|file| file.source_code_info = None);
    fs::write(out.join("lab_descriptors.bin"), reflected.encode_to_vec())?;
    reflected.file.retain(|file| !file.name().ends_with(LAB));
    fs::write(out.join("descriptors.bin"), reflected.encode_to_vec())?;
    let page = out.join("page");
    for file in PAGE {
        println!("cargo:rerun-if-changed={file}");
        compress(&fs::read(file)?, &page.join(file))?;
    }
    let index = fs::read_to_string(PAGE[0])?;
    for (file, lab) in LAB_PAGES {
        let (to, meta) =
            (page.join(file), format!("{LAB_MARK}\n    <meta name=\"chitchat-lab\" content=\"{lab}\">"));
        let text = index.replacen(LAB_MARK, &meta, 1);
        compress(text.as_bytes(), &to)?;
        fs::write(to, text)?;
    }
    Ok(())
}

/// Writes a file of the page beside the generated code as `.br` and as `.gz`.
fn compress(plain: &[u8], to: &Path) -> Result<(), Box<dyn Error>> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    let (quality, window) = BROTLI;
    let mut brotli = CompressorWriter::new(Vec::new(), plain.len().max(1), quality, window);
    brotli.write_all(plain)?;
    fs::write(with(to, "br"), brotli.into_inner())?;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(plain)?;
    fs::write(with(to, "gz"), gzip.finish()?)?;
    Ok(())
}

fn with(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

//! The page: one more participant, in a browser. It is embedded in the program, so nothing else is needed to run it.

mod coding;
pub mod mistakes;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};

use coding::Coding;

/// Only the page's own script, style and connections are allowed.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file of the page in one coding.
#[derive(Clone)]
struct Representation {
    coding: Coding,
    bytes: &'static [u8],
    etag: HeaderValue,
}

/// A file of the page in every coding. The build has compressed it: see `build.rs`.
macro_rules! file {
    ($path:literal) => {
        file!($path, concat!("../../../", $path))
    };
    ($path:literal, $plain:expr) => {
        [
            (Coding::Identity, include_bytes!($plain) as &[u8]),
            (Coding::Gzip, include_bytes!(concat!(env!("OUT_DIR"), "/page/", $path, ".gz"))),
            (Coding::Brotli, include_bytes!(concat!(env!("OUT_DIR"), "/page/", $path, ".br"))),
        ]
    };
}

/// What a page has to know about the service's lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabPage {
    /// There is no lab.
    None,
    /// Its key is needed.
    Key,
    /// Everybody may use it.
    Open,
}

/// The routes of the page and of its parts. The lab's files are served only in a lab.
pub fn routes(lab: LabPage) -> Router {
    let asset = |content_type: &'static str, file: [(Coding, &'static [u8]); 3]| {
        let file = file.map(|(coding, bytes)| Representation { coding, bytes, etag: etag(bytes) });
        get(move |request: Request| async move { serve(&request, content_type, &file) })
    };
    const HTML: &str = "text/html; charset=utf-8";
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    const STYLE: &str = "text/css; charset=utf-8";
    const LOG: &str = "application/jsonl";
    let index = match lab {
        LabPage::None => file!("web/index.html"),
        // A lab's page is marked in its head: the build generates it from the plain page.
        LabPage::Key => file!("web/lab-key.html", concat!(env!("OUT_DIR"), "/page/web/lab-key.html")),
        LabPage::Open => file!("web/lab-open.html", concat!(env!("OUT_DIR"), "/page/web/lab-open.html")),
    };
    let mut routes = Router::new();
    if lab != LabPage::None {
        routes = routes
            .route("/lab.js", asset(SCRIPT, file!("web/dist/lab.js")))
            .route("/lab-style.css", asset(STYLE, file!("web/dist/lab-style.css")));
    }
    routes
        .route("/", asset(HTML, index))
        .route("/app.js", asset(SCRIPT, file!("web/dist/app.js")))
        .route("/style.css", asset(STYLE, file!("web/dist/style.css")))
        .route("/icon.svg", asset("image/svg+xml", file!("web/icon.svg")))
        // The diagram, which is loaded only when it is opened.
        .route("/diagram.js", asset(SCRIPT, file!("web/dist/diagram.js")))
        .route("/diagram-style.css", asset(STYLE, file!("web/dist/diagram-style.css")))
        // The replay of recorded runs, which is loaded only when one is opened, and the run that ships with it.
        .route("/replay.js", asset(SCRIPT, file!("web/dist/replay.js")))
        .route("/replay-style.css", asset(STYLE, file!("web/dist/replay-style.css")))
        .route("/example/server.jsonl", asset(LOG, file!("logs/example/server.jsonl")))
        .route("/example/client-alice.jsonl", asset(LOG, file!("logs/example/client-alice.jsonl")))
        .route("/example/client-bob.jsonl", asset(LOG, file!("logs/example/client-bob.jsonl")))
        .route("/example/client-carol.jsonl", asset(LOG, file!("logs/example/client-carol.jsonl")))
        .route("/example/browser-dora.jsonl", asset(LOG, file!("logs/example/browser-dora.jsonl")))
        .layer(middleware::from_fn(protect))
}

/// A browser checks each time whether its copy is current, since all parts of the page must have the same version.
fn serve(request: &Request, content_type: &'static str, file: &[Representation]) -> Response {
    // Caches must keep the codings apart.
    let vary = (header::VARY, HeaderValue::from_static("accept-encoding"));
    let coding = coding::choose(request.headers());
    let Some(chosen) = file.iter().find(|representation| Some(representation.coding) == coding) else {
        return (StatusCode::NOT_ACCEPTABLE, [vary], "Available in br, gzip and identity.\n").into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::ETAG, chosen.etag.clone()),
        vary,
    ];
    if knows(request, &chosen.etag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let content_encoding = chosen.coding.header().map(|name| [(header::CONTENT_ENCODING, name)]);
    (headers, content_encoding, chosen.bytes).into_response()
}

/// Whether the copy that the browser has is this one. A proxy on the way may have marked the tag as weak.
fn knows(request: &Request, etag: &HeaderValue) -> bool {
    let known = request.headers().get_all(header::IF_NONE_MATCH).into_iter();
    let tags = known.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let mut strong = tags.map(|tag| tag.strip_prefix(b"W/").unwrap_or(tag));
    strong.any(|tag| tag == b"*" || tag == etag.as_bytes())
}

async fn protect(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn etag(bytes: &[u8]) -> HeaderValue {
    use sha2::{Digest, Sha256};
    let short = data_encoding::HEXLOWER.encode(&Sha256::digest(bytes)[..8]);
    HeaderValue::try_from(format!("\"{short}\"")).expect("hexadecimal digits make a header")
}

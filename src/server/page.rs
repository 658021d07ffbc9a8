//! The page: one more participant, in a browser. It is embedded, so that running it needs nothing else.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};

/// The page does what its own script does, and nothing else.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The routes of the page and of its parts.
pub fn routes() -> Router {
    let asset = |content_type: &'static str, bytes: &'static [u8]| {
        let etag = etag(bytes);
        get(move |request: Request| async move { serve(&request, content_type, bytes, &etag) })
    };
    Router::new()
        .route("/", asset("text/html; charset=utf-8", include_bytes!("../../web/index.html")))
        .route("/app.js", asset("text/javascript; charset=utf-8", include_bytes!("../../web/dist/app.js")))
        .route("/style.css", asset("text/css; charset=utf-8", include_bytes!("../../web/dist/style.css")))
        .route("/icon.svg", asset("image/svg+xml", include_bytes!("../../web/icon.svg")))
        .layer(middleware::from_fn(protect))
}

/// A browser asks each time whether its copy is still good: the parts of a page belong together.
fn serve(request: &Request, content_type: &'static str, bytes: &'static [u8], etag: &HeaderValue) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::ETAG, etag.clone()),
    ];
    if knows(request, etag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, bytes).into_response()
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
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    let short: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::try_from(format!("\"{short}\"")).expect("hexadecimal digits make a header")
}

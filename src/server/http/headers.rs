//! The headers of responses that do not depend on the route.

use axum::response::Response;
use http::{HeaderName, HeaderValue, header};

/// For every response: browsers do not guess its type, and pages of other origins cannot embed it or keep a reference to
/// its window.
const SECURITY_HEADERS: [(HeaderName, HeaderValue); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
];

/// For gRPC-Web responses: proxies must pass them on at once and unchanged.
const UNBUFFERED: [(HeaderName, HeaderValue); 2] = [
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform")),
];

/// Why a call was refused, percent-encoded.
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// The most bytes of that header. Proxies and clients reject a response with long headers.
const GRPC_MESSAGE_BYTES_MAX: usize = 1024;

/// Sets the headers that every response has (H1).
pub fn set_security_headers(response: &mut Response) {
    set_headers(response, SECURITY_HEADERS);
}

/// A proxy that buffers a whole response, as nginx does by default, would never pass on a stream.
pub fn forbid_buffering(response: &mut Response) {
    set_headers(response, UNBUFFERED);
}

fn set_headers<const N: usize>(response: &mut Response, headers: [(HeaderName, HeaderValue); N]) {
    for (name, value) in headers {
        response.headers_mut().insert(name, value);
    }
}

/// Shortens the message: the framework quotes a header that it does not understand, however long it is.
pub fn shorten_message(response: &mut Response) {
    let Some(message) = response.headers().get(GRPC_MESSAGE).map(HeaderValue::as_bytes) else { return };
    if message.len() > GRPC_MESSAGE_BYTES_MAX {
        let kept = &message[..GRPC_MESSAGE_BYTES_MAX];
        // `%2B` is one character, and is kept whole or not at all.
        let end = kept.iter().rposition(|byte| *byte == b'%').filter(|at| at + 3 > kept.len());
        if let Ok(short) = HeaderValue::from_bytes(&kept[..end.unwrap_or(kept.len())]) {
            response.headers_mut().insert(GRPC_MESSAGE, short);
        }
    }
}

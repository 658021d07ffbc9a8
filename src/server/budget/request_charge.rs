//! How much memory a request and its response cost their address.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use parking_lot::Mutex;
use tonic::Status;

use super::memory::{AddressBudget, Overdrawn, Reservation};
use crate::server::edge::forwarded::TrustedProxies;
use crate::server::edge::ingress::{Pace, REQUEST_COST_BYTES};
use crate::server::edge::origin::{Origin, Transport, limited_address};
use crate::server::http::body::through;
use crate::server::http::headers::set_security_headers;
use crate::server::ops::context::ServerContext;
use crate::server::ops::refusals;
use crate::wire::Rejection;

/// How many bytes are charged for an open request in addition to its headers and body: about what serving it takes.
const REQUEST_BYTES: usize = 32 * 1024;
/// How many bytes a header takes in addition to its name and value: for its entry in the map and its allocations.
const HEADER_BYTES: usize = 128;
/// How long an address that has used up its budget should wait before it tries again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a response is charged to; kept in its extensions.
#[derive(Clone, Debug)]
pub struct Charged {
    /// The budget for the bytes that the transport has not taken.
    pub budget: Arc<AddressBudget>,
    /// The cost of the request until its response has ended.
    pub overhead: Arc<Reservation>,
}

/// Counts a request for its address, and charges the address for serving it until the response has ended. Call it as
/// soon as the headers have arrived, since waiting requests take memory, too. `pace` is the connection's; a proxy's
/// connection has none.
///
/// # Errors
/// The refusal, if the address has used up its memory budget, or sends too much through a proxy.
pub fn admit(
    context: &ServerContext,
    proxies: &TrustedProxies,
    peer: SocketAddr,
    pace: Option<&Pace>,
    mut request: hyper::Request<Incoming>,
) -> Result<hyper::Request<Incoming>, Box<Response>> {
    let client = proxies.client(peer, request.headers());
    let address = limited_address(client.ip);
    let budget = context.budgets.of(address);
    let counted = match pace {
        Some(pace) => {
            pace.count(REQUEST_COST_BYTES);
            Ok(())
        }
        None => {
            context.ingress.count_proxied(address).map_err(|retry_after| Rejection::RateLimited { retry_after })
        }
    };
    let bytes = REQUEST_BYTES + header_bytes(request.headers());
    match counted.and_then(|()| budget.reserve(bytes).map_err(|Overdrawn| overdrawn())) {
        Ok(overhead) => {
            request.extensions_mut().insert(Charged { budget, overhead: overhead.into() });
            Ok(request)
        }
        Err(rejection) => {
            let content_type = request.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
            let origin = Origin { peer: client, transport: Transport::of(content_type.unwrap_or_default()) };
            context.metrics.refusal(rejection.reason());
            context.refusals.record(&origin, request.uri().path(), None, rejection.reason());
            let mut refusal = refusals::answer(&request, StatusCode::OK, StatusCode::TOO_MANY_REQUESTS, rejection);
            set_security_headers(&mut refusal);
            Err(refusal.into())
        }
    }
}

impl Charged {
    /// Charges the body of a request as it is read. Hold the second result until the request is answered: otherwise the
    /// charge ends with the body.
    ///
    /// # Errors
    /// The refusal, if the address has used up its budget.
    pub fn body_of(&self, request: Request) -> Result<(Request, impl Send + use<>), Rejection> {
        let charge = self.budget.reserve(0).map_err(|Overdrawn| overdrawn())?;
        let charge = Arc::new(Mutex::new(charge));
        let body = Arc::clone(&charge);
        Ok((request.map(|inner| charged(inner, body)), charge))
    }
}

fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + HEADER_BYTES).sum()
}

/// The address has used up its budget.
pub fn overdrawn() -> Rejection {
    Rejection::MemoryUsedUp { retry_after: RETRY_AFTER }
}

/// The frames of a request's body, charged as they are read.
fn charged(body: Body, charge: Arc<Mutex<Reservation>>) -> Body {
    through(body, move |body, cx| {
        let Some(body) = body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(cx)?);
        let data = frame.as_ref().and_then(Frame::data_ref);
        match data.map_or(Ok(()), |data| charge.lock().grow(data.len())) {
            Ok(()) => Poll::Ready(frame.map(Ok)),
            Err(Overdrawn) => Poll::Ready(Some(Err(axum::Error::new(Status::from(overdrawn()))))),
        }
    })
}

//! Deadlines: a request has to arrive in full, and be answered, in time.

use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderValue;
use tokio::time::timeout;
use tonic::{Code, Status};

/// Gives a request the time that its caller asks for (`grpc-timeout`), up to the limit. This cuts off a body that
/// trickles in. A stream that has begun is not limited.
pub async fn keep(limit: Duration, request: Request, next: Next) -> Response {
    let asked = request.headers().get("grpc-timeout").and_then(parse);
    let time = asked.map_or(limit, |asked| asked.min(limit));
    match timeout(time, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Status::new(Code::DeadlineExceeded, "the request was not answered in time").into_http(),
    }
}

/// At most eight digits and a unit (gRPC over HTTP/2, "Requests").
fn parse(value: &HeaderValue) -> Option<Duration> {
    let value = value.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 60 * 60)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_digits_and_a_unit() {
        let check =
            |text: &'static str, expected| assert_eq!(parse(&HeaderValue::from_static(text)), expected, "{text}");
        check("1H", Some(Duration::from_secs(3600)));
        check("2M", Some(Duration::from_secs(120)));
        check("99999999S", Some(Duration::from_secs(99_999_999)));
        check("250m", Some(Duration::from_millis(250)));
        check("5u", Some(Duration::from_micros(5)));
        check("7n", Some(Duration::from_nanos(7)));
        for text in ["", "S", "5", "5x", "+5S", "-1S", "100000000S", "1.5S"] {
            check(text, None);
        }
    }
}

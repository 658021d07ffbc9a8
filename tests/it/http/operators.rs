//! Endpoints for operators: health, readiness, metrics.

use chitchat::wire::pb;
use http::{StatusCode, Version};
use prost::Message;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::support::{
    Fault, FaultyJournal, Figures, Frames, Http1, Participant, Server, Web, Wire, frame, refused,
};

const SERVICE: &str = "chitchat.v1.ChitChatService";

fn about(service: &str) -> Vec<u8> {
    HealthCheckRequest { service: service.into() }.encode_to_vec()
}

async fn health(wire: &Wire, service: &str) -> ServingStatus {
    let response: HealthCheckResponse = wire.call("/grpc.health.v1.Health/Check", &about(service)).await.unwrap();
    response.status()
}

async fn next_health(watch: &mut Frames) -> ServingStatus {
    HealthCheckResponse::decode(watch.message().await.unwrap()).unwrap().status()
}

#[tokio::test]
async fn each_endpoint_answers_in_its_own_type_and_other_paths_do_not_exist() {
    let server = Server::start().await;
    let mut operator = Http1::connect(server.address).await;
    for (path, content_type, text) in [
        ("/healthz", "application/json", r#"{"status":"ok"}"#),
        ("/readyz", "application/json", r#"{"status":"ready"}"#),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8", "\n"),
    ] {
        let answer = operator.ask("GET", path, &[], b"").await;
        assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, content_type), "{path}");
        assert!(answer.text().ends_with(text), "{path}: {}", answer.text());
        assert_eq!(operator.ask("HEAD", path, &[], b"").await.status, StatusCode::OK, "{path}");
        assert_eq!(operator.ask("POST", path, &[], b"").await.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
    // Load balancers send OPTIONS.
    for path in ["/", "/healthz", "/readyz", "/metrics"] {
        let answer = Http1::connect(server.address).await.ask("OPTIONS", path, &[], b"").await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (StatusCode::NO_CONTENT, "GET, HEAD, OPTIONS"),
            "{path}"
        );
        assert_eq!(operator.ask("HEAD", path, &[], b"").await.status, StatusCode::OK, "{path}");
    }
    for request in ["OPTIONS / HTTP/1.0\r\n\r\n", "OPTIONS /healthz HTTP/1.0\r\n\r\n"] {
        let mut balancer = Http1::connect(server.address).await;
        balancer.say(request).await;
        let heard = balancer.closed().await;
        assert!(heard.starts_with("HTTP/1.0 204"), "{request:?}: {heard}");
    }
    for path in ["/healthz/", "/health", "/metrics/x", "/index.html", "/../healthz", "/%2e%2e/etc/passwd"] {
        assert_eq!(operator.ask("GET", path, &[], b"").await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_service_whose_journal_fails_is_not_ready_until_it_works_again() {
    let (journal, control) = FaultyJournal::new();
    let server = Server::on(journal, Server::config()).await;
    let alice = Participant::arrive(server.address, "alice").await;
    let wire = Wire::connect(server.address).await;
    let mut watch = wire.open("/grpc.health.v1.Health/Watch", frame(&about(SERVICE))).await;
    assert_eq!(next_health(&mut watch).await, ServingStatus::Serving);

    control.set(Fault::Unavailable);
    refused(alice.wire.publish(&alice.request("lost")).await, Code::Unavailable, "JOURNAL_UNAVAILABLE");
    let ready = Http1::get(server.address, "/readyz").await;
    assert_eq!(
        (ready.status, ready.header("content-type")),
        (StatusCode::SERVICE_UNAVAILABLE, "application/json")
    );
    assert_eq!(ready.text(), r#"{"status":"journal unavailable"}"#);
    assert_eq!(Http1::get(server.address, "/healthz").await.status, StatusCode::OK, "it lives");
    assert_eq!(next_health(&mut watch).await, ServingStatus::NotServing);
    for service in ["", SERVICE] {
        assert_eq!(health(&wire, service).await, ServingStatus::NotServing, "{service:?}");
    }

    control.set(Fault::None);
    // No requests are made meanwhile.
    assert_eq!(next_health(&mut watch).await, ServingStatus::Serving);
    assert_eq!(Http1::get(server.address, "/readyz").await.status, StatusCode::OK);
    alice.publish("recorded").await;
    for service in ["", SERVICE] {
        assert_eq!(health(&wire, service).await, ServingStatus::Serving, "{service:?}");
    }
    let unknown = wire.call::<HealthCheckResponse>("/grpc.health.v1.Health/Check", &about("nonsense")).await;
    assert_eq!(unknown.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn metrics_follow_events() {
    let server = Server::start().await;
    let before = Figures::of(server.address).await;
    assert_eq!((before.get("participants"), before.get("connections")), (0.0, 1.0), "this one");

    let mut alice = Participant::arrive(server.address, "alice").await;
    let mut bob = Participant::arrive(server.address, "bob").await;
    alice.event().await;
    alice.publish("hello").await;
    alice.hears("hello").await;
    bob.hears("hello").await;
    for _ in 0..2 {
        refused(alice.wire.publish(&alice.request("")).await, Code::InvalidArgument, "TEXT_EMPTY");
    }
    let malformed = alice.wire.call::<pb::PublishResponse>("Publish", b"\xff").await;
    refused(malformed, Code::InvalidArgument, "MALFORMED");
    let web = Web { version: Version::HTTP_2, ..Web::new(server.address) };
    let join = pb::JoinRequest { display_name: "bob".into(), ..Default::default() };
    refused::<()>(Err(web.call("Join", &join).await.end().await), Code::AlreadyExists, "NAME_TAKEN");
    bob.leave().await.unwrap();
    alice.event().await;

    // Alice got four events and bob two: a participant does not get its own leave.
    let after = Figures::when(server.address, |figures| figures.get("deliveries_total") >= 6.0).await;
    for (name, figure) in [
        ("participants", 1.0),
        ("deliveries_total", 6.0),
        (r#"events_total{kind="joined"}"#, 2.0),
        (r#"events_total{kind="message"}"#, 1.0),
        (r#"events_total{kind="left"}"#, 1.0),
        (r#"refusals_total{reason="TEXT_EMPTY"}"#, 2.0),
        (r#"refusals_total{reason="MALFORMED"}"#, 1.0),
        (r#"refusals_total{reason="NAME_TAKEN"}"#, 1.0),
        ("publish_seconds_count", 3.0),
        ("journal_commit_seconds_count", 4.0),
    ] {
        assert_eq!(after.get(name), figure, "{name}: {after:?}");
    }
    assert!(after.get("publish_seconds_sum") > 0.0 && after.get("feed_lag_events_count") > 0.0, "{after:?}");
    Figures::when(server.address, |figures| figures.get("connections") == 3.0).await;
    drop((alice, bob));
    Figures::when(server.address, |figures| figures.get("connections") == 1.0).await;
}

/// Checks the rules of Prometheus's text format 0.0.4 for counters, gauges and histograms.
#[tokio::test]
async fn metrics_are_valid_prometheus_text() {
    let server = Server::start().await;
    let alice = Participant::arrive(server.address, "alice").await;
    refused(alice.wire.publish(&alice.request("")).await, Code::InvalidArgument, "TEXT_EMPTY");
    let mut operator = Http1::connect(server.address).await;
    let answer =
        operator.ask("GET", "/metrics", &[("accept", "text/plain;version=0.0.4;q=1,*/*;q=0.1")], b"").await;
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!((answer.header("content-type"), answer.header("vary")), (content_type, "accept"));
    let (mut family, mut kind, mut families) = (String::new(), String::new(), 0);
    for line in answer.text().lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            families += 1;
            family = help.split_once(' ').unwrap().0.to_owned();
        } else if let Some(said) = line.strip_prefix("# TYPE ") {
            let (name, said) = said.split_once(' ').unwrap();
            assert_eq!(name, family, "{line}");
            kind = said.to_owned();
        } else {
            let (sample, figure) = line.rsplit_once(' ').unwrap();
            figure.parse::<f64>().unwrap();
            let name = sample.split('{').next().unwrap();
            let suffix = name.strip_prefix(&*family).unwrap_or_else(|| panic!("{line} is not of {family}"));
            match kind.as_str() {
                "counter" => assert!(suffix.is_empty() && name.ends_with("_total"), "{line}"),
                "gauge" => assert!(suffix.is_empty(), "{line}"),
                "histogram" => assert!(["_bucket", "_sum", "_count"].contains(&suffix), "{line}"),
                other => panic!("{other}: {line}"),
            }
        }
    }
    assert_eq!(families, 13, "{}", answer.text());
    // The figures are the same in both formats.
    let samples = |text: &str| {
        // The held bytes depend on the request itself.
        let is_figure = |line: &&str| !line.starts_with('#') && !line.starts_with("chitchat_held_bytes ");
        text.lines().filter(is_figure).map(str::to_owned).collect::<Vec<_>>()
    };
    let open = operator.ask("GET", "/metrics", &[("accept", "application/openmetrics-text")], b"").await;
    assert_eq!(samples(answer.text()), samples(open.text()));
}

/// Checks the rules of OpenMetrics 1.0 for counters, gauges and histograms.
#[tokio::test]
async fn metrics_are_valid_open_metrics() {
    let server = Server::start().await;
    let alice = Participant::arrive(server.address, "alice").await;
    alice.publish("hello").await;
    refused(alice.wire.publish(&alice.request("")).await, Code::InvalidArgument, "TEXT_EMPTY");
    let accept = [("accept", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")];
    let answer = Http1::connect(server.address).await.ask("GET", "/metrics", &accept, b"").await;
    assert_eq!(answer.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let text = answer.text().strip_suffix("# EOF\n").expect("the text ends with # EOF");
    let (mut family, mut kind, mut bucket) = (String::new(), String::new(), 0.0);
    let mut families = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let (keyword, rest) = rest.split_once(' ').unwrap();
            let (name, said) = rest.split_once(' ').unwrap();
            if name != family {
                assert!(!families.contains(&name.to_owned()), "{name} comes in one piece");
                families.push(name.to_owned());
                (family, kind) = (name.to_owned(), String::new());
            }
            match keyword {
                "TYPE" => kind = said.to_owned(),
                "UNIT" => assert!(name.ends_with(&format!("_{said}")), "{line}"),
                "HELP" => assert!(!said.is_empty(), "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (sample, figure) = line.rsplit_once(' ').unwrap();
        let figure: f64 = figure.parse().unwrap();
        let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
        assert!(figure >= 0.0 && (labels.is_empty() || labels.ends_with('}')), "{line}");
        match (kind.as_str(), name.strip_prefix(&*family).expect("a sample belongs to its family")) {
            ("gauge", "") | ("counter", "_total") | ("histogram", "_sum") => bucket = 0.0,
            ("histogram", "_bucket") => {
                assert!(figure >= bucket && labels.contains("le="), "buckets add up: {line}");
                bucket = figure;
            }
            ("histogram", "_count") => {
                assert!(text.contains(&format!("{family}_bucket{{le=\"+Inf\"}} {figure}\n")));
            }
            other => panic!("{other:?}: {line}"),
        }
    }
    assert_eq!(families.len(), 13, "{families:?}");
}

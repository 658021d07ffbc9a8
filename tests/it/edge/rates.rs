//! How fast a session may publish and an address may join, and that the client obeys.

use chitchat::chat::NAME_CHARACTERS_GIVEN_MAX;
use chitchat::client::{self, Options, Update};
use chitchat::server::{Config, READ_RATE, REFUSALS_RECORDED, Rate};
use chitchat::wire::Reason;
use tonic::Code;

use crate::support::{Figures, Participant, Server, ServerProgram, Wire, refused, soon};

/// So slow that any test machine is faster.
const ONE_A_SECOND: Rate = Rate { per_second: 1, burst: 3 };

#[tokio::test]
async fn a_session_that_publishes_too_fast_gets_a_retry_time_and_others_are_unaffected() {
    let server = Server::with(Config { publish_rate: ONE_A_SECOND, ..Server::config() }).await;
    let alice = Participant::arrive(server.address, "alice").await;
    let bob = Participant::arrive(server.address, "bob").await;
    let mut refusal = None;
    // Even on a slow machine, messages arrive faster than one a second, so the burst ends.
    while refusal.is_none() {
        let answer = alice.wire.publish(&alice.request("hurry")).await;
        refusal = answer.is_err().then(|| refused(answer, Code::ResourceExhausted, "RATE_LIMITED"));
    }
    let wait = refusal.and_then(|refusal| refusal.retry).expect("a time to wait");
    assert!(!wait.is_zero() && wait.as_secs_f64() <= 1.0, "{wait:?}");
    bob.publish("calm").await;
}

#[tokio::test]
async fn the_client_waits_for_the_retry_time_and_loses_no_message() {
    let rate = Rate { per_second: 20, burst: 2 };
    let server = Server::with(Config { publish_rate: rate, ..Server::config() }).await;
    let (chat, mut updates) = client::join(Options::new(server.url(), "alice")).await.unwrap();
    let talking = tokio::spawn(async move {
        for n in 0..12 {
            chat.publish(format!("message {n}")).await.unwrap();
        }
        chat.leave().await.unwrap();
    });
    let (mut heard, mut waits) = (Vec::new(), 0);
    while let Some(update) = soon(updates.next()).await {
        match update {
            Update::Event(event) => heard.push(event.content),
            Update::Waiting { why, .. } => {
                assert_eq!(why, Reason::RateLimited);
                waits += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    talking.await.unwrap();
    assert!(waits > 0, "it was too fast");
    assert_eq!(heard[1..], (0..12).map(|n| format!("message {n}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_address_with_too_many_joins_gets_a_retry_time() {
    let server = Server::with(Config { join_rate: ONE_A_SECOND, ..Server::config() }).await;
    let alice = Participant::arrive(server.address, "alice").await;
    let mut number = 0;
    let refusal = loop {
        number += 1;
        let request =
            chitchat::wire::pb::JoinRequest { display_name: format!("guest {number}"), ..Default::default() };
        let mut stream = alice.wire.join(&request).await;
        if let Err(status) = stream.next().await {
            break refused::<()>(Err(status), Code::ResourceExhausted, "RATE_LIMITED");
        }
    };
    assert!(refusal.retry.is_some_and(|wait| !wait.is_zero()));
    alice.resume(server.address, 0).await.expect("a resume does not count as a join");
}

/// Making the RFC 8266 form of such a name takes much longer than sending the request.
#[tokio::test]
async fn a_refused_name_counts_as_a_join_before_it_costs_time() {
    let server = Server::with(Config { join_rate: ONE_A_SECOND, ..Server::config() }).await;
    let wire = Wire::connect(server.address).await;
    let join = |name: String| {
        let request = chitchat::wire::pb::JoinRequest { display_name: name, ..Default::default() };
        let wire = &wire;
        async move { Reason::of(&wire.join(&request).await.next().await.unwrap_err()) }
    };
    let ligature = |count| "\u{fdfa}".repeat(count);
    let mut refused = 0;
    while join(ligature(NAME_CHARACTERS_GIVEN_MAX)).await == Some(Reason::NameInvalid) {
        refused += 1;
    }
    assert!(refused >= ONE_A_SECOND.burst, "{refused}");
    // A name that is too long as given costs no time, so it is refused for that, however often it comes.
    assert_eq!(join(ligature(NAME_CHARACTERS_GIVEN_MAX + 1)).await, Some(Reason::NameInvalid));
}

#[test]
fn pasted_lines_wait_with_a_notice_and_all_arrive() {
    let server = ServerProgram::start(&["--publish-rate", "50", "--publish-burst", "1"]);
    let mut alice = server.join("alice");
    for n in 0..40 {
        alice.program.type_line(format!("line {n}"));
    }
    alice.program.until("line 39");
    let told = alice.program.notice("RATE_LIMITED");
    assert!(told.contains("faster than the service allows"), "{told}");
    let ended = alice.quit().succeeded();
    assert!(ended.errors.matches("RATE_LIMITED").count() < 10, "not for every line: {}", ended.errors);
}

#[tokio::test]
async fn resumes_and_listings_of_a_session_are_rate_limited_and_it_continues() {
    let server = Server::start().await;
    let alice = Participant::arrive(server.address, "alice").await;
    let mut asked = 0;
    let refusal = loop {
        asked += 1;
        if let Err(status) = alice.list(0, 1).await {
            break refused::<()>(Err(status), Code::ResourceExhausted, "RATE_LIMITED");
        }
    };
    assert!(asked > READ_RATE.burst && refusal.retry.is_some_and(|wait| !wait.is_zero()), "{asked}");
    let resume = loop {
        match alice.resume(server.address, 0).await {
            Ok(_) => {}
            Err(status) => break refused::<()>(Err(status), Code::ResourceExhausted, "RATE_LIMITED"),
        }
    };
    assert!(resume.retry.is_some());
    alice.publish("publishing has its own limit").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn log_records_of_refusals_are_rate_limited_but_all_are_counted() {
    let server = ServerProgram::start(&[]);
    let alice = Participant::arrive(server.address, "alice").await;
    let many = 3 * REFUSALS_RECORDED.burst;
    for _ in 0..many {
        refused(alice.wire.publish(&alice.request("")).await, Code::InvalidArgument, "TEXT_EMPTY");
    }
    let counted = Figures::of(server.address).await.get("refusals_total{reason=\"TEXT_EMPTY\"}");
    assert_eq!(counted, f64::from(many));
    let recorded = || server.records().into_iter().filter(|record| record["event"] == "request_refused");
    assert!(recorded().count() < many as usize, "not all of them");
    // The next record that the rate allows has the number of unrecorded refusals.
    while !recorded().any(|record| record["unrecorded"].is_u64()) {
        refused(alice.wire.publish(&alice.request("")).await, Code::InvalidArgument, "TEXT_EMPTY");
    }
}

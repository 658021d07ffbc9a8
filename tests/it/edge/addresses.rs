//! The limits for all participants of one address together, so that no address takes the others' places or floods their
//! screens.

use chitchat::server::{Config, Rate};
use chitchat::wire::{Reason, pb};
use tonic::{Code, Status};

use crate::support::{DurableServer, Figures, Participant, Server, ServerProgram, Wire, refused};

/// So slow that any test machine is faster.
const ONE_A_SECOND: Rate = Rate { per_second: 1, burst: 3 };

const HERE: &str = "192.0.2.1";
const THERE: &str = "192.0.2.2";

/// A service that trusts `x-forwarded-for`.
fn config() -> Config {
    Config { trusted_proxies: vec!["127.0.0.1".parse().unwrap()].into(), ..Server::config() }
}

/// Joins from an address.
async fn join(server: &Server, client: &str, name: &str) -> Result<Participant, Status> {
    let request = pb::JoinRequest { display_name: name.into(), logical_time: 1, resume: None };
    Participant::over(wire(server, client).await, &request).await
}

async fn wire(server: &Server, client: &str) -> Wire {
    Wire::connect(server.address).await.with("x-forwarded-for", client)
}

/// Resumes a session from an address.
async fn resume(server: &Server, client: &str, participant: &Participant) -> Result<Participant, Status> {
    let request = pb::JoinRequest { resume: Some(participant.resume_point(1)), ..Default::default() };
    Participant::over(wire(server, client).await, &request).await
}

/// An address has its share of the places and no more until one of its participants leaves; the other addresses have
/// the rest.
#[tokio::test]
async fn share_of_places() {
    let server = Server::with(Config { participants_per_address_max: 2, ..config() }).await;
    let alice = join(&server, HERE, "alice").await.unwrap();
    let bob = join(&server, HERE, "bob").await.unwrap();
    let full = async |name| {
        let refusal =
            refused(join(&server, HERE, name).await.map(drop), Code::ResourceExhausted, "CONVERSATION_FULL");
        assert_eq!(refusal.figure("participants_per_address_max"), "2");
        assert!(refusal.retry.is_some());
    };
    full("carol").await;
    let dora = join(&server, THERE, "dora").await.unwrap();
    // Moving to another address neither frees a place nor takes one.
    let bob = resume(&server, THERE, &bob).await.unwrap();
    let _dora = resume(&server, HERE, &dora).await.unwrap();
    full("carol").await;
    join(&server, THERE, "emil").await.unwrap();
    bob.leave().await.unwrap();
    join(&server, HERE, "carol").await.unwrap();
    full("frida").await;
    alice.leave().await.unwrap();
}

/// After a restart a participant counts for the address that it resumes from.
#[tokio::test(flavor = "multi_thread")]
async fn share_after_a_restart() {
    let mut server = DurableServer::start(&["--participants-per-address-max", "2", "--grace", "10min"]);
    let alice = Participant::arrive(server.address, "alice").await;
    let bob = Participant::arrive(server.address, "bob").await;
    server.kill();
    server.start_again();
    let join = async |name: &str| {
        let request = pb::JoinRequest { display_name: name.into(), ..Default::default() };
        Participant::over(Wire::connect(server.address).await, &request).await
    };
    let _alice = alice.resume(server.address, 1).await.unwrap();
    let bob = bob.resume(server.address, 1).await.unwrap();
    assert_eq!(
        join("carol").await.map(drop).map_err(|status| Reason::of(&status)),
        Err(Some(Reason::ConversationFull))
    );
    bob.leave().await.unwrap();
    join("carol").await.unwrap();
}

/// All sessions of an address together publish no faster than allowed. Another address is not delayed, and a session
/// that is refused by its own limit does not use up the address's.
#[tokio::test]
async fn publishes_of_an_address() {
    let config = Config {
        publish_rate: ONE_A_SECOND,
        publish_per_address_rate: Rate { burst: 4, ..ONE_A_SECOND },
        ..config()
    };
    let server = Server::with(config).await;
    let alice = join(&server, HERE, "alice").await.unwrap();
    let carol = join(&server, THERE, "carol").await.unwrap();
    let until_refused = async |who: &Participant| {
        let mut published = 0;
        loop {
            match who.wire.publish(&who.request("hurry")).await {
                Ok(_) => published += 1,
                refusal => return (published, refused(refusal, Code::ResourceExhausted, "RATE_LIMITED").retry),
            }
        }
    };
    let (published, wait) = until_refused(&alice).await;
    assert!(published >= 3 && wait.is_some_and(|wait| !wait.is_zero()), "{published} {wait:?}");
    for _ in 0..20 {
        let _ = alice.wire.publish(&alice.request("hurry")).await;
    }
    let mut neighbors = 0;
    for n in 0.. {
        let bob = join(&server, HERE, &format!("bob {n}")).await.unwrap();
        let (published, wait) = until_refused(&bob).await;
        assert!(wait.is_some());
        neighbors += published;
        if published == 0 {
            break;
        }
    }
    assert!(neighbors > 0, "the hasty session used only three of four at once");
    carol.publish("calm").await;
}

/// All sessions of an address together resume and list earlier events no faster than allowed.
#[tokio::test]
async fn reads_of_an_address() {
    let server = Server::with(Config { read_per_address_rate: ONE_A_SECOND, ..config() }).await;
    let (alice, bob) = (join(&server, HERE, "alice").await.unwrap(), join(&server, HERE, "bob").await.unwrap());
    let carol = join(&server, THERE, "carol").await.unwrap();
    let mut listed = 0;
    while alice.list(0, 1).await.is_ok() {
        listed += 1;
    }
    assert!(listed >= 3, "{listed}");
    let mut refusal = None;
    while refusal.is_none() {
        refusal = resume(&server, HERE, &bob).await.err();
    }
    let refusal = refused::<()>(Err(refusal.unwrap()), Code::ResourceExhausted, "RATE_LIMITED");
    assert!(refusal.retry.is_some_and(|wait| !wait.is_zero()));
    carol.list(0, 1).await.unwrap();
    resume(&server, THERE, &carol).await.unwrap();
}

/// A proxy's connection has many clients, so its reads cannot be delayed. Instead, an address that makes too many
/// requests through it is refused, with a retry time.
#[tokio::test]
async fn requests_of_an_address_through_a_proxy() {
    let ingress_per_address_rate = Rate { per_second: 1, burst: 16 };
    let server = Server::with(Config { ingress_per_address_rate, ..config() }).await;
    let alice = join(&server, HERE, "alice").await.unwrap();
    let mut refusal = None;
    while refusal.is_none() {
        refusal = alice.list(0, 1).await.err();
    }
    let refusal = refused::<()>(Err(refusal.unwrap()), Code::ResourceExhausted, "RATE_LIMITED");
    assert!(refusal.retry.is_some_and(|wait| !wait.is_zero()));
    join(&server, THERE, "bob").await.unwrap();
}

/// `--address-limits off` leaves only the limits that apply to all addresses together.
#[tokio::test(flavor = "multi_thread")]
async fn address_limits_off() {
    let tight = [
        ["--participants-per-address-max", "1"],
        ["--connections-per-address-max", "2"],
        ["--publish-per-address-rate", "1"],
        ["--publish-per-address-burst", "1"],
        ["--join-rate", "1"],
        ["--join-burst", "1"],
        ["--read-per-address-rate", "1"],
        ["--read-per-address-burst", "1"],
        ["--memory-per-address-max", "1"],
        ["--ingress-per-address-rate", "1"],
        ["--ingress-per-address-burst", "1"],
        ["--participants-max", "30"],
        ["--address-limits", "off"],
    ];
    let server = ServerProgram::start(&tight.concat());
    let mut here = Vec::new();
    for n in 0..30 {
        let participant = Participant::arrive(server.address, &format!("participant {n}")).await;
        participant.publish("hello").await;
        participant.list(0, 1).await.unwrap();
        here.push(participant);
    }
    assert!(Figures::of(server.address).await.get("held_bytes") > f64::from(1 << 20));
    let one_more = pb::JoinRequest { display_name: "one more".into(), ..Default::default() };
    let refusal = here[0].wire.join(&one_more).await.next().await;
    refused(refusal.map(drop), Code::ResourceExhausted, "CONVERSATION_FULL");
}

//! Three replicas over three nats-servers act as one service (chapter 15): one order, the same times, sessions that
//! move.
//!
//! | module | what it shows |
//! |---|---|
//! | [`access`] | credentials for the servers, and errors about them |
//! | [`clients`] | clients that know several replicas, and the diagram of such a run |
//! | [`failover`] | how long it takes until a publish is acknowledged after a kill |
//! | [`faults`] | all rules hold while replicas and servers are killed, frozen, cut off from each other and restarted |
//! | [`readme`] | the README's commands for three replicas on one machine |
//! | [`refused`] | set-ups of replicas that cannot work |

mod access;
mod clients;
mod failover;
mod faults;
mod readme;
mod refused;

use std::fs;
use std::path::PathBuf;

use http::StatusCode;
use tonic::Code;

use crate::support::{
    DEADLINE, DurableServer, Held, Http1, Nats, Participant, Program, Proxy, check_transcript, records, refused,
    wait_for_record,
};

/// Starts a replica with this name.
fn replica(nats: &Nats, name: &str) -> DurableServer {
    replica_at(&nats.urls(), name, &[])
}

pub fn replica_at(urls: &str, name: &str, more: &[&str]) -> DurableServer {
    let mut options = vec!["--replicate", urls, "--replica-name", name, "--publish-rate", "0"];
    // With so few events between checkpoints, restarts usually use one.
    options.extend(["--address-limits", "off", "--checkpoint-events", "40"]);
    DurableServer::start(&[&options[..], more].concat())
}

/// Checks that no rule is violated, by the logs of all replicas and of these clients.
#[track_caller]
pub fn verify(replicas: &[&DurableServer], clients: &[PathBuf]) -> Vec<String> {
    let logs: Vec<_> = replicas.iter().map(|replica| replica.log()).chain(clients.iter().cloned()).collect();
    let arguments = ["verify"].into_iter().chain(logs.iter().map(|log| log.to_str().unwrap()));
    // The long form of a test has long logs.
    let ended = Program::run_late(&arguments.collect::<Vec<_>>(), 10 * DEADLINE).succeeded();
    ended.output
}

/// The broadcasts in a replica's log, reduced to the fields on which all must agree.
fn broadcasts(replica: &DurableServer) -> Vec<(u64, u64, String)> {
    let all = records(&replica.log());
    let broadcasts = all.iter().filter(|record| record["event"].as_str().unwrap().ends_with("_broadcast"));
    broadcasts
        .map(|record| {
            assert!(record["replica"].is_string(), "{record}");
            let number = |field: &str| record[field].as_u64().unwrap();
            (number("sequence"), number("logical_time"), record["content"].to_string())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_replicas_have_one_order_and_a_session_moves_between_them_r1_r4() {
    let nats = Nats::start();
    let mut replicas = ["a", "b", "c"].map(|name| replica(&nats, name));
    let [a, b, c] = [0, 1, 2].map(|n| replicas[n].address);
    let mut anna = Participant::arrive(a, "anna").await;
    let mut ben = Participant::arrive(b, "ben").await;
    let mut cleo = Participant::arrive(c, "cleo").await;
    anna.event().await;
    anna.event().await;
    ben.event().await;

    let said = ben.publish("hello from b").await;
    let heard =
        [anna.hears("hello from b").await, ben.hears("hello from b").await, cleo.hears("hello from b").await];
    for event in &heard {
        assert_eq!((event.sequence, event.logical_time), (said.sequence, said.logical_time), "S4");
        assert_eq!(event, &heard[0], "with the same chain hash");
    }

    // Names and message ids hold across replicas.
    let taken = Participant::open(c, &name_request("anna"), Default::default()).await;
    refused(taken.map(drop), Code::AlreadyExists, "NAME_TAKEN");
    let twice = chitchat::wire::pb::PublishRequest { message_id: "m1".into(), ..anna.request("once") };
    let first = anna.wire.publish(&twice).await.unwrap();
    assert_eq!(cleo.wire.publish(&twice).await.unwrap(), first, "D12, at another replica");
    for participant in [&mut anna, &mut ben, &mut cleo] {
        participant.hears("once").await;
    }

    // Anna moves: the old stream is replaced, and the new one continues from there.
    let said = cleo.publish("before she moves").await;
    let mut moved = anna.resume(b, said.sequence - 1).await.unwrap();
    refused::<()>(Err(anna.end().await), Code::Aborted, "REPLACED");
    moved.hears("before she moves").await;
    moved.publish("after she moved").await;
    ben.hears("before she moves").await;
    ben.hears("after she moved").await;
    moved.hears("after she moved").await;
    let page = moved.list(0, 100).await.unwrap();
    check_transcript(&page.events.iter().map(|event| (event.sequence, event.logical_time)).collect::<Vec<_>>());

    moved.leave().await.unwrap();
    cleo.hears("before she moves").await;
    cleo.hears("after she moved").await;
    assert!(cleo.event().await.content.starts_with("Participant anna left"), "S6");
    refused(moved.wire.publish(&moved.request("gone")).await, Code::Unauthenticated, "SESSION_UNKNOWN");
    for replica in &mut replicas {
        replica.program.as_ref().unwrap().signal("TERM");
        replica.program.as_mut().unwrap().end().succeeded();
    }
    let told = replicas.each_ref().map(broadcasts);
    assert_eq!((&told[0], &told[0]), (&told[1], &told[2]), "no split view");
    let report = verify(&replicas.each_ref(), &[]);
    assert!(report.iter().any(|line| line.contains("V13") && line.contains("held")), "{report:#?}");
}

fn name_request(name: &str) -> chitchat::wire::pb::JoinRequest {
    chitchat::wire::pb::JoinRequest { display_name: name.into(), logical_time: 1, resume: None }
}

/// A replica that was down catches up, in its copy of the journal and in its log, even if its copy is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_replica_catches_up_and_its_sessions_continue_elsewhere_r2_r6() {
    let nats = Nats::start();
    let mut replicas = ["a", "b"].map(|name| replica(&nats, name));
    let [a, b] = [0, 1].map(|n| replicas[n].address);
    let anna = Participant::arrive(a, "anna").await;
    let mut ben = Participant::arrive(b, "ben").await;
    let said = anna.publish("before").await;
    ben.hears("before").await;
    replicas[0].kill();
    let mut moved = anna.resume(b, said.sequence).await.unwrap();
    moved.publish("she is at b now").await;
    ben.hears("she is at b now").await;
    moved.hears("she is at b now").await;
    replicas[0].start_again();
    let mut back = moved.resume(a, said.sequence).await.unwrap();
    back.hears("she is at b now").await;
    refused::<()>(Err(moved.end().await), Code::Aborted, "REPLACED");
    back.publish("and at a again").await;
    ben.hears("and at a again").await;
    // Without its copy it reads the whole stream again, and records only what its log lacks.
    replicas[0].kill();
    for ending in ["", "-wal", "-shm", "-head", "-checkpoint"] {
        let _ = fs::remove_file(format!("{}{ending}", replicas[0].journal().display()));
    }
    ben.publish("while a has nothing").await;
    replicas[0].start_again();
    for replica in &mut replicas {
        replica.program.as_ref().unwrap().signal("TERM");
        replica.program.as_mut().unwrap().end().succeeded();
    }
    let told = replicas.each_ref().map(broadcasts);
    assert_eq!(told[0], told[1], "the log has the missed events, too, and none of them twice");
    verify(&replicas.each_ref(), &[]);
}

/// A replica lags behind. A client that has moved to it from another one is not told that what it has seen does not
/// exist: the replica first reads what is in the log.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_lags_behind_catches_up_before_it_answers_r4() {
    let nats = Nats::start();
    let mut networks = Vec::new();
    for n in 0..3 {
        networks.push(Proxy::to(nats.address(n)).await);
    }
    let urls: Vec<_> = networks.iter().map(|network| format!("nats://{}", network.address)).collect();
    let replicas = [replica(&nats, "a"), replica_at(&urls.join(","), "b", &[])];
    let anna = Participant::arrive(replicas[0].address, "anna").await;
    let ben = Participant::arrive(replicas[1].address, "ben").await;
    networks.iter().for_each(|network| network.hold(Held { there: false, back: true }));
    let said = anna.publish("b does not know this yet").await;
    let beyond = async { ben.list(said.sequence, 0).await.unwrap() };
    let meanwhile = async {
        let known = ben.list(0, 0).await.unwrap();
        networks.iter().for_each(|network| network.hold(Held::default()));
        known
    };
    let (beyond, known) = tokio::join!(beyond, meanwhile);
    assert!(known.events.iter().all(|event| event.sequence < said.sequence), "{known:?}");
    assert_eq!((beyond.events.len(), beyond.has_more), (0, false));
    assert_eq!(ben.list(said.sequence - 1, 0).await.unwrap().events[0].content, "b does not know this yet");
}

/// All servers of the log are down. Even if no client sends anything to it, the replica logs that it is unavailable,
/// which explains why it could not end a grace period in time. It refuses requests, is not ready, and ends its streams.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_all_servers_is_logged_and_a_late_leave_violates_nothing_r7_v15() {
    let mut nats = Nats::start();
    let mut replica = replica_at(&nats.urls(), "a", &["--grace", "1s"]);
    let anna = Participant::arrive(replica.address, "anna").await;
    let mut ben = Participant::arrive(replica.address, "ben").await;
    anna.publish("one").await;
    (0..3).for_each(|n| nats.kill(n));
    drop(anna);
    wait_for_record(&replica.log(), |record| record["event"] == "replica_unavailable");
    let ready = Http1::get(replica.address, "/readyz").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE, "{}", ready.text());
    refused(ben.wire.publish(&ben.request("two")).await, Code::Unavailable, "JOURNAL_UNAVAILABLE");
    refused::<()>(Err(ben.end().await), Code::Unavailable, "JOURNAL_UNAVAILABLE");
    (0..3).for_each(|n| nats.start_again(n));
    wait_for_record(&replica.log(), |record| record["event"] == "leave_broadcast");
    assert_eq!(Http1::get(replica.address, "/readyz").await.status, StatusCode::OK);
    let metrics = Http1::get(replica.address, "/metrics").await;
    for name in [
        "chitchat_log_position",
        "chitchat_log_behind",
        "chitchat_log_restarts_total",
        "chitchat_batch_commands_count",
        "chitchat_proposal_seconds_count",
    ] {
        assert!(metrics.text().contains(&format!("\n{name} ")), "{name} in {}", metrics.text());
    }
    let told = records(&replica.log());
    let of = |event: &str| told.iter().find(|record| record["event"] == event).unwrap();
    assert_eq!(of("replica_unavailable")["reason"], "CUT_OFF");
    assert_eq!(of("replica_available")["replica"], "a");
    replica.program.as_ref().unwrap().signal("TERM");
    replica.program.as_mut().unwrap().end().succeeded();
    verify(&[&replica], &[]);
}

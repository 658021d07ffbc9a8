//! Replicas that make a mistake on purpose, over real NATS servers: from what they and their clients recorded, `verify`
//! names the rule that the mistake breaks. The same run without the mistake breaks no rule.
//!
//! The mistakes are compiled only for the library's own tests (`ReplicaFault`). So the replicas and clients here are
//! processes of this test program, which [`program`] turns into `chitchat`.

#[path = "../../../tests/it/support/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "these tests need a part of it"
)]
mod support;

use std::path::PathBuf;
use std::process::ExitCode;

use tokio::task::JoinSet;

use crate::chat::{MESSAGE_IDS_REMEMBERED, ReplicaFault};
use crate::trace::gallery::{JsonLog, Logs};
use crate::trace::report::{Report, Rule};
use crate::wire::pb;
use support::{Client, DurableServer, Nats, Participant, Program, Proxy};

const FAULT: &str = "TEST_FAULT";
const FAULTS: [ReplicaFault; 5] = [
    ReplicaFault::AnswerEarly,
    ReplicaFault::ApplyTwice,
    ReplicaFault::ExpireAnyway,
    ReplicaFault::Skip,
    ReplicaFault::SkipUnnoticed,
];

/// Not a test, but `chitchat` itself, with the mistake that the environment names.
#[test]
#[ignore = "it is the program that the tests here start"]
fn program() {
    let Ok(arguments) = std::env::var("TEST_ARGUMENTS") else { return };
    let fault = std::env::var(FAULT).unwrap_or_default();
    FAULTS.into_iter().filter(|known| format!("{known:?}") == fault).for_each(ReplicaFault::make);
    let arguments = std::iter::once("chitchat").chain(arguments.split('\u{1f}')).map(Into::into).collect();
    let code = crate::cli::main_with(arguments);
    std::process::exit(i32::from(code != ExitCode::SUCCESS));
}

/// A replica of a stream, perhaps with a mistake.
fn replica(urls: &str, stream: &str, name: &str, fault: Option<ReplicaFault>, grace: &str) -> DurableServer {
    let options = ["--replicate", urls, "--replicate-stream", stream, "--replica-name", name, "--grace", grace];
    let limits = ["--publish-rate", "0", "--address-limits", "off"];
    let fault = fault.map(|fault| format!("{fault:?}")).unwrap_or_default();
    let mut replica = DurableServer::start_with(&[&options[..], &limits].concat(), &[(FAULT, &fault)]);
    replica.is_truthful = fault.is_empty();
    replica
}

/// Stops replicas in an orderly way, and verifies the logs.
fn judge(replicas: &mut [DurableServer], clients: &[PathBuf]) -> Report {
    for replica in &mut *replicas {
        replica.program.as_ref().unwrap().signal("TERM");
        replica.program.as_mut().unwrap().end();
    }
    let files = replicas.iter().map(DurableServer::log).chain(clients.iter().cloned());
    let log = |file: PathBuf| JsonLog::parse(file.display().to_string(), &std::fs::read_to_string(&file).unwrap());
    Logs(files.map(|file| log(file).unwrap()).collect()).verify().unwrap()
}

#[track_caller]
fn check(report: &Report, fault: Option<ReplicaFault>, rule: Rule) {
    match fault {
        None => assert_eq!(report.violated(), [], "{report:#?}"),
        Some(fault) => assert!(report.violated().contains(&rule), "{fault:?}: {:?}", report.violated()),
    }
}

/// The log decides the order of two publishes, not which replica sent one first.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_before_the_batch_is_applied_is_caught_v10() {
    let nats = Nats::start();
    for fault in [None, Some(ReplicaFault::AnswerEarly)] {
        let stream = format!("s{}", u8::from(fault.is_some()));
        let mut replicas = ["a", "b"].map(|name| replica(&nats.urls(), &stream, name, fault, "30s"));
        let mut clients = [replicas[0].join("anna"), replicas[1].join("ben")];
        // Both publish at the same moment, again and again, so that some batch of one replica comes before one of the other.
        for n in 0..10 {
            let text = |name: &str| format!("{name} says {n}.");
            for (client, name) in clients.iter_mut().zip(["anna", "ben"]) {
                client.program.type_line(text(name));
            }
            for (client, other) in clients.iter_mut().zip(["ben", "anna"]) {
                client.program.until(&text(other));
            }
        }
        clients.iter_mut().for_each(|client| client.program.type_line("/quit"));
        let ends = clients.each_mut().map(|client| client.program.end());
        assert!(fault.is_some() || ends.iter().all(|end| end.code == Some(0)), "{ends:?}");
        check(&judge(&mut replicas, &clients.map(|client| client.log)), fault, Rule::V10);
    }
}

/// A batch is repeated after its publishes have left the session's dedup window.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_applied_twice_is_caught_v5() {
    let nats = Nats::start();
    let jetstream = nats.jetstream().await;
    for fault in [None, Some(ReplicaFault::ApplyTwice)] {
        let stream = format!("s{}", u8::from(fault.is_some()));
        let mut replicas = ["a", "b"].map(|name| replica(&nats.urls(), &stream, name, fault, "30s"));
        let anna = Participant::arrive(replicas[0].address, "anna").await;
        let request = |n: usize| pb::PublishRequest {
            message_id: format!("id {n}"),
            ..anna.request(&format!("this is message {n}."))
        };
        anna.wire.publish(&request(0)).await.unwrap();
        let mut publishing = JoinSet::new();
        for n in 1..=MESSAGE_IDS_REMEMBERED {
            if publishing.len() == 64 {
                publishing.join_next().await.unwrap().unwrap();
            }
            let (wire, request) = (anna.wire.clone(), request(n));
            publishing.spawn(async move { wire.publish(&request).await.unwrap() });
        }
        publishing.join_all().await;
        // As if the first batch had been delayed on its way until now.
        let log = jetstream.get_stream(&stream).await.unwrap();
        let mut position = 1;
        let first = loop {
            let message = log.get_raw_message(position).await.unwrap().payload;
            if message.windows(18).any(|text| text == b"this is message 0.") {
                break message;
            }
            position += 1;
        };
        jetstream.publish(format!("{stream}.commands"), first).await.unwrap().await.unwrap();
        anna.publish("after it").await;
        check(&judge(&mut replicas, &[]), fault, Rule::V5);
    }
}

/// Anna is back before her grace period is over. Ben vanished a moment after her, so once he has left, hers would have
/// been over too.
#[tokio::test(flavor = "multi_thread")]
async fn an_expiry_that_ignores_the_generation_is_caught_v15() {
    let nats = Nats::start();
    for fault in [None, Some(ReplicaFault::ExpireAnyway)] {
        let stream = format!("s{}", u8::from(fault.is_some()));
        let mut replicas = ["a", "b"].map(|name| replica(&nats.urls(), &stream, name, fault, "6s"));
        let carol = replicas[1].join("carol");
        let [anna, ben] = ["anna", "ben"].map(|name| replicas[0].join(name));
        carol.program.until("ben joined");
        drop(anna.program);
        let (url, folder) = (replicas[0].url(), anna.log.parent().unwrap().to_str().unwrap());
        let back =
            Program::start(&["join", "--plain", "--name", "anna", "--server", &url, "--log-dir", folder], &[]);
        back.notice("* back as anna");
        drop(ben.program);
        carol.program.until("ben left");
        check(&judge(&mut replicas, &[anna.log, ben.log, carol.log]), fault, Rule::V15);
    }
}

/// What two replicas and their clients record when one of them is cut off from the log while others write.
async fn cut_off(nats: &Nats, fault: Option<ReplicaFault>) -> ([DurableServer; 2], [Client; 2]) {
    let stream = fault.map_or_else(|| "none".into(), |fault| format!("{fault:?}"));
    let mut proxies = Vec::new();
    for n in 0..3 {
        proxies.push(Proxy::to(nats.address(n)).await);
    }
    let urls: Vec<_> = proxies.iter().map(|proxy| format!("nats://{}", proxy.address)).collect();
    let replicas = [(nats.urls(), "a"), (urls.join(","), "b")]
        .map(|(urls, name)| replica(&urls, &stream, name, fault, "30s"));
    let mut clients = [replicas[0].join("anna"), replicas[1].join("ben")];
    proxies.iter().for_each(Proxy::cut);
    replicas[1].program.as_ref().unwrap().notice("restarting the log reader");
    for text in ["one.", "two.", "three."] {
        clients[0].program.type_line(text);
        clients[0].program.until(text);
    }
    (0..3).for_each(|n| proxies[n].restore(nats.address(n)));
    // They live as long as this process.
    std::mem::forget(proxies);
    (replicas, clients)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_skipped_after_a_reconnect_is_caught_v13() {
    let nats = Nats::start();
    for fault in [None, Some(ReplicaFault::SkipUnnoticed)] {
        let (mut replicas, mut clients) = cut_off(&nats, fault).await;
        clients[1].program.type_line("after it.");
        clients.iter().for_each(|client| drop(client.program.until("after it.")));
        check(&judge(&mut replicas, &clients.map(|client| client.log)), fault, Rule::V13);
    }
}

/// The replicas compare their states. When one finds that the other's state differs, both stop.
#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_have_read_different_messages_all_stop_r8() {
    let nats = Nats::start();
    let (mut replicas, _clients) = cut_off(&nats, Some(ReplicaFault::Skip)).await;
    for replica in &mut replicas {
        let ended = replica.program.as_mut().unwrap().end();
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.errors.contains("had a different state after message"), "{}", ended.errors);
    }
}

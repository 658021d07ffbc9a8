//! How long it takes until a publish is acknowledged again: at another replica after one was killed, and after the
//! server that leads the stream was killed. It prints the times, and fails only if that never happens.
//!
//! One round, or REPLICAS_FAILOVER_ROUNDS: see `tests/replicas`.

use std::time::{Duration, Instant};

use chitchat::wire::pb;

use crate::replicas::{replica_at, verify};
use crate::support::{DEADLINE, DurableServer, Nats, Participant};

#[tokio::test(flavor = "multi_thread")]
async fn publishes_are_acknowledged_again_after_a_replica_or_the_streams_leader_is_killed_r7() {
    let setting = std::env::var("REPLICAS_FAILOVER_ROUNDS").ok();
    let rounds = setting.and_then(|rounds| rounds.parse().ok()).unwrap_or(1);
    let mut nats = Nats::start();
    let mut replicas = ["a", "b"].map(|name| replica_at(&nats.urls(), name, &["--grace", "10min"]));
    let mut anna = Participant::arrive(replicas[0].address, "anna").await;
    let (mut of_replica, mut of_leader) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let (here, there) = (round % 2, (round + 1) % 2);
        publish(&anna, &format!("before {round}")).await;
        let killed = Instant::now();
        replicas[here].kill();
        anna = moved(&anna, &replicas[there]).await;
        publish(&anna, &format!("elsewhere {round}")).await;
        of_replica.push(killed.elapsed());
        replicas[here].start_again();

        let leader = nats.leader("chitchat").await;
        publish(&anna, &format!("led {round}")).await;
        let killed = Instant::now();
        nats.kill(leader);
        publish(&anna, &format!("led anew {round}")).await;
        of_leader.push(killed.elapsed());
        nats.start_again(leader);
        nats.wait_for_copies("chitchat").await;
    }
    eprintln!("a publish at another replica after {}", figures(of_replica));
    eprintln!("a publish after the loss of the stream's leader after {}", figures(of_leader));
    for replica in &mut replicas {
        replica.program.as_ref().unwrap().signal("TERM");
        replica.program.as_mut().unwrap().end().succeeded();
    }
    verify(&replicas.each_ref(), &[]);
}

/// The servers' acknowledgement has the position of a proposed command, so a replica need not wait for a reader. The
/// servers cannot offer one while they elect their own leader, or, as here, without permission.
#[tokio::test(flavor = "multi_thread")]
async fn publishes_are_acknowledged_and_delivered_while_the_servers_offer_no_reader_r2() {
    let users = |denied: &str| {
        format!(
            "authorization {{ users: [ {{ user: all, password: p }}, {{ user: a, password: p, permissions: {{ \
             publish: {{ allow: \">\", deny: [{denied}] }} }} }} ] }}"
        )
    };
    let nats = Nats::start_with(&users("\"nothing\""));
    let as_user = |user: &str| nats.urls().replace("nats://", &format!("nats://{user}:p@"));
    let mut replicas = [("a", "a"), ("all", "b")].map(|(user, name)| replica_at(&as_user(user), name, &[]));
    let mut anna = Participant::arrive(replicas[0].address, "anna").await;
    let ben = Participant::arrive(replicas[1].address, "ben").await;
    anna.event().await;
    publish(&anna, "before").await;
    anna.hears("before").await;
    nats.reconfigure(&users("\"$JS.API.CONSUMER.>\""));
    replicas[0].program.as_ref().unwrap().notice("restarting the log reader");
    for n in 0..5 {
        publish(&ben, &format!("elsewhere {n}")).await;
        publish(&anna, &format!("here {n}")).await;
        anna.hears(&format!("elsewhere {n}")).await;
        anna.hears(&format!("here {n}")).await;
    }
    nats.reconfigure(&users("\"nothing\""));
    publish(&ben, "in the end").await;
    anna.hears("in the end").await;
    for replica in &mut replicas {
        replica.program.as_ref().unwrap().signal("TERM");
        replica.program.as_mut().unwrap().end().succeeded();
    }
    verify(&replicas.each_ref(), &[]);
}

/// Retries a publish until it is acknowledged, as a client does.
async fn publish(participant: &Participant, text: &str) {
    let request = pb::PublishRequest { message_id: text.into(), ..participant.request(text) };
    let start = Instant::now();
    while let Err(status) = participant.wire.publish(&request).await {
        assert!(start.elapsed() < 2 * DEADLINE, "{status}");
    }
}

async fn moved(participant: &Participant, to: &DurableServer) -> Participant {
    let start = Instant::now();
    loop {
        match participant.resume(to.address, 1).await {
            Ok(moved) => return moved,
            Err(status) => assert!(start.elapsed() < 2 * DEADLINE, "{status}"),
        }
    }
}

fn figures(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let (rounds, median, longest) = (times.len(), times[times.len() / 2], times[times.len() - 1]);
    format!("{median:.2?} (p50), {longest:.2?} (max), {rounds} rounds")
}

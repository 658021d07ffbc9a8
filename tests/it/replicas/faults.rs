//! Three replicas over three nats-servers, six participants that keep publishing, and everything that can break:
//! replicas and servers are killed, frozen, cut off in one or both directions, and restarted. After each fault all
//! participants make progress. At the end the logs of all replicas and participants show that nothing acknowledged was
//! lost or repeated, and that all had the same order and times (V1 to V15).
//!
//! By default four faults. REPLICAS_ROUNDS is the number of rounds of all twelve, in an order determined by
//! REPLICAS_SEED: see `tests/replicas`.

mod world;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tempfile::TempDir;

use crate::replicas::verify;
use crate::support::{Client, Program, records, wait_for_record};
use world::{CLIENTS, Fault, PATIENCE, REPLICAS, World};

/// How many lines a publisher is ahead of the acknowledgements.
const LINES_AHEAD: usize = 4;
/// How long a fault lasts: the others declare a replica gone after 6 s.
const SHORT: Duration = Duration::from_secs(7);
/// The same in the long form.
const LONG: Duration = Duration::from_secs(10);

struct Speaking {
    client: Client,
    written: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_lose_repeat_and_reorder_nothing_whatever_breaks_v1_to_v15() {
    let (plan, duration) = plan();
    let (sender, heard) = mpsc::channel();
    let mut world = World::new(heard).await;
    let (logs, stop) = (TempDir::new().unwrap(), Arc::new(AtomicBool::new(false)));
    let speaking: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let url = format!("http://{}", world.networks[n].address);
            speak(join(&logs, &url, n), n, Arc::clone(&stop), sender.clone())
        })
        .collect();
    drop(sender);
    world.all_make_progress();
    for (fault, victim) in plan {
        world.inject(fault, victim, duration).await;
    }
    stop.store(true, Ordering::Relaxed);
    let speaking: Vec<Speaking> = speaking.into_iter().map(|speaking| speaking.join().unwrap()).collect();
    let mut written = 0;
    let mut clients = Vec::new();
    for (n, Speaking { mut client, written: own }) in speaking.into_iter().enumerate() {
        if n + 1 < CLIENTS {
            client.quit().succeeded();
        } else {
            // The last one is still active when the logs end, so V14 has something to check.
            let before = format!("client-{}", n - 1);
            wait_for_record(&client.log, |record| {
                record["kind"] == "left" && record["content"].as_str().unwrap().contains(&before)
            });
            client.program.signal("KILL");
        }
        let acknowledged =
            client.records().iter().filter(|record| record["event"] == "publish_acknowledged").count();
        assert_eq!(acknowledged, own, "every message was acknowledged");
        written += own;
        clients.push(client.log);
    }
    for replica in &mut world.replicas {
        replica.program.as_ref().unwrap().signal("TERM");
        replica.program.as_mut().unwrap().end().succeeded();
    }
    let counts: Vec<_> = world.replicas.iter().map(|replica| messages(replica.log())).collect();
    assert_eq!(counts, [written; REPLICAS], "each replica has recorded every message once");
    let report = verify(&world.replicas.iter().collect::<Vec<_>>(), &clients);
    let is_unchecked = |line: &&String| line.contains("not checkable") || line.contains("nothing to check");
    assert_eq!(report.iter().filter(is_unchecked).count(), 0, "{report:#?}");
    world.say(&format!("{written} messages; {}", report.join("\n")));
}

/// The faults in order, each with the replica that it may affect; and how long a fault lasts.
fn plan() -> (Vec<(Fault, usize)>, Duration) {
    let setting = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let Some(rounds) = setting("REPLICAS_ROUNDS") else {
        let short = [Fault::KillBoth, Fault::FreezeReplica, Fault::IsolateLeader, Fault::MuteLeader];
        return (short.into_iter().zip((0..REPLICAS).cycle()).collect(), SHORT);
    };
    let seed = setting("REPLICAS_SEED").unwrap_or_else(|| fastrand::u64(..));
    eprintln!("REPLICAS_SEED={seed}");
    let (mut random, mut plan) = (fastrand::Rng::with_seed(seed), Vec::new());
    for _ in 0..rounds {
        let mut faults = Fault::ALL;
        random.shuffle(&mut faults);
        plan.extend(faults.map(|fault| (fault, random.usize(..REPLICAS))));
    }
    (plan, LONG)
}

fn messages(log: PathBuf) -> usize {
    records(&log).iter().filter(|record| record["event"] == "message_broadcast").count()
}

fn join(logs: &TempDir, url: &str, n: usize) -> Client {
    let (name, folder) = (format!("client-{n}"), logs.path().to_str().unwrap());
    let program = Program::start(&["join", "--plain", "--name", &name, "--server", url, "--log-dir", folder], &[]);
    program.notice("* here: ");
    Client { program, log: logs.path().join(chitchat::log::file_name("client", &name)) }
}

/// Publishes one message after another until `stop` is set, and reads until it has received all of them.
fn speak(mut client: Client, n: usize, stop: Arc<AtomicBool>, heard: Sender<usize>) -> JoinHandle<Speaking> {
    thread::spawn(move || {
        let text = |number: usize| format!("this is message {number}. of client {n}");
        let (mut written, mut told) = (0, 0);
        while told < written || !stop.load(Ordering::Relaxed) {
            while written < told + LINES_AHEAD && !stop.load(Ordering::Relaxed) {
                client.program.type_line(text(written));
                written += 1;
            }
            if told < written {
                client.program.until_late(&text(told), PATIENCE);
                told += 1;
                let _ = heard.send(n);
            }
        }
        Speaking { client, written }
    })
}

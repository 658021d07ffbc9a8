//! Three replicas over three nats-servers, six participants that publish all the time, and everything that can break:
//! replicas and servers are killed, frozen, cut off and restarted. After each fault everybody gets on. In the end the logs
//! of all replicas and participants show that nothing acknowledged is lost, nothing is there twice, and everybody had the
//! same order and times (V1 to V15).
//!
//! One round, or as many as REPLICAS_ROUNDS says: see `tests/replicas`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::replicas::{replica_at, verify};
use crate::support::{Client, DurableServer, Nats, Program, Proxy, records};

const REPLICAS: usize = 3;
const CLIENTS: usize = 6;
/// How long everybody may take to get on after a fault.
const PATIENCE: Duration = Duration::from_secs(90);
/// How many lines a publisher is ahead of what it has been told.
const LINES_AHEAD: usize = 4;
/// How many messages of each publisher come through before and after each fault.
const MESSAGES: usize = 20;

struct World {
    nats: Nats,
    replicas: Vec<DurableServer>,
    /// Between each replica and each server of the log.
    log_networks: Vec<Vec<Proxy>>,
    /// Between each client and the replica that it uses now.
    networks: Vec<Proxy>,
    /// Which replica that is.
    at: [usize; CLIENTS],
    heard: Receiver<usize>,
    started: Instant,
}

struct Speaking {
    client: Client,
    written: usize,
}

impl World {
    async fn new(heard: Receiver<usize>) -> Self {
        let nats = Nats::start();
        let (mut replicas, mut log_networks) = (Vec::new(), Vec::new());
        for name in ["a", "b", "c"] {
            let mut proxies = Vec::new();
            for n in 0..3 {
                proxies.push(Proxy::to(nats.address(n)).await);
            }
            let urls: Vec<_> = proxies.iter().map(|proxy| format!("nats://{}", proxy.address)).collect();
            replicas.push(replica_at(&urls.join(","), name, &["--grace", "120s"]));
            log_networks.push(proxies);
        }
        let (mut networks, at) = (Vec::new(), std::array::from_fn(|n| n % REPLICAS));
        for n in at {
            networks.push(Proxy::to(replicas[n].address).await);
        }
        Self { nats, replicas, log_networks, networks, at, heard, started: Instant::now() }
    }

    fn say(&self, what: &str) {
        eprintln!("{:6.1?} s: {what}", self.started.elapsed().as_secs_f64());
    }

    /// Waits until some more messages of each of these publishers have come back to them.
    #[track_caller]
    fn progress(&self, who: impl Fn(usize) -> bool) {
        let (mut missing, start) = ([MESSAGES; CLIENTS], Instant::now());
        while missing.iter().enumerate().any(|(n, missing)| who(n) && *missing > 0) {
            let left = PATIENCE.checked_sub(start.elapsed()).unwrap_or_default();
            match self.heard.recv_timeout(left) {
                Ok(publisher) => missing[publisher] = missing[publisher].saturating_sub(1),
                Err(_) => panic!("not everybody gets on: {missing:?} are missing"),
            }
        }
    }

    #[track_caller]
    fn everybody_gets_on(&self) {
        let start = Instant::now();
        self.progress(|_| true);
        self.say(&format!("everybody got on within {:.1?}", start.elapsed()));
    }

    /// The clients of a replica go to the next one, as a client that knows several addresses does.
    fn leave_replica(&mut self, replica: usize) {
        let next = (replica + 1) % REPLICAS;
        for n in 0..CLIENTS {
            if self.at[n] != replica {
                continue;
            }
            self.networks[n].cut();
            self.networks[n].restore(self.replicas[next].address);
            self.at[n] = next;
        }
    }

    /// Everybody goes back to where it began.
    fn spread(&mut self) {
        for n in 0..CLIENTS {
            if self.at[n] == n % REPLICAS {
                continue;
            }
            self.at[n] = n % REPLICAS;
            self.networks[n].cut();
            self.networks[n].restore(self.replicas[self.at[n]].address);
        }
    }

    fn kill_replica(&mut self, n: usize) {
        self.say(&format!("replica {n} is killed"));
        self.replicas[n].kill();
        self.leave_replica(n);
    }

    async fn kill_leader(&mut self) -> usize {
        let leader = self.nats.leader("chitchat").await;
        self.say(&format!("server {leader}, which leads the stream, is killed"));
        self.nats.kill(leader);
        leader
    }

    async fn round(&mut self, round: usize) {
        let victim = round % REPLICAS;
        self.everybody_gets_on();
        self.kill_replica(victim);
        self.everybody_gets_on();
        self.replicas[victim].start_again();
        self.spread();

        let leader = self.kill_leader().await;
        self.everybody_gets_on();
        self.nats.start_again(leader);

        self.everybody_gets_on();
        let leader = self.kill_leader().await;
        self.kill_replica(victim);
        self.everybody_gets_on();
        self.nats.start_again(leader);
        self.replicas[victim].start_again();
        self.spread();
        self.everybody_gets_on();

        self.say("a replica is frozen");
        self.replicas[victim].program.as_ref().unwrap().signal("STOP");
        let others = self.at;
        // Long enough for the others to take it for gone.
        let gone = Instant::now();
        while gone.elapsed() < Duration::from_secs(8) {
            self.progress(|n| others[n] != victim);
        }
        self.replicas[victim].program.as_ref().unwrap().signal("CONT");
        self.everybody_gets_on();

        let leader = self.nats.leader("chitchat").await;
        self.say(&format!("server {leader}, which leads the stream, is frozen"));
        self.nats.signal(leader, "STOP");
        self.everybody_gets_on();
        self.nats.signal(leader, "CONT");
        self.everybody_gets_on();

        self.say("a replica is cut off from the log");
        self.log_networks[victim].iter().for_each(Proxy::cut);
        self.progress(|n| others[n] != victim);
        self.leave_replica(victim);
        self.everybody_gets_on();
        for (n, proxy) in self.log_networks[victim].iter().enumerate() {
            proxy.restore(self.nats.address(n));
        }
        self.spread();
        self.everybody_gets_on();

        self.rolling_restart();
    }

    /// Everything is restarted, one process after the other.
    fn rolling_restart(&mut self) {
        for n in 0..REPLICAS {
            self.say(&format!("replica {n} is restarted"));
            let program = self.replicas[n].program.as_mut().unwrap();
            program.signal("TERM");
            self.leave_replica(n);
            let program = self.replicas[n].program.as_mut().unwrap();
            program.end().succeeded();
            self.replicas[n].start_again();
            self.spread();
            self.everybody_gets_on();
        }
        for n in 0..3 {
            self.say(&format!("server {n} is restarted"));
            self.nats.stop(n);
            self.nats.start_again(n);
            self.everybody_gets_on();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_lose_repeat_and_reorder_nothing_whatever_breaks_v1_to_v15() {
    let rounds = std::env::var("REPLICAS_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1);
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
    for round in 0..rounds {
        world.round(round).await;
    }
    stop.store(true, Ordering::Relaxed);
    let speaking: Vec<Speaking> = speaking.into_iter().map(|speaking| speaking.join().unwrap()).collect();
    let mut written = 0;
    let mut clients = Vec::new();
    for Speaking { mut client, written: own } in speaking {
        client.quit().succeeded();
        let acknowledged =
            client.records().iter().filter(|record| record["event"] == "publish_acknowledged").count();
        assert_eq!(acknowledged, own, "everything that was written was acknowledged");
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
    world.say(&format!("{written} messages; {}", report.join("\n")));
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

/// Publishes one message after the other until it is told to stop, and reads until it has got all of them.
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

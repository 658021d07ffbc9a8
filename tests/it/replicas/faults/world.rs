//! Faults of replicas, of the servers of their log, and of the networks between them.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use crate::replicas::replica_at;
use crate::support::{DurableServer, Held, Nats, Proxy};

pub const REPLICAS: usize = 3;
pub const CLIENTS: usize = 6;
/// How long the participants may take to make progress after a fault.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// How many messages of each publisher count as progress.
const MESSAGES: usize = 20;

pub struct World {
    pub nats: Nats,
    pub replicas: Vec<DurableServer>,
    /// The network between each replica and each server of the log.
    log_networks: Vec<Vec<Proxy>>,
    /// The network between each client and the replica that it uses now.
    pub networks: Vec<Proxy>,
    /// The replica that each client uses now.
    at: [usize; CLIENTS],
    heard: Receiver<usize>,
    started: Instant,
}

impl World {
    pub async fn new(heard: Receiver<usize>) -> Self {
        let nats = Nats::start_apart().await;
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

    pub fn say(&self, what: &str) {
        eprintln!("{:6.1?} s: {what}", self.started.elapsed().as_secs_f64());
    }

    /// Waits until each of these publishers has received [`MESSAGES`] more of its own messages.
    #[track_caller]
    pub fn progress(&self, who: impl Fn(usize) -> bool) {
        let (mut missing, start) = ([MESSAGES; CLIENTS], Instant::now());
        while missing.iter().enumerate().any(|(n, missing)| who(n) && *missing > 0) {
            let left = PATIENCE.checked_sub(start.elapsed()).unwrap_or_default();
            match self.heard.recv_timeout(left) {
                Ok(publisher) => missing[publisher] = missing[publisher].saturating_sub(1),
                Err(_) => panic!("not all make progress: {missing:?} messages are missing"),
            }
        }
    }

    #[track_caller]
    pub fn all_make_progress(&self) {
        let start = Instant::now();
        self.progress(|_| true);
        self.say(&format!("all made progress within {:.1?}", start.elapsed()));
    }

    /// Moves the clients of a replica to the next one, as a client that knows several addresses does by itself.
    pub fn leave_replica(&mut self, replica: usize) {
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

    /// Moves all clients back to their first replica.
    pub fn spread(&mut self) {
        for n in 0..CLIENTS {
            if self.at[n] == n % REPLICAS {
                continue;
            }
            self.at[n] = n % REPLICAS;
            self.networks[n].cut();
            self.networks[n].restore(self.replicas[self.at[n]].address);
        }
    }

    pub fn kill_replica(&mut self, n: usize) {
        self.say(&format!("replica {n} is killed"));
        self.replicas[n].kill();
        self.leave_replica(n);
    }

    pub async fn kill_leader(&mut self) -> usize {
        let leader = self.nats.leader("chitchat").await;
        self.say(&format!("server {leader}, which leads the stream, is killed"));
        self.nats.kill(leader);
        leader
    }

    /// Causes a fault, waits until the participants make progress, repairs it, and waits again. `duration` must be long
    /// enough for others to notice a suspended process.
    pub async fn inject(&mut self, fault: Fault, victim: usize, duration: Duration) {
        self.say(&format!("{fault:?}, replica {victim}"));
        match fault {
            Fault::KillReplica => {
                self.kill_replica(victim);
                self.all_make_progress();
                self.replicas[victim].start_again();
                self.spread();
            }
            Fault::KillLeader => {
                let leader = self.kill_leader().await;
                self.all_make_progress();
                self.nats.start_again(leader);
            }
            Fault::KillBoth => {
                let leader = self.kill_leader().await;
                self.kill_replica(victim);
                self.all_make_progress();
                self.nats.start_again(leader);
                self.replicas[victim].start_again();
                self.spread();
            }
            Fault::FreezeReplica => {
                self.replicas[victim].program.as_ref().unwrap().signal("STOP");
                self.others_make_progress(victim, duration);
                self.replicas[victim].program.as_ref().unwrap().signal("CONT");
            }
            Fault::CutReplica | Fault::MuteReplica | Fault::DeafenReplica => {
                self.cut_off_replica(fault, victim, duration);
            }
            Fault::RestartAll => self.rolling_restart(),
            Fault::FreezeLeader | Fault::IsolateLeader | Fault::MuteLeader | Fault::DeafenLeader => {
                let leader = self.nats.leader("chitchat").await;
                match fault {
                    Fault::FreezeLeader => self.nats.signal(leader, "STOP"),
                    Fault::IsolateLeader => self.nats.isolate(leader),
                    Fault::MuteLeader => self.nats.mute(leader),
                    _ => self.nats.deafen(leader),
                }
                let start = Instant::now();
                self.all_make_progress();
                while start.elapsed() < duration {
                    self.progress(|_| true);
                }
                match fault {
                    Fault::FreezeLeader => self.nats.signal(leader, "CONT"),
                    _ => self.nats.reunite(leader),
                }
            }
        }
        self.all_make_progress();
    }

    /// Waits this long while the clients of all other replicas make progress.
    fn others_make_progress(&self, victim: usize, duration: Duration) {
        let (at, start) = (self.at, Instant::now());
        while start.elapsed() < duration {
            self.progress(|n| at[n] != victim);
        }
    }

    /// Cuts a replica off from all servers of the log, in one or both directions.
    fn cut_off_replica(&mut self, fault: Fault, victim: usize, duration: Duration) {
        for proxy in &self.log_networks[victim] {
            match fault {
                Fault::MuteReplica => proxy.hold(Held { there: true, back: false }),
                Fault::DeafenReplica => proxy.hold(Held { there: false, back: true }),
                _ => proxy.cut(),
            }
        }
        self.others_make_progress(victim, duration);
        self.leave_replica(victim);
        self.all_make_progress();
        for (n, proxy) in self.log_networks[victim].iter().enumerate() {
            proxy.hold(Held::default());
            proxy.restore(self.nats.address(n));
        }
        self.spread();
    }

    /// Restarts all processes, one after another.
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
            self.all_make_progress();
        }
        for n in 0..3 {
            self.say(&format!("server {n} is restarted"));
            self.nats.stop(n);
            self.nats.start_again(n);
            self.all_make_progress();
        }
    }
}

/// What can break.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// kill -9 of a replica; its clients go to another one.
    KillReplica,
    /// kill -9 of the server that leads the stream.
    KillLeader,
    /// Both at once.
    KillBoth,
    /// SIGSTOP of a replica.
    FreezeReplica,
    /// SIGSTOP of the server that leads the stream.
    FreezeLeader,
    /// A replica and the servers cannot reach each other.
    CutReplica,
    /// What a replica sends does not reach the servers.
    MuteReplica,
    /// What the servers send does not reach a replica.
    DeafenReplica,
    /// The server that leads the stream and the other two cannot reach each other.
    IsolateLeader,
    /// What the leader sends does not reach the other two.
    MuteLeader,
    /// What the other two send does not reach the leader.
    DeafenLeader,
    /// Every process is restarted, one after another.
    RestartAll,
}

impl Fault {
    pub const ALL: [Self; 12] = [
        Self::KillReplica,
        Self::KillLeader,
        Self::KillBoth,
        Self::FreezeReplica,
        Self::FreezeLeader,
        Self::CutReplica,
        Self::MuteReplica,
        Self::DeafenReplica,
        Self::IsolateLeader,
        Self::MuteLeader,
        Self::DeafenLeader,
        Self::RestartAll,
    ];
}

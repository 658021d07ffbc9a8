//! A cluster of nats-servers, each a process that can be killed, frozen and started again. The network between them can
//! be cut if a test asks for it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use async_nats::jetstream::{self, Context};
use tempfile::TempDir;

use super::super::{DEADLINE, Held, Proxy};

/// The servers of one cluster. They sync each message before they acknowledge it.
pub struct Nats {
    servers: Vec<NatsServer>,
    /// The proxy from each server to each other one, if the network can be cut.
    routes: Vec<Vec<Option<Proxy>>>,
    folder: TempDir,
}

struct NatsServer {
    process: Option<Child>,
    config: PathBuf,
    address: SocketAddr,
    /// Where the other servers connect to it.
    route: SocketAddr,
}

/// The program: `NATS_SERVER` of the environment, or what `tests/tools python` installed.
pub fn nats_server() -> PathBuf {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/nats/venv/bin/nats-server");
    std::env::var_os("NATS_SERVER").map_or(installed, PathBuf::from)
}

/// Ports that are free right now.
fn free_ports<const N: usize>() -> [u16; N] {
    let taken = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    taken.map(|listener| listener.local_addr().unwrap().port())
}

impl Nats {
    /// Three servers.
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// Three servers with additional lines in their configuration.
    pub fn start_with(more: &str) -> Self {
        let mut nats = Self::configured();
        nats.configure_all(more);
        (0..3).for_each(|n| nats.start_again(n));
        nats
    }

    /// Changes the additional lines of running servers. Clients whose permissions change are disconnected.
    pub fn reconfigure(&self, more: &str) {
        self.configure_all(more);
        (0..3).for_each(|n| self.signal(n, "HUP"));
    }

    fn configure_all(&self, more: &str) {
        let routes = self.servers.iter().map(|server| format!("nats-route://{}", server.route));
        let routes = routes.collect::<Vec<_>>().join(", ");
        (0..3).for_each(|n| self.configure(n, &routes, "", more));
    }

    /// Three servers with a network between them that can be cut.
    pub async fn start_apart() -> Self {
        let mut nats = Self::configured();
        let [dead] = free_ports();
        for from in 0..3 {
            let (mut proxies, mut routes) = (Vec::new(), Vec::new());
            for to in 0..3 {
                if from == to {
                    proxies.push(None);
                    continue;
                }
                let proxy = Proxy::to(nats.servers[to].route).await;
                routes.push(format!("nats-route://{}", proxy.address));
                proxies.push(Some(proxy));
            }
            nats.routes.push(proxies);
            // The servers advertise a dead address to each other, so that all their connections use the proxies.
            let more = format!("advertise: \"127.0.0.1:{dead}\", no_advertise: true,");
            nats.configure(from, &routes.join(", "), &more, "");
        }
        (0..3).for_each(|n| nats.start_again(n));
        nats
    }

    /// Three servers that are not running yet.
    fn configured() -> Self {
        assert!(nats_server().exists(), "there is no nats-server: `tests/tools python` installs it");
        let folder = TempDir::new().unwrap();
        let [a, b, c, ra, rb, rc] = free_ports().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let servers = [(1, a, ra), (2, b, rb), (3, c, rc)].map(|(n, address, route)| {
            let config = folder.path().join(format!("n{n}.conf"));
            NatsServer { process: None, config, address, route }
        });
        Self { servers: servers.into(), routes: Vec::new(), folder }
    }

    fn configure(&self, n: usize, routes: &str, of_cluster: &str, more: &str) {
        let NatsServer { config, address, route, .. } = &self.servers[n];
        let cluster = self.folder.path().file_name().unwrap().to_string_lossy().replace('.', "");
        let (name, store) = (n + 1, config.with_extension("store"));
        let text = format!(
            "server_name: n{name}\nlisten: \"{address}\"\n\
             jetstream {{ store_dir: {store:?}, sync_interval: always }}\n\
             cluster {{ name: {cluster}, listen: \"{route}\", {of_cluster} routes: [{routes}] }}\n{more}\n"
        );
        fs::write(config, text).unwrap();
    }

    /// Starts a server again with a changed configuration.
    pub fn start_changed(&mut self, n: usize, change: impl Fn(String) -> String) {
        self.kill(n);
        let config = self.servers[n].config.clone();
        fs::write(&config, change(fs::read_to_string(&config).unwrap())).unwrap();
        self.start_again(n);
    }

    /// Cuts a server off from the other two.
    pub fn isolate(&self, n: usize) {
        self.ways(n).for_each(|(_, _, proxy)| proxy.cut());
    }

    /// Holds back all that a server sends to the others; it still receives from them.
    pub fn mute(&self, n: usize) {
        self.ways(n).for_each(|(from, _, proxy)| proxy.hold(Held { there: from == n, back: from != n }));
    }

    /// Holds back all that the others send to a server; they still receive from it.
    pub fn deafen(&self, n: usize) {
        self.ways(n).for_each(|(from, _, proxy)| proxy.hold(Held { there: from != n, back: from == n }));
    }

    /// Reconnects a server with the others.
    pub fn reunite(&self, n: usize) {
        for (_, to, proxy) in self.ways(n) {
            proxy.hold(Held::default());
            proxy.restore(self.servers[to].route);
        }
    }

    /// The proxies between a server and the others: (from, to, proxy).
    fn ways(&self, n: usize) -> impl Iterator<Item = (usize, usize, &Proxy)> {
        let all = self.routes.iter().enumerate().flat_map(|(from, to)| {
            to.iter().enumerate().filter_map(move |(to, proxy)| Some((from, to, proxy.as_ref()?)))
        });
        all.filter(move |(from, to, _)| *from == n || *to == n)
    }

    pub fn address(&self, n: usize) -> SocketAddr {
        self.servers[n].address
    }

    /// The servers' URLs, for `--replicate`.
    pub fn urls(&self) -> String {
        let urls: Vec<_> = self.servers.iter().map(|server| format!("nats://{}", server.address)).collect();
        urls.join(",")
    }

    /// Starts a server that is not running, and waits until it accepts connections.
    #[track_caller]
    pub fn start_again(&mut self, n: usize) {
        let server = &mut self.servers[n];
        let log = server.config.with_extension("log");
        let mut command = Command::new(nats_server());
        command.arg("-c").arg(&server.config).arg("-l").arg(log);
        server.process = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let start = Instant::now();
        while TcpStream::connect(server.address).is_err() {
            assert!(start.elapsed() < DEADLINE, "a nats-server does not start");
            std::thread::yield_now();
        }
    }

    /// Kills a server (SIGKILL).
    pub fn kill(&mut self, n: usize) {
        if let Some(mut process) = self.servers[n].process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Stops a server in an orderly way.
    pub fn stop(&mut self, n: usize) {
        self.signal(n, "TERM");
        if let Some(mut process) = self.servers[n].process.take() {
            process.wait().unwrap();
        }
    }

    /// Sends a signal to a server. STOP freezes it, CONT resumes it.
    pub fn signal(&self, n: usize, name: &str) {
        let process = self.servers[n].process.as_ref().unwrap().id();
        let kill = Command::new("sh").arg("-c").arg(format!("kill -{name} {process}")).status();
        assert!(kill.unwrap().success());
    }

    /// A JetStream client of the cluster.
    pub async fn jetstream(&self) -> Context {
        let urls: Vec<_> = self.urls().split(',').map(str::to_owned).collect();
        let client = async_nats::connect(urls).await.unwrap();
        jetstream::new(client)
    }

    /// Creates a stream, retrying until the servers have found each other.
    pub async fn make(&self, jetstream: &Context, config: jetstream::stream::Config) {
        let start = Instant::now();
        while let Err(error) = jetstream.create_stream(config.clone()).await {
            assert!(start.elapsed() < DEADLINE, "{error}");
        }
    }

    /// Waits until every server has a complete copy of a stream.
    pub async fn wait_for_copies(&self, stream: &str) {
        let (jetstream, start) = (self.jetstream().await, Instant::now());
        loop {
            assert!(start.elapsed() < DEADLINE, "a server does not catch up");
            let Ok(stream) = jetstream.get_stream(stream).await else { continue };
            let cluster = stream.cached_info().cluster.as_ref();
            if cluster.is_some_and(|it| it.replicas.len() == 2 && it.replicas.iter().all(|peer| peer.current)) {
                return;
            }
        }
    }

    /// Which server leads a stream.
    pub async fn leader(&self, stream: &str) -> usize {
        let (jetstream, start) = (self.jetstream().await, Instant::now());
        loop {
            assert!(start.elapsed() < DEADLINE, "the stream has no leader");
            let Ok(stream) = jetstream.get_stream(stream).await else { continue };
            let leader = stream.cached_info().cluster.as_ref().and_then(|cluster| cluster.leader.clone());
            let name = leader.unwrap_or_default();
            if let Some(n) = name.strip_prefix('n').and_then(|n| n.parse::<usize>().ok()) {
                return n - 1;
            }
        }
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        (0..self.servers.len()).for_each(|n| self.kill(n));
    }
}

//! A cluster of nats-servers, each a process that can be killed, frozen and started again. The network between them can be
//! cut, where a test asks for that.

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
    /// From each server to each, where there are any.
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

/// Where `tests/tools python` puts it, or where the environment says.
pub fn nats_server() -> PathBuf {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/nats/venv/bin/nats-server");
    std::env::var_os("NATS_SERVER").map_or(installed, PathBuf::from)
}

/// Ports that nothing has right now.
fn free_ports<const N: usize>() -> [u16; N] {
    let taken = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    taken.map(|listener| listener.local_addr().unwrap().port())
}

impl Nats {
    /// Three servers.
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// Three servers with something more in their configuration.
    pub fn start_with(more: &str) -> Self {
        let mut nats = Self::configured();
        nats.configure_all(more);
        (0..3).for_each(|n| nats.start_again(n));
        nats
    }

    /// Gives running servers something else in their configuration. Clients whose permissions change are disconnected.
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
            // They tell each other of an address that leads nowhere, so that each way is one of these.
            let more = format!("advertise: \"127.0.0.1:{dead}\", no_advertise: true,");
            nats.configure(from, &routes.join(", "), &more, "");
        }
        (0..3).for_each(|n| nats.start_again(n));
        nats
    }

    /// Three servers that do not run yet.
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

    /// Cuts a server off from the other two.
    pub fn isolate(&self, n: usize) {
        self.ways(n).for_each(|(_, _, proxy)| proxy.cut());
    }

    /// Lets nothing that a server says reach the others, though it hears them.
    pub fn mute(&self, n: usize) {
        self.ways(n).for_each(|(from, _, proxy)| proxy.hold(Held { there: from == n, back: from != n }));
    }

    /// Lets a server hear nothing of the others, though they hear it.
    pub fn deafen(&self, n: usize) {
        self.ways(n).for_each(|(from, _, proxy)| proxy.hold(Held { there: from != n, back: from == n }));
    }

    /// Connects a server with the others again.
    pub fn reunite(&self, n: usize) {
        for (_, to, proxy) in self.ways(n) {
            proxy.hold(Held::default());
            proxy.restore(self.servers[to].route);
        }
    }

    /// The ways between a server and the others: who connects to whom.
    fn ways(&self, n: usize) -> impl Iterator<Item = (usize, usize, &Proxy)> {
        let all = self.routes.iter().enumerate().flat_map(|(from, to)| {
            to.iter().enumerate().filter_map(move |(to, proxy)| Some((from, to, proxy.as_ref()?)))
        });
        all.filter(move |(from, to, _)| *from == n || *to == n)
    }

    pub fn address(&self, n: usize) -> SocketAddr {
        self.servers[n].address
    }

    /// What `--replicate` takes.
    pub fn urls(&self) -> String {
        let urls: Vec<_> = self.servers.iter().map(|server| format!("nats://{}", server.address)).collect();
        urls.join(",")
    }

    /// Starts a server that is not running, and waits until it takes connections.
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

    /// Ends a server without a chance to do anything (SIGKILL).
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

    /// STOP freezes a server, CONT lets it go on.
    pub fn signal(&self, n: usize, name: &str) {
        let process = self.servers[n].process.as_ref().unwrap().id();
        let kill = Command::new("sh").arg("-c").arg(format!("kill -{name} {process}")).status();
        assert!(kill.unwrap().success());
    }

    /// The servers as a client sees them.
    pub async fn jetstream(&self) -> Context {
        let urls: Vec<_> = self.urls().split(',').map(str::to_owned).collect();
        let client = async_nats::connect(urls).await.unwrap();
        jetstream::new(client)
    }

    /// Makes a stream, as soon as the servers have found each other.
    pub async fn make(&self, jetstream: &Context, config: jetstream::stream::Config) {
        let start = Instant::now();
        while let Err(error) = jetstream.create_stream(config.clone()).await {
            assert!(start.elapsed() < DEADLINE, "{error}");
        }
    }

    /// Waits until every server has all of a stream.
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
            assert!(start.elapsed() < DEADLINE, "nobody leads the stream");
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

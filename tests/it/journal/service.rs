//! A service process with a journal file, and a publisher that keeps every receipt.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use chitchat::wire::pb::chit_chat_service_client::ChitChatServiceClient;
use chitchat::wire::pb::join_response::Frame;
use chitchat::wire::{Reason, pb};
use http::StatusCode;
use serde_json::Value;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use crate::support::{Http1, check_logs};

/// How long to wait for something that should happen soon.
const PATIENCE: Duration = Duration::from_secs(30);

/// Polls until `found` returns something.
pub async fn until<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found().await {
            return found;
        }
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Runs the program until it ends.
pub fn chitchat(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chitchat"));
    command.args(arguments).output().expect("the program runs")
}

/// Starts a service that must fail, and returns its error.
pub fn serve_refused(journal: &Path) -> String {
    let logs = tempfile::tempdir().unwrap();
    let (logs, journal) = (logs.path().to_string_lossy(), journal.to_string_lossy());
    let output = chitchat(&["serve", "--listen", "127.0.0.1:0", "--log-dir", &logs, "--journal", &journal]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// A service process. Dropping it kills the process.
pub struct Service {
    child: Child,
    logs: tempfile::TempDir,
    /// The URL at which it serves.
    pub address: String,
}

impl Service {
    /// Starts a service with a journal file.
    pub async fn start(journal: &Path) -> Self {
        Self::start_with(journal, &mut Command::new(env!("CARGO_BIN_EXE_chitchat"))).await
    }

    /// Starts it with a command that lacks only the arguments of `serve`.
    pub async fn start_with(journal: &Path, command: &mut Command) -> Self {
        let logs = tempfile::tempdir().expect("a folder for logs");
        let stderr = std::fs::File::create(logs.path().join("stderr")).expect("a file for standard error");
        let child = command
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--log-level",
                "info",
                "--publish-rate",
                "0",
                "--address-limits",
                "off",
                "--log-dir",
            ])
            .arg(logs.path())
            .arg("--journal")
            .arg(journal)
            .stdin(Stdio::null())
            .stderr(stderr)
            .spawn()
            .expect("the program starts");
        let mut service = Self { child, logs, address: String::new() };
        service.address = until("the start of the service", async || {
            let log = std::fs::read_to_string(service.logs.path().join("server.jsonl")).unwrap_or_default();
            let started = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let started = started.into_iter().find(|record| record["event"] == "server_started")?;
            started["address"].as_str().map(|address| format!("http://{address}"))
        })
        .await;
        service
    }

    /// The process ID.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.logs.path().join("stderr")).expect("standard error is a file")
    }

    /// The status of `/readyz`.
    pub async fn readiness(&self) -> StatusCode {
        let address = self.address.trim_start_matches("http://").parse().expect("an address");
        Http1::get(address, "/readyz").await.status
    }

    /// Kills the process (SIGKILL).
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Asks the process to stop, and waits for its end.
    pub async fn stop(self) -> ExitStatus {
        let asked = Command::new("kill").arg(self.id().to_string()).status().expect("kill runs");
        assert!(asked.success());
        self.end().await.0
    }

    /// Waits for the end of the process. Also returns what it wrote to standard error.
    pub async fn end(mut self) -> (ExitStatus, String) {
        let status =
            until("the end of the service", async || self.child.try_wait().expect("it can be waited for"));
        let status = status.await;
        (status, std::fs::read_to_string(self.logs.path().join("stderr")).expect("standard error is a file"))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        check_logs(self.logs.path());
    }
}

/// A participant that publishes without the retries of the client library.
pub struct Publisher {
    pub client: ChitChatServiceClient<Channel>,
    pub token: String,
    clock: u64,
    sent: u64,
    /// The sequence and text of every acknowledged message.
    pub acknowledged: Vec<(u64, String)>,
}

impl Publisher {
    /// Joins and closes the stream: the session lasts for its grace period.
    pub async fn join(service: &Service, name: &str) -> Self {
        let channel = Endpoint::from_shared(service.address.clone()).expect("an address").connect_lazy();
        let mut client = ChitChatServiceClient::new(channel);
        let request = pb::JoinRequest { display_name: name.into(), logical_time: 1, ..Default::default() };
        let mut stream = client.join(request).await.expect("the join is accepted").into_inner();
        let Some(Frame::Welcome(welcome)) =
            stream.message().await.expect("a stream").and_then(|first| first.frame)
        else {
            panic!("the first frame is not a Welcome")
        };
        Self {
            client,
            token: welcome.session_token,
            clock: welcome.logical_time,
            sent: 0,
            acknowledged: Vec::new(),
        }
    }

    /// Continues the same session at another process.
    pub fn move_to(&mut self, service: &Service) {
        let channel = Endpoint::from_shared(service.address.clone()).expect("an address").connect_lazy();
        self.client = ChitChatServiceClient::new(channel);
    }

    /// Publishes a new text.
    pub async fn publish(&mut self) -> Result<(), tonic::Status> {
        self.sent += 1;
        let request = self.newest_message();
        let text = request.text.clone();
        let answer = self.client.publish(request).await?.into_inner();
        self.clock = answer.logical_time + 1;
        self.acknowledged.push((answer.sequence, text));
        Ok(())
    }

    /// Publishes the newest message again. Returns its sequence.
    pub async fn repeat(&mut self) -> Result<u64, tonic::Status> {
        let request = self.newest_message();
        Ok(self.client.publish(request).await?.into_inner().sequence)
    }

    fn newest_message(&self) -> pb::PublishRequest {
        pb::PublishRequest {
            session_token: self.token.clone(),
            text: format!("message {:0>100}", self.sent),
            logical_time: self.clock + 1,
            message_id: self.sent.to_string(),
            seen_sequence: 0,
            sent_at: None,
        }
    }

    /// Publishes until the journal is unavailable.
    pub async fn publish_until_unavailable(&mut self) {
        for _ in 0..100_000 {
            match self.publish().await {
                Ok(()) => {}
                Err(status) if is_unavailable(&status) => return,
                Err(status) => panic!("{status:?}"),
            }
        }
        panic!("the journal stays available");
    }

    /// Publishes until a message is accepted again.
    pub async fn publish_until_accepted(&mut self) {
        until("an acknowledgement", async || match self.publish().await {
            Ok(()) => Some(()),
            Err(status) if is_unavailable(&status) => None,
            Err(status) => panic!("{status:?}"),
        })
        .await;
    }
}

fn is_unavailable(status: &tonic::Status) -> bool {
    status.code() == Code::Unavailable && Reason::of(status) == Some(Reason::JournalUnavailable)
}

/// The events of a journal as `chitchat journal export` writes them.
pub fn export(journal: &Path) -> Vec<Value> {
    let output = chitchat(&["journal", "export", &journal.to_string_lossy()]);
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).expect("the export is UTF-8");
    lines.lines().map(|line| serde_json::from_str(line).expect("the export is JSON Lines")).collect()
}

/// Checks that every acknowledged message is in the journal at its position, and that the journal is intact.
pub fn assert_kept(journal: &Path, publishers: &[&Publisher]) {
    let events = export(journal);
    for (sequence, text) in publishers.iter().flat_map(|publisher| &publisher.acknowledged) {
        let event = &events[usize::try_from(*sequence).unwrap() - 1];
        assert_eq!((&event["sequence"], &event["content"]), (&(*sequence).into(), &text.as_str().into()));
    }
    let check = chitchat(&["journal", "check", &journal.to_string_lossy()]);
    assert!(check.status.success(), "{check:?}");
}

/// A small file system in memory. Mounting it takes root, or the right to mount.
pub struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    pub fn mount(options: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = Self(folder);
        assert!(disk.mount_with(options), "this test has to be run by root: it mounts a file system");
        disk
    }

    /// Mounts it again with other options.
    pub fn remount(&self, options: &str) {
        assert!(self.mount_with(&format!("remount,{options}")));
    }

    fn mount_with(&self, options: &str) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(self.0.path());
        mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    /// A file on it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).stderr(Stdio::null()).status();
    }
}

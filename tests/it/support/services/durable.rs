//! A service with a journal file, whose process can be killed and started again.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use chitchat::log::file_name;
use tempfile::TempDir;
use tokio::net::TcpSocket;

use super::super::{Client, Program, check_logs};

/// A service that comes back on the same port, with the same journal and the same log.
pub struct DurableServer {
    pub address: SocketAddr,
    /// The process, while it runs.
    pub program: Option<Program>,
    options: Vec<String>,
    settings: Vec<(String, String)>,
    folder: TempDir,
    /// Whether its logs must prove that the order held.
    pub is_truthful: bool,
    /// Never listened on: it reserves the port while the process is down.
    _port: TcpSocket,
}

impl DurableServer {
    pub fn start(options: &[&str]) -> Self {
        Self::start_with(options, &[])
    }

    /// Starts it with these variables in its environment.
    pub fn start_with(options: &[&str], settings: &[(&str, &str)]) -> Self {
        let port = TcpSocket::new_v4().unwrap();
        port.set_reuseaddr(true).unwrap();
        port.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = port.local_addr().unwrap();
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let folder = TempDir::new().unwrap();
        let mut server =
            Self { address, program: None, options, settings, folder, is_truthful: true, _port: port };
        server.start_again();
        server
    }

    /// Starts another process, and waits until it serves.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.start_again_with_notice("");
    }

    /// Starts another process, and waits for a notice that it prints before it serves.
    #[track_caller]
    pub fn start_again_with_notice(&mut self, notice: &str) {
        let (listen, folder, journal) = (self.address.to_string(), self.folder.path(), self.journal());
        let mut arguments = vec!["serve", "--listen", &listen];
        arguments.extend(["--log-dir", folder.to_str().unwrap(), "--journal", journal.to_str().unwrap()]);
        arguments.extend(self.options.iter().map(String::as_str));
        let settings: Vec<_> = self.settings.iter().map(|(name, value)| (&**name, &**value)).collect();
        let program = Program::start(&arguments, &settings);
        if !notice.is_empty() {
            program.notice(notice);
        }
        program.notice("  server_started ");
        self.program = Some(program);
    }

    /// Kills the process (SIGKILL).
    pub fn kill(&mut self) {
        self.program = None;
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client in plain mode that has joined, with its log beside the service's.
    #[track_caller]
    pub fn join(&self, name: &str) -> Client {
        let (url, folder) = (self.url(), self.folder.path().to_str().unwrap());
        let program =
            Program::start(&["join", "--plain", "--name", name, "--server", &url, "--log-dir", folder], &[]);
        program.notice("* here: ");
        Client { program, log: self.folder.path().join(file_name("client", name)) }
    }

    pub fn journal(&self) -> PathBuf {
        self.folder.path().join("chitchat.db")
    }

    pub fn log(&self) -> PathBuf {
        self.folder.path().join("server.jsonl")
    }

    /// The resident memory of the process, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let process = self.program.as_ref().unwrap().id();
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}

impl Drop for DurableServer {
    fn drop(&mut self) {
        self.kill();
        if self.is_truthful {
            check_logs(self.folder.path());
        }
    }
}

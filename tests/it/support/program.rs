//! The real program, as processes with pipes.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{DEADLINE, Record, records};

/// How long to look for a line while others keep coming.
const UNTIL_MAX: Duration = Duration::from_secs(5 * 60);

/// A `chitchat` process. Dropping it kills the process.
pub struct Program {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines,
    errors: Lines,
}

/// The program with arguments. In the library's own tests there is no separate program, and the test binary takes its
/// place: see src/cli/serve/replica_faults.rs.
fn command(arguments: &[&str]) -> Command {
    if let Some(program) = option_env!("CARGO_BIN_EXE_chitchat") {
        let mut command = Command::new(program);
        command.args(arguments);
        return command;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "cli::serve::replica_faults::program", "--ignored", "--nocapture"]);
    command.env("TEST_ARGUMENTS", arguments.join("\u{1f}"));
    command
}

/// Lines as a process writes them.
struct Lines(Receiver<String>);

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
                let text = String::from_utf8(std::mem::take(&mut line)).expect("the program writes UTF-8");
                if sender.send(text.strip_suffix('\n').map(str::to_owned).unwrap_or(text)).is_err() {
                    break;
                }
            }
        });
        Self(receiver)
    }

    /// The next line; `None` once the process has closed its end.
    #[track_caller]
    fn next(&self) -> Option<String> {
        self.next_within(DEADLINE)
    }

    #[track_caller]
    fn next_within(&self, deadline: Duration) -> Option<String> {
        match self.0.recv_timeout(deadline) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no line came in time"),
        }
    }

    /// Reads up to the first line that contains a text. Returns all lines read, including that one.
    #[track_caller]
    fn until(&self, text: &str) -> Vec<String> {
        let (mut lines, start): (Vec<String>, _) = (Vec::new(), Instant::now());
        while !lines.last().is_some_and(|line| line.contains(text)) {
            assert!(start.elapsed() < UNTIL_MAX, "only other lines than {text:?}, the last: {:?}", lines.last());
            match self.next() {
                Some(line) => lines.push(line),
                None => panic!("the process ended without {text:?}: {lines:#?}"),
            }
        }
        lines
    }

    #[track_caller]
    fn rest(&self, deadline: Duration) -> Vec<String> {
        std::iter::from_fn(|| self.next_within(deadline)).collect()
    }
}

/// The output of a process that has ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub output: Vec<String>,
    pub errors: String,
}

impl Ended {
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }
}

impl Program {
    /// `chitchat` with arguments, and with only these settings in its environment. Its journal is in memory by
    /// default.
    pub fn start(arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        Self::of(command(arguments), settings)
    }

    /// The same for a command that a test has built itself.
    pub fn of(mut command: Command, settings: &[(&str, &str)]) -> Self {
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CHITCHAT_")) {
            command.env_remove(name);
        }
        command.env("CHITCHAT_JOURNAL", "memory");
        command.envs(settings.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take();
        let output = Lines::of(child.stdout.take().unwrap());
        let errors = Lines::of(child.stderr.take().unwrap());
        Self { child, input, output, errors }
    }

    /// Runs it, without input, until it ends.
    pub fn run(arguments: &[&str], settings: &[(&str, &str)]) -> Ended {
        Self::start(arguments, settings).end_of_input()
    }

    /// The same for a program that may take longer than [`DEADLINE`] to print anything.
    pub fn run_late(arguments: &[&str], deadline: Duration) -> Ended {
        let mut program = Self::start(arguments, &[]);
        program.input = None;
        program.end_within(deadline)
    }

    pub fn type_line(&mut self, line: impl AsRef<[u8]>) {
        self.type_text(line);
        self.type_text("\n");
    }

    pub fn type_text(&mut self, text: impl AsRef<[u8]>) {
        self.input.as_mut().unwrap().write_all(text.as_ref()).unwrap();
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        // Every shell has `kill` built in.
        let kill = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.child.id())).status();
        assert!(kill.unwrap().success());
    }

    /// The next line of standard output.
    #[track_caller]
    pub fn line(&self) -> String {
        self.output.next().expect("one more line")
    }

    #[track_caller]
    pub fn lines(&self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.line()).collect()
    }

    /// Reads standard output up to a line that contains a text.
    #[track_caller]
    pub fn until(&self, text: &str) -> String {
        self.output.until(text).pop().unwrap()
    }

    /// The same with a deadline other than [`DEADLINE`].
    #[track_caller]
    pub fn until_late(&self, text: &str, deadline: Duration) {
        loop {
            let line = self.output.next_within(deadline).expect("one more line");
            if line.contains(text) {
                return;
            }
        }
    }

    /// Reads standard error up to a line that contains a text.
    #[track_caller]
    pub fn notice(&self, text: &str) -> String {
        self.errors.until(text).pop().unwrap()
    }

    /// Closes standard input and waits for the end.
    #[track_caller]
    pub fn end_of_input(&mut self) -> Ended {
        self.input = None;
        self.end()
    }

    /// Waits for the end.
    #[track_caller]
    pub fn end(&mut self) -> Ended {
        self.end_within(DEADLINE)
    }

    #[track_caller]
    fn end_within(&mut self, deadline: Duration) -> Ended {
        let (output, errors) = (self.output.rest(deadline), self.errors.rest(deadline).join("\n"));
        Ended { code: self.child.wait().unwrap().code(), output, errors }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may already have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A service process, with a folder for all logs.
pub struct ServerProgram {
    pub program: Program,
    pub address: SocketAddr,
    /// What it printed on standard error until it served.
    pub notices: Vec<String>,
    folder: TempDir,
}

impl ServerProgram {
    pub fn start(options: &[&str]) -> Self {
        Self::start_on("127.0.0.1:0", options)
    }

    pub fn start_on(listen: &str, options: &[&str]) -> Self {
        Self::start_command("serve", listen, options)
    }

    /// Starts a service with a command other than `serve`.
    pub fn start_command(command: &str, listen: &str, options: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let mut arguments = vec![command, "--listen", listen, "--log-dir", folder.path().to_str().unwrap()];
        arguments.extend(options);
        let program = Program::start(&arguments, &[]);
        // The record is in the file before it is on standard error.
        let notices = program.errors.until("  server_started ");
        let started = records(&folder.path().join("server.jsonl")).pop().unwrap();
        let address = started["address"].as_str().unwrap().parse().unwrap();
        Self { program, address, notices, folder }
    }

    pub fn log_folder(&self) -> &Path {
        self.folder.path()
    }

    /// Everything in the log so far.
    pub fn records(&self) -> Vec<Record> {
        records(&self.folder.path().join("server.jsonl"))
    }

    /// A client in plain mode that has joined.
    #[track_caller]
    pub fn join(&self, name: &str) -> Client {
        self.join_by(self.address, name, "--plain")
    }

    /// A client that has joined through an address, in a mode such as `--plain`.
    #[track_caller]
    pub fn join_by(&self, address: SocketAddr, name: &str, mode: &str) -> Client {
        self.join_at(&format!("http://{address}"), name, &[mode])
    }

    /// A client that has joined through a URL, with options.
    #[track_caller]
    pub fn join_at(&self, url: &str, name: &str, options: &[&str]) -> Client {
        let program = self.start_client_at(url, name, options);
        program.notice("* here: ");
        Client { program, log: self.folder.path().join(chitchat::log::file_name("client", name)) }
    }

    /// A client whose join may fail.
    pub fn start_client(&self, address: SocketAddr, name: &str, options: &[&str]) -> Program {
        self.start_client_at(&format!("http://{address}"), name, options)
    }

    fn start_client_at(&self, url: &str, name: &str, options: &[&str]) -> Program {
        let (name, folder) = (format!("--name={name}"), self.folder.path().to_str().unwrap());
        Program::start(&[&["join", &name, "--server", url, "--log-dir", folder], options].concat(), &[])
    }

    /// Asks it to stop and waits until it has.
    #[track_caller]
    pub fn stop(&mut self, signal: &str) -> Ended {
        self.program.signal(signal);
        self.program.end()
    }
}

impl Drop for ServerProgram {
    fn drop(&mut self) {
        check_logs(self.folder.path());
    }
}

/// Whatever a test did, its logs must prove that the order held. If the test has already failed, a violation is only
/// printed, as it may show why.
#[allow(clippy::print_stderr, reason = "a test that has already failed must not panic again")]
pub fn check_logs(folder: &Path) {
    let logs: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    // Includes the segments of rotated logs.
    let logs = logs.iter().filter(|path| path.to_str().is_some_and(|path| path.contains(".jsonl")));
    let mut arguments = vec!["verify", "--all"];
    arguments.extend(logs.map(|path| path.to_str().unwrap()));
    let ended = Program::run(&arguments, &[]);
    if ended.code != Some(0) {
        let said =
            format!("the logs do not prove that the order held: {}{}", ended.errors, ended.output.join("\n"));
        if thread::panicking() { eprintln!("{said}") } else { panic!("{said}") }
    }
}

/// A client as a process.
pub struct Client {
    pub program: Program,
    pub log: PathBuf,
}

impl Client {
    pub fn records(&self) -> Vec<Record> {
        records(&self.log)
    }

    /// Leaves as a user does.
    #[track_caller]
    pub fn quit(&mut self) -> Ended {
        self.program.type_line("/quit");
        self.program.end()
    }
}

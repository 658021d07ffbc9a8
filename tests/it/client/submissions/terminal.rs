//! Typing on a terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::support::{DEADLINE, ServerProgram};

const COLUMNS: usize = 60;

/// A program on a pseudo-terminal, and the rows on its screen.
struct Terminal {
    keys: File,
    output: Receiver<Vec<u8>>,
    rows: Vec<String>,
    row: usize,
    child: std::process::Child,
    pending: Vec<u8>,
}

impl Terminal {
    fn start(server: &ServerProgram, name: &str, options: &[&str]) -> Self {
        let main: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&main).unwrap();
        unlockpt(&main).unwrap();
        let path = ptsname(&main, Vec::new()).unwrap().into_string().unwrap();
        let size = Winsize { ws_row: 50, ws_col: COLUMNS as u16, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&main, size).unwrap();
        let end = File::options().read(true).write(true).open(path).unwrap();
        let other = || Stdio::from(end.try_clone().unwrap());
        let child = Command::new(env!("CARGO_BIN_EXE_chitchat"))
            .args(["join", "--name", name, "--server", &format!("http://{}", server.address), "--log-dir"])
            .arg(server.log_folder())
            .args(options)
            .env("TERM", "xterm")
            .stdin(other())
            .stdout(other())
            .stderr(other())
            .spawn()
            .unwrap();
        drop(end);
        let keys = File::from(main);
        let mut reading = keys.try_clone().unwrap();
        let (sender, output) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reading.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { keys, output, rows: vec![String::new()], row: 0, child, pending: vec![] }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Applies output to the screen until a row contains a text.
    fn until(&mut self, text: &str) {
        while !self.rows.iter().any(|row| row.contains(text)) {
            let bytes =
                self.output.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("no {text:?}: {:#?}", self.rows));
            self.pending.extend(bytes);
            self.show();
        }
    }

    /// Interprets text, line ends, "cursor up" and "clear to the end", which is all that the program uses.
    fn show(&mut self) {
        let text = String::from_utf8(std::mem::take(&mut self.pending)).expect("whole characters");
        let mut rest = text.as_str();
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            match c {
                '\r' => {}
                '\n' => self.down(),
                '\x1b' => {
                    let end = rest.find(|c: char| c.is_ascii_alphabetic()).expect("a whole sequence");
                    match (&rest[1..end], &rest[end..=end]) {
                        (up, "A") => self.row -= up.parse::<usize>().unwrap(),
                        ("", "J") => {
                            self.rows.truncate(self.row);
                            self.rows.push(String::new());
                        }
                        other => panic!("{other:?}"),
                    }
                    rest = &rest[end + 1..];
                }
                c => {
                    if self.rows[self.row].chars().count() == COLUMNS {
                        self.down();
                    }
                    self.rows[self.row].push(c);
                }
            }
        }
    }

    fn down(&mut self) {
        self.row += 1;
        if self.row == self.rows.len() {
            self.rows.push(String::new());
        }
    }

    fn count(&self, text: &str) -> usize {
        self.rows.iter().filter(|row| row.contains(text)).count()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// On a terminal, commands are executed, and an unknown one is refused (S3).
#[test]
fn commands_are_not_sent() {
    let server = ServerProgram::start(&[]);
    let _alice = server.join("alice");
    let mut bob = Terminal::start(&server, "bob", &[]);
    bob.until("earlier [3] Participant alice joined");
    bob.until("[5] Participant bob joined");
    let row = |text: &str| bob.rows.iter().position(|row| row.contains(text)).unwrap();
    assert!(row("* type a message") < row("earlier ["), "in order, even across the two outputs: {:#?}", bob.rows);
    bob.press("/who\n");
    bob.until("* here: alice, bob (you)");
    bob.press("/help\n");
    bob.until("* /who ");
    bob.press("/nick rob\n");
    bob.until("refused: there is no command /nick");
    bob.press("//x\n");
    bob.until("] bob: /x");
    bob.press("/quit\n");
    while bob.output.recv_timeout(DEADLINE).is_ok() {}
    let said = server.records().into_iter().filter(|record| record["event"] == "message_broadcast");
    assert_eq!(said.map(|record| record["content"].clone()).collect::<Vec<_>>(), ["/x"]);
}

/// A message that was typed is on the screen once, and nothing else is erased (S7).
#[test]
fn a_typed_message_is_shown_once() {
    let server = ServerProgram::start(&["--publish-rate", "0", "--address-limits", "off"]);
    let mut alice = server.join("alice");
    let mut bob = Terminal::start(&server, "bob", &["--history", "0"]);
    bob.until("] Participant bob joined");
    let mut once = 0;
    for n in 0..20 {
        alice.program.type_line(format!("between {n}!"));
        bob.until(&format!("alice: between {n}!"));
        bob.press(&format!("short {n}.\n"));
        bob.until(&format!("] bob: short {n}."));
        // If another line is printed at the same moment, the typed one stays.
        let shown = bob.count(&format!("short {n}."));
        assert!((1..=2).contains(&shown), "{shown}: {:#?}", bob.rows);
        once += usize::from(shown == 1);
    }
    assert!(once > 0, "{:#?}", bob.rows);
    // It is not certain where a long line begins, so it stays.
    let long = format!("{}wrapped.", "long ".repeat(14));
    bob.press(&format!("{long}\n"));
    bob.until("] bob: long ");
    bob.press("/who\n");
    bob.until("(you)");
    assert_eq!(bob.count(" wrapped."), 2, "{:#?}", bob.rows);
    for n in 0..20 {
        assert_eq!(bob.count(&format!("alice: between {n}!")), 1, "{:#?}", bob.rows);
    }
}

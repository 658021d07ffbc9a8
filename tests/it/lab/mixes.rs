//! Random mixes of faults with real clients, under load, judged by `chitchat verify`.
//!
//! `CHITCHAT_FAULT_MIXES=20 cargo test --test it -- lab::mixes` is the long form, which takes a few minutes.

use std::collections::HashMap;

use crate::support::{Client, Program, ServerProgram};

/// The default number of mixes.
const MIXES: u64 = 4;
const ROUNDS: usize = 12;
const NAMES: [&str; 3] = ["alice", "bob", "carol"];

/// Pseudo-random choices, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        // Knuth's MMIX generator.
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % sides
    }

    fn any<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.roll(choices.len())]
    }
}

/// A lab with clients, and the lines that were typed into them.
struct Mix {
    lab: ServerProgram,
    dice: Dice,
    clients: Vec<Client>,
    /// The lines typed into each client since its last start.
    typed: Vec<Vec<String>>,
    /// The lines of killed clients, which may have been published or not.
    uncertain: Vec<String>,
}

impl Mix {
    fn begin(seed: u64) -> Self {
        let options = ["--lab-open", "--publish-rate", "0", "--address-limits", "off"];
        let lab = ServerProgram::start_command("lab", "127.0.0.1:0", &options);
        let clients = NAMES.iter().map(|name| lab.join(name)).collect();
        Self { lab, dice: Dice(seed), clients, typed: vec![Vec::new(); NAMES.len()], uncertain: Vec::new() }
    }

    fn url(&self) -> String {
        format!("http://{}", self.lab.address)
    }

    #[track_caller]
    fn fault(&self, arguments: &[&str]) -> Vec<String> {
        Program::run(&[&["fault", "--server", &self.url()], arguments].concat(), &[]).succeeded().output
    }

    /// A random fault for a random time.
    fn random_fault(&mut self) -> Vec<&'static str> {
        const DIRECTIONS: [&str; 3] = ["deliveries", "publishes", "both"];
        let dice = &mut self.dice;
        let mut fault = Vec::new();
        if dice.roll(2) == 0 {
            fault.extend(["--hold", dice.any(&DIRECTIONS)]);
        }
        if dice.roll(3) == 0 {
            fault.extend(["--cut", dice.any(&DIRECTIONS)]);
        }
        if dice.roll(2) == 0 {
            let (delay, jitter) = (dice.any(&["1ms", "30ms"]), dice.any(&["1ms", "50ms"]));
            fault.extend(["--delay", delay, "--jitter", jitter, "--delay-of", dice.any(&DIRECTIONS)]);
        }
        if dice.roll(4) == 0 {
            fault.push("--disconnect");
        }
        if fault.is_empty() || dice.roll(6) == 0 {
            fault.push("--pause");
        }
        // A fault that silences a stream for long would keep a killed client from resuming.
        let is_silent = fault.contains(&"--cut") || fault.contains(&"--pause");
        if fault != ["--disconnect"] {
            fault.extend(["--for", dice.any(if is_silent { &["50ms", "300ms"] } else { &["300ms", "10min"] })]);
        }
        fault
    }

    /// Does something at random, as a teacher might.
    fn intervene(&mut self) {
        let whom = self.dice.any(&NAMES);
        match self.dice.roll(8) {
            0 => drop(self.fault(&[whom, "--release", "1"])),
            1 => drop(self.fault(&[whom, "--release", "all"])),
            2 => drop(self.fault(&[whom, "--clear"])),
            3 => drop(self.fault(&["--stop-writer", "100ms"])),
            _ => {
                let fault = self.random_fault();
                self.fault(&[&[whom], &fault[..]].concat());
            }
        }
    }

    fn all_type(&mut self, round: usize) {
        for (n, client) in self.clients.iter_mut().enumerate() {
            for line in 0..3 {
                let text = format!("{} {round} {line}", NAMES[n]);
                client.program.type_line(&text);
                self.typed[n].push(text);
            }
        }
    }

    /// Kills a client and starts it again, so that it resumes.
    fn kill_one(&mut self) {
        let killed = self.dice.roll(NAMES.len());
        self.clients[killed].program.signal("KILL");
        self.clients[killed].program.end();
        self.uncertain.append(&mut self.typed[killed]);
        self.clients[killed] = self.lab.join(NAMES[killed]);
    }

    /// Ends all faults, after which each client must see the last line of all. Whether everything before it arrived
    /// once and in order is checked by `verify` when the service is dropped.
    fn end(mut self) {
        self.fault(&["--clear"]);
        for client in &mut self.clients {
            client.program.type_line("done");
        }
        for client in &self.clients {
            NAMES.iter().for_each(|_| drop(client.program.until(": done")));
        }
        assert!(self.fault(&["--list"]).iter().all(|line| line.ends_with(": no fault")));
        assert!(self.clients.iter_mut().all(|client| client.quit().code == Some(0)));
        let mut said: HashMap<String, usize> = HashMap::new();
        for record in self.lab.records() {
            if record["event"] == "message_broadcast" {
                *said.entry(record["content"].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
        for text in self.typed.iter().flatten() {
            assert_eq!(said.get(text), Some(&1), "{text}: neither lost nor repeated");
        }
        for text in &self.uncertain {
            assert!(said.get(text).is_none_or(|count| *count == 1), "{text}: not repeated");
        }
    }
}

/// K1, K4, K6, V1 to V15: a random mix of faults, ended by hand and by time, under load, while clients are killed and
/// resume. When all faults have ended, every client has everything once and in order.
#[test]
fn random_mixes() {
    let mixes = std::env::var("CHITCHAT_FAULT_MIXES").map_or(MIXES, |mixes| mixes.parse().unwrap());
    for seed in 1..=mixes {
        let mut mix = Mix::begin(seed);
        let url = mix.url();
        let load = [
            "load",
            "--server",
            &url,
            "--participants",
            "4",
            "--publishers",
            "2",
            "--messages",
            "200",
            "--interval",
            "10ms",
        ];
        let mut load = Program::start(&load, &[]);
        for round in 0..ROUNDS {
            mix.intervene();
            mix.all_type(round);
            if mix.dice.roll(6) == 0 {
                mix.kill_one();
            }
        }
        mix.fault(&["--clear"]);
        load.end_of_input().succeeded();
        mix.end();
        eprintln!("mix {seed} of {mixes}: every rule holds");
    }
}

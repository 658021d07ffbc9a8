//! Plays a scenario: its companions join, do what the steps say, and leave; faults are set and cleared.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::behavior::time_of_day;
use super::cast::Cast;
use super::companion::{Character, Companion};
use super::run::Run;
use super::scenario::{Action, Role, Step};
use crate::chat::Sequence;
use crate::server::{FAULT_TIME_MAX, LabHandle, LabObserver};
use crate::wire::pb::{self, CompanionKind, ScenarioState};

/// How long a step may take. Waiting for a leave may take a grace period.
const STEP_TIME_MAX: Duration = Duration::from_secs(2 * 60);
/// How long a scenario waits for a person's message.
const PERSON_TIME_MAX: Duration = Duration::from_secs(10 * 60);
/// How long a companion may take to catch up before it speaks.
const READING_TIME_MAX: Duration = Duration::from_secs(5);
/// How often to check whether the lab holds a person's message.
const LOOK_PAUSE: Duration = Duration::from_millis(50);
/// The placeholder for the speaker's wall-clock time in a text.
const TIME_MARK: &str = "{time}";

/// The pace at which a scenario is played.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Whether each step waits for a call to advance.
    pub stepwise: bool,
    /// How long the scenario otherwise waits before each step.
    pub pause: Duration,
}

/// Why a scenario ends early.
#[derive(Debug)]
enum Broken {
    Stopped,
    Failed(String),
}

/// What the players have said, and which of them have left.
struct Seen {
    observer: LabObserver,
    said: Vec<(String, String)>,
    left: Vec<String>,
}

impl Seen {
    async fn note(&mut self) -> Result<(), Broken> {
        let event = self.observer.next().await;
        let event = event.ok_or_else(|| Broken::Failed("the service has stopped".into()))?;
        let author = event.participant.map(|participant| participant.participant_id).unwrap_or_default();
        match event.kind {
            Some(pb::event::Kind::Message(_)) => self.said.push((author, event.content)),
            Some(pb::event::Kind::Left(_)) => self.left.push(author),
            _ => {}
        }
        Ok(())
    }

    fn count(&self, id: &str) -> usize {
        self.said.iter().filter(|(author, _)| author == id).count()
    }

    fn count_of(&self, id: &str, text: &str) -> usize {
        self.said.iter().filter(|(author, said)| author == id && said == text).count()
    }
}

/// One role while it is being played.
struct Player {
    role: Role,
    name: String,
    /// `None` for a person, and for a companion that does not take part now.
    companion: Option<Companion>,
    /// Its id once it has joined.
    id: String,
    /// What it has said or is about to say.
    texts: Vec<String>,
    /// Whether a fault of the scenario impedes its deliveries.
    is_impaired: bool,
    /// Whether the scenario holds its publishes.
    is_held: bool,
}

impl Player {
    fn no_fault(&mut self) {
        self.is_impaired = false;
        self.is_held = false;
    }
}

/// A scenario while it is being played.
pub struct Play {
    lab: LabHandle,
    cast: Cast,
    run: Run,
    pace: Pace,
    players: Vec<Player>,
    seen: Seen,
}

impl Play {
    /// Begins to play. `person` is the role that a person plays, with the person's id.
    pub fn new(lab: LabHandle, cast: Cast, run: Run, pace: Pace, person: Option<(usize, String)>) -> Self {
        let seen = Seen { observer: lab.observe(), said: Vec::new(), left: Vec::new() };
        let named = run.scenario().roles.iter().zip(run.names()).enumerate();
        let players = named.map(|(index, (role, name))| {
            let played = person.as_ref().filter(|(role, _)| *role == index);
            let id = played.map(|(_, id)| id.clone()).unwrap_or_default();
            Player {
                role: role.clone(),
                name: name.clone(),
                companion: None,
                id,
                texts: Vec::new(),
                is_impaired: false,
                is_held: false,
            }
        });
        let players = players.collect();
        Self { lab, cast, run, pace, players, seen }
    }

    /// Plays to the end.
    pub async fn play(mut self) {
        let stopping = self.run.clone();
        let played = tokio::select! {
            played = self.steps() => played,
            () = stopping.stopped() => Err(Broken::Stopped),
        };
        self.leave().await;
        match played {
            Ok(()) => self.run.set(ScenarioState::Finished),
            Err(Broken::Stopped) => self.run.set(ScenarioState::Stopped),
            Err(Broken::Failed(problem)) => self.run.fail(problem),
        }
        self.run.end();
    }

    /// Clears the faults that it has set, and makes its companions leave.
    async fn leave(&mut self) {
        let mut leaving = JoinSet::new();
        for player in &mut self.players {
            // This fails for a player that has left, which no longer has faults.
            let _ = self.lab.clear_faults(&player.name);
            if let Some(companion) = player.companion.take() {
                leaving.spawn(async move { companion.leave().await });
            }
        }
        leaving.join_all().await;
    }

    async fn steps(&mut self) -> Result<(), Broken> {
        for who in 0..self.players.len() {
            let player = &self.players[who];
            if player.id.is_empty() && !player.role.joins_later {
                self.join(who).await?;
            }
        }
        let scenario = Arc::clone(self.run.scenario());
        for (index, step) in scenario.steps.iter().enumerate() {
            self.wait_turn().await;
            self.run.set(ScenarioState::Playing);
            self.step(step).await.map_err(|broken| match broken {
                Broken::Failed(why) => Broken::Failed(format!("step {}: {why}", index + 1)),
                Broken::Stopped => Broken::Stopped,
            })?;
            self.run.step_done();
        }
        Ok(())
    }

    /// Waits before a step, according to the pace.
    async fn wait_turn(&self) {
        let advanced = self.run.advanced();
        if self.pace.stepwise {
            self.run.set(ScenarioState::WaitsForAdvance);
            return advanced.await;
        }
        tokio::select! {
            () = sleep(self.pace.pause) => {}
            () = advanced => {}
        }
    }

    async fn step(&mut self, step: &Step) -> Result<(), Broken> {
        let is_person = matches!(step.action, Action::Say { who, .. } if self.is_person(who));
        use Action::{WaitDelivered, WaitLeft, WaitSaid, WaitTime};
        let is_wait =
            matches!(step.action, WaitDelivered { .. } | WaitSaid { .. } | WaitLeft { .. } | WaitTime { .. });
        let longest = if is_person { PERSON_TIME_MAX } else { STEP_TIME_MAX };
        let advanced = self.run.advanced();
        tokio::select! {
            done = timeout(longest, self.act(&step.action)) => {
                done.unwrap_or_else(|_| Err(Broken::Failed(format!("it took longer than {} s", longest.as_secs()))))
            }
            // A step that waits can be skipped.
            () = advanced, if is_person || is_wait => Ok(()),
        }
    }

    async fn act(&mut self, action: &Action) -> Result<(), Broken> {
        match action {
            Action::Look => Ok(()),
            Action::Say { who, text, later } if self.is_person(*who) => {
                self.run.wait_for(&self.players[*who].name);
                self.person_says(*who, text, *later).await
            }
            Action::Say { who, text, later } => self.companion_says(*who, text, *later).await,
            Action::Fault { who, fault, disconnect } => {
                let request = pb::SetFaultRequest {
                    display_name: self.players[*who].name.clone(),
                    fault: (*fault != pb::Fault::default()).then_some(*fault),
                    disconnect: *disconnect,
                    duration: prost_types::Duration::try_from(FAULT_TIME_MAX).ok(),
                };
                let player = &mut self.players[*who];
                player.is_impaired |= fault.pause || fault.deliveries.is_some();
                player.is_held |= fault.publishes.is_some_and(|impairment| impairment.hold);
                self.lab.set_fault(&request).map(drop).map_err(failed)
            }
            Action::Release { who, count } => {
                let display_name = self.players[*who].name.clone();
                let request =
                    pb::ReleaseHeldRequest { display_name, count: count.unwrap_or(0), ..Default::default() };
                self.lab.release_held(&request).map(drop).map_err(failed)
            }
            Action::Clear { who: Some(who) } => {
                let player = &mut self.players[*who];
                player.no_fault();
                self.lab.clear_faults(&player.name).map_err(failed)
            }
            Action::Clear { who: None } => {
                for player in &mut self.players {
                    player.no_fault();
                    // This fails for a player that has left, which no longer has faults.
                    let _ = self.lab.clear_faults(&player.name);
                }
                Ok(())
            }
            Action::StopWriter { duration } => {
                let duration = prost_types::Duration::try_from(*duration).ok();
                self.lab.stop_writer(&pb::StopWriterRequest { duration }).map_err(failed)
            }
            action => self.come_or_go(action).await,
        }
    }

    async fn come_or_go(&mut self, action: &Action) -> Result<(), Broken> {
        match action {
            Action::Join { who } => self.join(*who).await,
            Action::Leave { who } => {
                if let Some(companion) = self.players[*who].companion.take() {
                    companion.leave().await;
                }
                Ok(())
            }
            Action::Crash { who } => {
                if let Some(companion) = self.players[*who].companion.take() {
                    companion.crash().await;
                }
                Ok(())
            }
            Action::Resume { who, refused } => {
                match (self.cast.add(self.character(*who), true).await, refused) {
                    (Ok(companion), false) => self.enter(*who, companion),
                    (Ok(companion), true) => {
                        self.enter(*who, companion);
                        return Err(Broken::Failed("it should have been refused".into()));
                    }
                    (Err(error), true) if error.is_name_taken() => {}
                    (Err(error), _) => return Err(failed(error)),
                }
                Ok(())
            }
            Action::WaitDelivered { who } => {
                let Some(companion) = self.players[*who].companion.clone() else { return Ok(()) };
                let head = Sequence(self.lab.head());
                companion.has(head).await.then_some(()).ok_or_else(|| Broken::Failed("it has ended".into()))
            }
            Action::WaitSaid { who } => self.until_said(*who).await,
            Action::WaitLeft { who } => {
                let id = self.players[*who].id.clone();
                while !self.seen.left.contains(&id) {
                    self.seen.note().await?;
                }
                Ok(())
            }
            Action::WaitTime { duration } => {
                sleep(*duration).await;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn is_person(&self, who: usize) -> bool {
        let player = &self.players[who];
        player.companion.is_none() && player.role.is_person && !player.id.is_empty()
    }

    fn character(&self, who: usize) -> Character {
        let Player { role, name, .. } = &self.players[who];
        Character { kind: CompanionKind::Actor, display_name: name.clone(), offset_seconds: role.offset_seconds }
    }

    async fn join(&mut self, who: usize) -> Result<(), Broken> {
        let companion = self.cast.add(self.character(who), false).await.map_err(failed)?;
        self.enter(who, companion);
        Ok(())
    }

    fn enter(&mut self, who: usize, companion: Companion) {
        let player = &mut self.players[who];
        player.id = companion.participant_id().unwrap_or_default();
        player.companion = Some(companion);
    }

    async fn companion_says(&mut self, who: usize, text: &str, later: bool) -> Result<(), Broken> {
        let player = &mut self.players[who];
        let text = text.replace(TIME_MARK, &time_of_day(SystemTime::now(), player.role.offset_seconds));
        let companion = player.companion.as_ref();
        let companion = companion.ok_or_else(|| Broken::Failed(format!("{} is not here", player.name)))?;
        if !player.is_impaired {
            // It catches up before it speaks. A fault that a teacher has set may prevent that.
            let _ = timeout(READING_TIME_MAX, companion.has(Sequence(self.lab.head()))).await;
        }
        let held_before = self.lab.publishes_held(&player.name);
        companion.say(text.clone()).await.map_err(failed)?;
        player.texts.push(text);
        if !later {
            return self.until_said(who).await;
        }
        if player.is_held {
            // A later step must not release the message before it is held. If a teacher ends the fault, it is not held at all.
            let (lab, name) = (self.lab.clone(), player.name.clone());
            tokio::select! {
                said = self.until_said(who) => return said,
                () = until_held(&lab, &name, held_before) => {}
            }
        }
        Ok(())
    }

    /// Waits until everything that the player has said has its place in the order.
    async fn until_said(&mut self, who: usize) -> Result<(), Broken> {
        let Player { id, texts, .. } = &self.players[who];
        let is_person = self.is_person(who);
        loop {
            let has_place = |text: &String| {
                let wanted = texts.iter().filter(|other| *other == text).count();
                self.seen.count_of(id, text) >= wanted
            };
            // A person's text cannot be predicted, so their messages are only counted.
            let is_said = if is_person { self.seen.count(id) >= texts.len() } else { texts.iter().all(has_place) };
            if is_said {
                return Ok(());
            }
            self.seen.note().await?;
        }
    }

    /// Waits for a message of a person: until it has its place in the order, or until the lab holds it.
    async fn person_says(&mut self, who: usize, text: &str, later: bool) -> Result<(), Broken> {
        let player = &mut self.players[who];
        if later {
            until_held(&self.lab, &player.name, 0).await;
            player.texts.push(text.to_owned());
            return Ok(());
        }
        let (id, name) = (player.id.clone(), player.name.clone());
        let before = self.seen.count(&id);
        while self.seen.count(&id) <= before {
            if self.seen.left.contains(&id) {
                return Err(Broken::Failed(format!("{name} has left")));
            }
            self.seen.note().await?;
        }
        // Earlier messages of the person are not part of the scenario.
        self.players[who].texts = vec![text.to_owned(); self.seen.count(&id)];
        Ok(())
    }
}

/// Waits until the lab holds more than this number of a participant's publishes.
async fn until_held(lab: &LabHandle, display_name: &str, count: usize) {
    while lab.publishes_held(display_name) <= count {
        sleep(LOOK_PAUSE).await;
    }
}

fn failed(error: impl std::fmt::Display) -> Broken {
    Broken::Failed(error.to_string())
}

//! A companion: a participant with its own thread and runtime. When the thread ends, all of the participant's tasks
//! stop where they are, as in a process that is killed; its session is kept in a file, so it can resume.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::behavior::Behavior;
use crate::chat::Sequence;
use crate::client::{self, Chat, JoinError, Options, ParticipantInfo, StateFile, Update, Updates};
use crate::log::{self, Component, OwnLog};
use crate::wire::pb::{self, CompanionKind};

/// The folder in the log folder that keeps the companions' sessions.
pub const RESUMABLE_FOLDER: &str = "companions";
/// How long a companion waits for an answer before it tries again. This is short, so that a scenario need not wait long
/// for a retry.
const PATIENCE: Duration = Duration::from_secs(4);
/// How many commands can be queued.
const ORDERS_WAITING: usize = 64;

/// The service that companions join, and where their logs are.
#[derive(Clone)]
pub struct Place {
    /// The service's URL.
    pub server: String,
    /// The access secret, if the service has one.
    pub secret: Option<String>,
    /// The certificate to trust in addition to the system's.
    pub certificate_authority: Option<Vec<u8>>,
    /// The folder of their logs.
    pub log_folder: PathBuf,
}

impl std::fmt::Debug for Place {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").field("server", &self.server).finish_non_exhaustive()
    }
}

/// The properties of a companion.
#[derive(Clone, Debug)]
pub struct Character {
    /// How it behaves.
    pub kind: CompanionKind,
    pub display_name: String,
    /// By how many seconds its wall clock is off.
    pub offset_seconds: i64,
}

/// Why a companion does not take part.
#[derive(Debug, thiserror::Error)]
pub enum CompanionError {
    /// It cannot join.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// Its thread, its runtime or its log cannot be created.
    #[error("{0}")]
    Start(String),
    /// It has ended.
    #[error("it has left, or has crashed")]
    Ended,
}

/// Commands to a companion.
#[derive(Debug)]
enum Order {
    Say(String),
    Leave,
    Crash,
}

/// The ids of all companions, so that they do not answer each other.
#[derive(Clone, Debug, Default)]
pub struct Companions(Arc<Mutex<HashSet<String>>>);

impl Companions {
    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock()
    }
}

/// State that its thread shares with its handles.
#[derive(Debug)]
struct Life {
    character: Character,
    companions: Companions,
    /// Its client and id, while it takes part.
    chat: Mutex<Option<(Chat, String)>>,
    /// The last event that was delivered to it.
    delivered: watch::Sender<Sequence>,
}

/// A companion that takes part.
#[derive(Clone, Debug)]
pub struct Companion {
    life: Arc<Life>,
    orders: mpsc::Sender<Order>,
    ended: watch::Receiver<bool>,
}

impl Companion {
    /// Joins, or resumes the session of a companion that crashed.
    pub async fn start(
        place: Place,
        character: Character,
        companions: Companions,
        resumes: bool,
    ) -> Result<Self, CompanionError> {
        let (orders, received) = mpsc::channel(ORDERS_WAITING);
        let (ready, joined) = oneshot::channel();
        let (ending, ended) = watch::channel(false);
        let life = Arc::new(Life {
            character,
            companions,
            chat: Mutex::new(None),
            delivered: watch::Sender::new(Sequence(0)),
        });
        let watched = life.clone();
        let thread = thread::Builder::new().name("companion".into());
        let spawned = thread.spawn(move || {
            run(&place, &life, received, ready, resumes);
            life.end();
            ending.send_replace(true);
        });
        spawned.map_err(|error| CompanionError::Start(error.to_string()))?;
        joined.await.map_err(|_| CompanionError::Ended)??;
        Ok(Self { life: watched, orders, ended })
    }

    /// Its properties.
    pub fn character(&self) -> &Character {
        &self.life.character
    }

    /// Its id; `None` once it has ended.
    pub fn participant_id(&self) -> Option<String> {
        self.life.chat().as_ref().map(|(_, id)| id.clone())
    }

    /// Its state for the API; `None` once it has ended.
    pub fn describe(&self) -> Option<pb::Companion> {
        let chat = self.life.chat();
        let (chat, _) = chat.as_ref()?;
        Some(pb::Companion {
            kind: self.life.character.kind.into(),
            logical_time: chat.logical_time().0,
            delivered_sequence: self.life.delivered.borrow().0,
            wall_clock_offset_seconds: self.life.character.offset_seconds,
        })
    }

    /// Makes it publish a text. Only the conversation shows whether that succeeds.
    ///
    /// # Errors
    /// [`CompanionError::Ended`].
    pub async fn say(&self, text: String) -> Result<(), CompanionError> {
        self.order(Order::Say(text)).await
    }

    /// Makes it leave, and waits until it has ended.
    pub async fn leave(&self) {
        if self.order(Order::Leave).await.is_ok() {
            self.ended().await;
        }
    }

    /// Ends it without a leave, like a killed process, and waits until it has ended.
    pub async fn crash(&self) {
        if self.order(Order::Crash).await.is_ok() {
            self.ended().await;
        }
    }

    /// Waits until an event has been delivered to it. Returns false if it ends first.
    pub async fn has(&self, sequence: Sequence) -> bool {
        let (mut delivered, mut ended) = (self.life.delivered.subscribe(), self.ended.clone());
        tokio::select! {
            reached = delivered.wait_for(|delivered| *delivered >= sequence) => reached.is_ok(),
            _ = ended.wait_for(|ended| *ended) => false,
        }
    }

    async fn order(&self, order: Order) -> Result<(), CompanionError> {
        self.orders.send(order).await.map_err(|_| CompanionError::Ended)
    }

    async fn ended(&self) {
        // If the sender has been dropped, its thread has ended.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }
}

impl Life {
    fn chat(&self) -> MutexGuard<'_, Option<(Chat, String)>> {
        self.chat.lock()
    }

    fn begin(&self, chat: &Chat, id: &str) {
        self.companions.lock().insert(id.to_owned());
        *self.chat() = Some((chat.clone(), id.to_owned()));
    }

    fn end(&self) {
        if let Some((_, id)) = self.chat().take() {
            self.companions.lock().remove(&id);
        }
    }
}

/// The whole life of a companion, in its own thread.
fn run(
    place: &Place,
    life: &Arc<Life>,
    orders: mpsc::Receiver<Order>,
    ready: oneshot::Sender<Result<(), CompanionError>>,
    resumes: bool,
) {
    let name = &life.character.display_name;
    let path = place.log_folder.join(log::file_name("client", name));
    let log = OwnLog::enter(&path, Component::Client, life.character.offset_seconds);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let started = log.map_err(|error| error.to_string()).and_then(|log| match runtime {
        Ok(runtime) => Ok((log, runtime)),
        Err(error) => Err(error.to_string()),
    });
    let (log, runtime) = match started {
        Ok(started) => started,
        Err(why) => return drop(ready.send(Err(CompanionError::Start(why)))),
    };
    runtime.block_on(live(place, life, orders, ready, resumes));
    // The remaining tasks end here, and then the log.
    drop(runtime);
    drop(log);
}

async fn live(
    place: &Place,
    life: &Arc<Life>,
    orders: mpsc::Receiver<Order>,
    ready: oneshot::Sender<Result<(), CompanionError>>,
    resumes: bool,
) {
    let folder = place.log_folder.join(RESUMABLE_FOLDER);
    let (server, name) = (place.server.clone(), &life.character.display_name);
    let state =
        if resumes { StateFile::open(&folder, &server, name) } else { StateFile::fresh(&folder, &server, name) };
    let options = Options {
        secret: place.secret.clone(),
        certificate_authority: place.certificate_authority.clone(),
        patience: PATIENCE,
        wall_clock_skew_milliseconds: life.character.offset_seconds.saturating_mul(1000),
        // Without a session file it still takes part, but cannot resume.
        state: state.ok(),
        ..Options::new(server, name)
    };
    match client::join(options).await {
        Ok((chat, updates)) => {
            life.begin(&chat, &chat.me().participant_id);
            // If the lab has stopped, nothing waits for it.
            let _ = ready.send(Ok(()));
            take_part(life, chat, updates, orders).await;
        }
        Err(error) => drop(ready.send(Err(error.into()))),
    }
}

/// Takes part until it leaves, fails, or is told to crash.
async fn take_part(life: &Arc<Life>, chat: Chat, mut updates: Updates, mut orders: mpsc::Receiver<Order>) {
    let Character { kind, offset_seconds, .. } = life.character;
    let mut behavior = Behavior::new(kind, offset_seconds);
    let after = |pause: Option<Duration>| pause.map(|pause| Instant::now() + pause);
    let (mut reads_at, mut talks_at) = (after(behavior.reading_pause()), after(behavior.talking_pause()));
    loop {
        tokio::select! {
            biased;
            order = orders.recv() => match order {
                Some(Order::Say(text)) => publish(&chat, text),
                Some(Order::Leave) => return leave(life, chat, updates).await,
                Some(Order::Crash) | None => return chat.abandon(),
            },
            () = sleep_until(talks_at.unwrap_or_else(Instant::now)), if talks_at.is_some() => {
                publish(&chat, behavior.talk());
                talks_at = after(behavior.talking_pause());
            }
            update = read_at(&mut updates, reads_at) => {
                reads_at = after(behavior.reading_pause());
                match update {
                    Some(Update::Event(event)) => {
                        let is_companion = life.companions.lock().contains(&event.participant.participant_id);
                        let now = SystemTime::now();
                        let answer = if is_companion { None } else { behavior.answer(&event, now) };
                        if let Some(text) = answer {
                            publish(&chat, text);
                        }
                        life.delivered.send_replace(event.sequence);
                    }
                    Some(Update::JoinedAnew { roster, .. }) => begin_anew(life, &chat, &roster),
                    Some(Update::Ended(_)) | None => return,
                    Some(_) => {}
                }
            }
        }
    }
}

/// Takes an update, but not before the given time. An update that has not been taken has not been delivered.
async fn read_at(updates: &mut Updates, time: Option<Instant>) -> Option<Update> {
    if let Some(time) = time {
        sleep_until(time).await;
    }
    updates.next().await
}

fn begin_anew(life: &Life, chat: &Chat, roster: &[ParticipantInfo]) {
    let name = &life.character.display_name;
    if let Some(me) = roster.iter().rev().find(|participant| participant.display_name == *name) {
        life.end();
        life.begin(chat, &me.participant_id);
    }
}

/// Publishes without waiting for the answer.
fn publish(chat: &Chat, text: String) {
    tokio::spawn(chat.publish(text));
}

async fn leave(life: &Life, chat: Chat, mut updates: Updates) {
    // From here on it is no longer listed as a companion. Other participants learn of its leave from the Left event.
    life.end();
    let reading = async {
        while let Some(update) = updates.next().await {
            if let Update::Event(event) = update {
                life.delivered.send_replace(event.sequence);
            }
        }
    };
    // Its log shows whether the leave was acknowledged.
    let _ = tokio::join!(chat.leave(), reading);
}

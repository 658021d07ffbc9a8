//! The companions that take part now. Their number is bounded.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::companion::{Character, Companion, CompanionError, Companions, Place};
use crate::chat::Refusal;
use crate::wire::{Reason, Rejection, pb};

/// How many companions a lab plays by default.
pub const COMPANIONS_MAX_DEFAULT: usize = 16;

/// The companions of a lab. Clones share them.
#[derive(Clone, Debug)]
pub struct Cast(Arc<CastState>);

#[derive(Debug)]
struct CastState {
    place: Place,
    companions_max: usize,
    ids: Companions,
    places: Arc<Semaphore>,
    members: Mutex<Vec<CastMember>>,
}

#[derive(Debug)]
struct CastMember {
    companion: Companion,
    _place: OwnedSemaphorePermit,
}

/// A companion that could not be added.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message says what each field is")]
pub enum CastError {
    /// The limit has been reached.
    #[error("the limit on companions is reached: {companions_max}")]
    Full { companions_max: usize },
    /// It could not start.
    #[error(transparent)]
    Companion(#[from] CompanionError),
}

impl CastError {
    /// Whether its name is taken.
    pub fn is_name_taken(&self) -> bool {
        let Self::Companion(CompanionError::Join(error)) = self else { return false };
        error.reason() == Some(Reason::NameTaken)
    }
}

impl From<CastError> for Rejection {
    fn from(error: CastError) -> Self {
        match error {
            CastError::Full { companions_max } => Self::CompanionsFull { companions_max },
            error if error.is_name_taken() => Self::Refused(Refusal::NameTaken),
            error => Self::CompanionFailed(without_option(&error.to_string())),
        }
    }
}

/// A companion has no `--ca`: it trusts the authorities in the service's own certificate file.
fn without_option(why: &str) -> String {
    why.replace(
        "--ca names a file with one to trust",
        "companions also trust the authorities in the file of --tls-cert",
    )
}

impl Cast {
    /// A cast without companions, for this place.
    pub fn new(place: Place, companions_max: usize) -> Self {
        let (ids, members) = (Companions::default(), Mutex::default());
        let places = Arc::new(Semaphore::new(companions_max));
        Self(Arc::new(CastState { place, companions_max, ids, places, members }))
    }

    /// Adds a companion, or lets one that crashed resume.
    pub async fn add(&self, character: Character, resumes: bool) -> Result<Companion, CastError> {
        // This frees the places of those that have ended.
        drop(self.members());
        let place = self.0.places.clone().try_acquire_owned();
        let place = place.map_err(|_| CastError::Full { companions_max: self.0.companions_max })?;
        let companion = Companion::start(self.0.place.clone(), character, self.0.ids.clone(), resumes).await?;
        self.members().push(CastMember { companion: companion.clone(), _place: place });
        Ok(companion)
    }

    /// The companion with this name.
    pub fn named(&self, display_name: &str) -> Option<Companion> {
        let members = self.members();
        let found = members.iter().find(|member| member.companion.character().display_name == display_name);
        found.map(|member| member.companion.clone())
    }

    /// The state of the companion with this id.
    pub fn describe(&self, participant_id: &str) -> Option<pb::Companion> {
        let members = self.members();
        let is_meant = |member: &&CastMember| member.companion.participant_id().as_deref() == Some(participant_id);
        members.iter().find(is_meant)?.companion.describe()
    }

    /// The companions that have not ended.
    fn members(&self) -> MutexGuard<'_, Vec<CastMember>> {
        let mut members = self.0.members.lock();
        members.retain(|member| member.companion.participant_id().is_some());
        members
    }
}

//! The files of a journal: connections to the file with the events, its tables, and the head file next to it.

pub(super) mod connect;
pub(super) mod head;
pub(super) mod mounts;
pub(super) mod schema;
pub(super) mod watched;

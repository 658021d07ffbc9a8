//! The files of a journal: connections to the one with the events, its tables, and the one beside it with the head.

pub(super) mod connect;
pub(super) mod head;
pub(super) mod mounts;
pub(super) mod schema;
pub(super) mod watched;

//! What the processes log, and what `verify` and `diagram` make of it.
//!
//! | module | what it shows |
//! |---|---|
//! | [`diagram`] | pictures of real runs, and exports for other tools |
//! | [`holes`] | logs on a disk that was full for a while |
//! | [`on_the_way`] | events that are still on a slow path, or wait for a client that does not read, violate no rule |
//! | [`other_clocks`] | clients on machines with wrong clocks: messages bound the error, and V12 is still checked |
//! | [`records`] | the records of all processes, and no secret in them |
//! | [`rotation`] | logs that are rotated while their processes write |
//! | [`same_name`] | two processes with one name have a log each |
//! | [`simulator`] | truthful runs violate nothing, and every mistake is caught (V1 to V15) |
//! | [`verify`] | the rules hold in the logs of real runs, and every mistake is caught (V1 to V15) |
//! | [`verify_command`] | what `chitchat verify` accepts and refuses, its exit codes, the gallery |

mod diagram;
mod holes;
mod on_the_way;
mod other_clocks;
mod records;
mod rotation;
mod same_name;
mod simulator;
mod verify;
mod verify_command;

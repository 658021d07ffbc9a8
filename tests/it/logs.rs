//! What the processes write down, and what `verify` and `diagram` make of it.
//!
//! | module | what it shows |
//! |---|---|
//! | [`diagram`] | pictures of real runs, and text for other tools |
//! | [`holes`] | logs on a disk that was full for a while |
//! | [`on_the_way`] | what a slow path, or a program that is not read, keeps from being delivered accuses nobody |
//! | [`other_clocks`] | clients on machines with other clocks: bounded by messages, and compared (V12) |
//! | [`records`] | the records of all processes, and no secret in them |
//! | [`rotation`] | logs that are rotated while their processes write |
//! | [`same_name`] | two processes of one name have a log each |
//! | [`simulator`] | truthful runs give no alarm, and every mistake is caught (V1 to V15) |
//! | [`verify`] | the rules over the logs of real runs, and every mistake caught (V1 to V15) |
//! | [`verify_command`] | what `chitchat verify` takes and refuses, its exit codes, the gallery |

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

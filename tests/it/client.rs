//! Participants, as programs and by the client library.
//!
//! | module | what it shows |
//! |---|---|
//! | [`crowd`] | twenty at once have one transcript; the client library |
//! | [`interruptions`] | clients killed, frozen, cut off; a service with another journal |
//! | [`leaving`] | every client can leave, whatever it or the service is doing |
//! | [`lies`] | a service that breaks the protocol, or says what cannot be true |
//! | [`processes`] | one service and its clients fed from pipes: joins, messages, leaves |
//! | [`reconnects`] | pauses between tries, and how long a client tries |
//! | [`state`] | clients that are killed and started again go on as the same participant |
//! | [`submissions`] | lines and messages from their submission to what became of them; typing on a terminal |

mod crowd;
mod interruptions;
mod leaving;
mod lies;
mod processes;
mod reconnects;
mod state;
mod submissions;

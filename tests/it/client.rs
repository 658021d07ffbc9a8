//! Participants, as programs and through the client library.
//!
//! | module | what it shows |
//! |---|---|
//! | [`crowd`] | twenty participants at once get one transcript; the client library |
//! | [`interruptions`] | clients that are killed, frozen or cut off; a service with another journal |
//! | [`leaving`] | every client can leave, whatever it or the service is doing |
//! | [`lies`] | a service that breaks the protocol or sends what cannot be true |
//! | [`processes`] | one service and its clients fed from pipes: joins, messages, leaves |
//! | [`reconnects`] | pauses between attempts, and how long a client keeps trying |
//! | [`state`] | clients that are killed and started again continue as the same participant |
//! | [`submissions`] | lines and messages from submission to outcome; typing on a terminal |

mod crowd;
mod interruptions;
mod leaving;
mod lies;
mod processes;
mod reconnects;
mod state;
mod submissions;

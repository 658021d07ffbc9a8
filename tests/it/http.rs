//! The HTTP layer below the calls: routes, origins, the access secret, deadlines, the page's files.
//!
//! | module | what it shows |
//! |---|---|
//! | [`browsers`] | origins, host names, and the page |
//! | [`compression`] | compressed requests |
//! | [`deadlines`] | `grpc-timeout`, and requests that arrive too slowly |
//! | [`operators`] | `/healthz`, `/readyz`, `/metrics`, `grpc.health.v1` |
//! | [`page`] | the page's files, in every coding that a browser may accept |
//! | [`secret`] | the access secret, and the limit on guesses |

mod browsers;
mod compression;
mod deadlines;
mod operators;
mod page;
mod secret;

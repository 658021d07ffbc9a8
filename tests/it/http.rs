//! Requests before they are calls: routes, origins, the access secret, deadlines, the page's files.
//!
//! | module | what it shows |
//! |---|---|
//! | [`browsers`] | origins, host names, and the page |
//! | [`compression`] | requests that are compressed |
//! | [`deadlines`] | `grpc-timeout`, and requests that come drop by drop |
//! | [`operators`] | `/healthz`, `/readyz`, `/metrics`, `grpc.health.v1` |
//! | [`page`] | the page's files, in every coding that a browser may accept |
//! | [`secret`] | the access secret, and that guessing is slow |

mod browsers;
mod compression;
mod deadlines;
mod operators;
mod page;
mod secret;

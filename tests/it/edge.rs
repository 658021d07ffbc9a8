//! Connections and what an address may use, so that one caller leaves room for the others.
//!
//! | module | what it shows |
//! |---|---|
//! | [`addresses`] | what all participants of one address may have together |
//! | [`budgets`] | memory that an address may use: untaken responses, half requests, connections |
//! | [`connections`] | connections that send nothing or another protocol |
//! | [`forwarded`] | clients behind a proxy that the service trusts |
//! | [`hostile`] | what never ends, what is too much, and a thousand at once |
//! | [`rates`] | how fast one may publish and join |
//! | [`tls`] | certificates, their reload, and who trusts them |

mod addresses;
mod budgets;
mod connections;
mod forwarded;
mod hostile;
mod rates;
mod tls;

//! Limits on connections and on what one address may use, so that one caller leaves room for the others.
//!
//! | module | what it shows |
//! |---|---|
//! | [`addresses`] | what all participants of one address may use together |
//! | [`budgets`] | memory that an address may use: unread responses, half requests, connections |
//! | [`connections`] | connections that send nothing or another protocol |
//! | [`forwarded`] | clients behind a proxy that the service trusts |
//! | [`hostile`] | requests that never end or are too large, and a thousand connections at once |
//! | [`rates`] | how fast a session may publish, and an address may join |
//! | [`tls`] | certificates, their reload, and who trusts them |

mod addresses;
mod budgets;
mod connections;
mod forwarded;
mod hostile;
mod rates;
mod tls;

//! Integration tests: real processes, real sockets.

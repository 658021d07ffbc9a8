//! Integration tests: real processes, real sockets, hand-made bytes. Every test is named by its outcome and
//! cites the rule of docs/specification.md that it checks (S3, V5 …).
//!
//! | module | what it shows |
//! |---|---|
//! | [`conversation`] | random commands against the rules of the state machine and a naive model |
//! | [`recovery`] | a journal that fails for now or for good; a restart on the same journal |
//! | [`restored_backup`] | a backup in the place of the journal |
//! | [`journal`] | the journal in a file: restarts, damage, full and failing disks |
//! | [`checkpoints`] | starts from a checkpoint: kills around it, damage that is found later |
//! | [`journal_upgrade`] | a journal that an earlier version made |
//! | [`journal_places`] | mounts of a journal, copies and backups of it |
//! | [`log_holes`] | logs on a disk that was full for a while |
//! | [`backfill`] | the service's log after a crash |
//! | [`kill_loop`] | the service killed again and again under load |
//! | [`load`] | `chitchat load`: deliveries counted, wrong ones found, limits named |
//! | [`far_behind`] | a reader that was away for longer than the feed reaches |
//! | [`presence`] | who is connected, between the events |
//! | [`processes`] | one service and its clients fed from pipes: joins, messages, leaves |
//! | [`interruptions`] | clients killed, frozen, cut off; a service with another journal |
//! | [`reconnects`] | pauses between tries, and how long a client tries |
//! | [`lies`] | a service that breaks the protocol, or says what cannot be true |
//! | [`leaving`] | every client can leave, whatever it or the service is doing |
//! | [`state`] | clients that are killed and started again go on as the same participant |
//! | [`submissions`] | lines and messages from their submission to what became of them; typing on a terminal |
//! | [`simulator`] | truthful runs give no alarm, and every mistake is caught (V1 to V15) |
//! | [`replicas`] | several services that are one, over three nats-servers |
//! | [`replicas_clients`] | clients that know several replicas, and the picture of that |
//! | [`replicas_failover`] | how long it takes until a publish is acknowledged after a kill |
//! | [`replicas_faults`] | the same while replicas and servers are killed, frozen, cut off from each other and restarted |
//! | [`replicas_readme`] | the commands of the README for three replicas on one machine |
//! | [`replicas_refused`] | set-ups of replicas that cannot work |
//! | [`shutdown`] | the drain, and that it is bounded |
//! | [`crowd`] | twenty at once have one transcript; the client library |
//! | [`terminal`] | nothing reaches a terminal raw; `--json` |
//! | [`diagram`] | pictures of real runs, and text for other tools |
//! | [`scripts`] | `chitchat send`, waiting for a service, the environment, the words for failures |
//! | [`signals`] | signals, pipes that nobody reads, terminals without colours |
//! | [`rotation`] | logs that are rotated while their processes write |
//! | [`lab`] | faults by hand, each set and ended, by bytes |
//! | [`lab_mixes`] | random mixes of faults over real clients, under load |
//! | [`lab_proof`] | the lab verifies the logs that it has, with the log of a page |
//! | [`lab_runs`] | the lab as a program: its key, its command, what it tells and records |
//! | [`lab_stage`] | companions and scenarios of a lab |
//! | [`layers`] | which module of the sources may use which |
//! | [`on_the_way`] | what a slow path, or a program that is not read, keeps from being delivered accuses nobody |
//! | [`other_clocks`] | clients on machines with other clocks: bounded by messages, and compared (V12) |
//! | [`same_name`] | two processes of one name have a log each |
//! | [`evidence`] | what is said of the recorded run is what its logs say |
//! | [`logs`] | the records of all processes, and no secret in them |
//! | [`usage`] | the command line, its refusals and exit codes |
//! | [`vectors`] | what the service and the page agree on, as data that both read |
//! | [`verify`] | the rules over the logs of real runs, and every mistake caught (V1 to V15) |
//! | [`verify_command`] | what `chitchat verify` takes and refuses, its exit codes, the gallery |
//! | [`wire_join`] | Join and resume, byte by byte |
//! | [`wire_publish`] | Publish, Leave and ListEvents, byte by byte |
//! | [`wire_stream`] | heartbeats, slow readers, the end of a stream |
//! | [`rates`] | how fast one may publish and join |
//! | [`addresses`] | what all participants of one address may have together |
//! | [`grpc_web`] | gRPC-Web over HTTP/1.1 and HTTP/2, byte by byte |
//! | [`compression`] | requests that are compressed |
//! | [`forwarded`] | clients behind a proxy that the service trusts |
//! | [`browsers`] | origins, host names, and the page |
//! | [`page`] | the page's files, in every coding that a browser may accept |
//! | [`deadlines`] | `grpc-timeout`, and requests that come drop by drop |
//! | [`operators`] | `/healthz`, `/readyz`, `/metrics`, `grpc.health.v1` |
//! | [`tls`] | certificates, their reload, and who trusts them |
//! | [`secret`] | the access secret, and that guessing is slow |
//! | [`hostile`] | what never ends, what is too much, and a thousand at once |
//! | [`budgets`] | memory that an address may use: untaken responses, half requests, connections |
//! | [`connections`] | connections that say nothing or something else |
//! | [`support`] | servers, programs and a client that speaks bytes |
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a long test says how far it is")]

mod addresses;
mod backfill;
mod browsers;
mod budgets;
mod checkpoints;
mod compression;
mod connections;
mod conversation;
mod crowd;
mod deadlines;
mod diagram;
mod evidence;
mod far_behind;
mod forwarded;
mod grpc_web;
mod hostile;
mod interruptions;
mod journal;
mod journal_places;
mod journal_support;
mod journal_upgrade;
mod kill_loop;
mod lab;
mod lab_mixes;
mod lab_proof;
mod lab_runs;
mod lab_stage;
mod layers;
mod leaving;
mod lies;
mod load;
mod log_holes;
mod logs;
mod on_the_way;
mod operators;
mod other_clocks;
mod page;
mod presence;
mod processes;
mod rates;
mod reconnects;
mod recovery;
mod replicas;
mod replicas_access;
mod replicas_clients;
mod replicas_failover;
mod replicas_faults;
mod replicas_readme;
mod replicas_refused;
mod restored_backup;
mod rotation;
mod same_name;
mod scripts;
mod secret;
mod shutdown;
mod signals;
mod simulator;
mod state;
mod submissions;
mod support;
mod terminal;
mod tls;
mod usage;
mod vectors;
mod verify;
mod verify_command;
mod wire_join;
mod wire_publish;
mod wire_stream;

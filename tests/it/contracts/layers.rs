//! Which module may use which: the layers of docs/architecture.md, read from the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{self, paths};

/// The modules of the crate, and which others each may use. The test fails if an edge is unused.
const LAYERS: &[(&str, &[&str])] = &[
    ("chat", &[]),
    ("terminal", &[]),
    ("journal", &["chat"]),
    // The wire form of an event is made from the journal's row, because it carries its chain hash.
    ("wire", &["chat", "journal"]),
    ("log", &["chat", "terminal"]),
    // Uses only types and pure functions: the records' types, and the escaping of text from others.
    ("trace", &["chat", "log", "terminal"]),
    // Reads log files for `trace` to judge.
    ("verification", &["log", "trace"]),
    // What replicas share: the log of commands, and the copies of the journal that result from it.
    ("replica", &["chat", "journal"]),
    ("server", &["chat", "journal", "log", "replica", "wire"]),
    ("client", &["chat", "log", "terminal", "wire"]),
    ("load", &["chat", "wire"]),
    // Companions are clients; the service calls the lab's stage through a trait.
    ("lab", &["chat", "client", "log", "server", "verification", "wire"]),
    (
        "cli",
        &[
            "chat",
            "client",
            "journal",
            "lab",
            "load",
            "log",
            "replica",
            "server",
            "terminal",
            "trace",
            "verification",
            "wire",
        ],
    ),
    ("main", &["cli"]),
];

/// The folders of the server, and which parts of the others each may use. The conversation (`core`) knows the origin of a
/// request, its memory budget and the shared context; only the gRPC adapter and the body of a Join's response know the
/// conversation.
const FOLDERS: &[(&str, &[&str])] = &[
    // Manual faults act before a call reaches the conversation, and read its head.
    ("lab", &["core::feed", "http::secret"]),
    (
        "config",
        &[
            "edge::forwarded",
            "edge::tls",
            "http::guard",
            "http::page::mistakes",
            "http::secret",
            "lab::stage",
            "ops::limiter",
        ],
    ),
    ("core", &["budget::memory", "edge::origin", "lab::control", "lab::effects::gate", "ops::context"]),
    (
        "budget",
        &[
            "edge::forwarded",
            "edge::ingress",
            "edge::origin",
            "http::body",
            "http::headers",
            "ops::refusals",
            "ops::context",
        ],
    ),
    ("ops", &["budget::memory", "config", "edge::ingress", "edge::origin"]),
    (
        "edge",
        &[
            "budget::memory",
            "budget::request_charge",
            "budget::response_body",
            "budget::watchdog",
            "config",
            "ops::limiter",
            "ops::context",
        ],
    ),
    (
        "http",
        &[
            "budget::request_charge",
            "config",
            "core::streams::join_body",
            "edge::forwarded",
            "edge::origin",
            "lab::proof",
            "lab::proof_fault",
            "lab::service",
            "ops::limiter",
            "ops::metrics",
            "ops::readiness",
            "ops::refusals",
            "ops::context",
            "service",
        ],
    ),
    (
        "service",
        &[
            "budget::memory",
            "budget::request_charge",
            "config",
            "core::requests",
            "core::feed",
            "core::streams::join_body",
            "core::token",
            "edge::origin",
            "lab::control",
            "lab::queues",
            "ops::rates",
            "ops::context",
        ],
    ),
];

/// What a pure module must not use: I/O, async, logging, and the machine's clock and randomness.
const IMPURE: &[&str] = &[
    "std::env",
    "std::fs",
    "std::io",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::process",
    "std::thread",
    "Instant::now",
    "Instant::elapsed",
    "SystemTime::now",
    "getrandom",
    "tokio",
    "tracing",
];

/// A module, including its tests, uses only modules that the table allows, and the table allows only what is used.
#[test]
fn modules() {
    let first = |module: &str| module.split("::").next().unwrap_or_default().to_owned();
    check(LAYERS, &Sources::read().edges(|_| true), |from, to| Some((first(from), first(to))));
}

/// The same for the folders of the server.
#[test]
fn folders() {
    check(FOLDERS, &Sources::read().edges(|_| true), |from, to| {
        let (from, to) = (from.strip_prefix("server::")?, to.strip_prefix("server::")?);
        let folder = from.split("::").next()?;
        let is_within = to == folder || to.starts_with(&format!("{folder}::"));
        Some((folder.to_owned(), if is_within { folder } else { to }.to_owned()))
    });
}

/// No two files import each other, directly or through others. A folder's module file, which names its parts and is
/// used by them, does not count; nor do tests, which may use anything to make their input.
#[test]
fn cycles() {
    let edges = Sources::read().edges(|path| !path.is_test);
    let reach: BTreeMap<&str, _> =
        edges.keys().map(|module| (module.as_str(), reachable(&edges, module))).collect();
    let cycles: BTreeSet<Vec<&str>> = reach
        .iter()
        .filter(|(module, found)| found.contains(*module))
        .map(|(module, found)| {
            found
                .iter()
                .filter(|other| reach.get(*other).is_some_and(|back| back.contains(module)))
                .copied()
                .collect()
        })
        .collect();
    assert!(cycles.is_empty(), "these files import each other: {cycles:?}");
}

/// The domain and the judgment of logs depend only on their arguments (D2).
#[test]
fn purity() {
    let is_pure = |module: &str| ["chat", "trace"].contains(&module.split("::").next().unwrap_or_default());
    let impure: Vec<_> = IMPURE.iter().chain(&["std::time::Instant"]).copied().collect();
    assert_pure(is_pure, &impure);
}

/// The client's state machine depends only on its inputs. It is given instants instead of reading a clock, and knows
/// messages, but neither calls nor statuses. Its tests do not count, as they give it real inputs.
#[test]
fn purity_of_the_client() {
    let machine = "client::machine";
    let is_within = |module: &str| module == machine || module.starts_with(&format!("{machine}::"));
    let is_pure = |module: &str| is_within(module) && !module.contains("::tests");
    let rim = ["crate::client::driver", "crate::client::shared", "crate::client::transport", "fastrand", "tonic"];
    let impure: Vec<_> = IMPURE.iter().chain(&rim).copied().collect();
    assert_pure(is_pure, &impure);
}

#[track_caller]
fn assert_pure(is_pure: impl Fn(&str) -> bool, impure: &[&str]) {
    let sources = Sources::read();
    let mut read = 0;
    for (module, paths) in sources.0.iter().filter(|(module, _)| is_pure(module)) {
        for path in paths.iter().map(|path| path.segments.join("::")) {
            read += 1;
            let found = impure.iter().find(|impure| {
                path == **impure
                    || path.starts_with(&format!("{impure}::"))
                    || path.ends_with(&format!("::{impure}"))
            });
            assert_eq!(found, None, "{module} uses {path}");
        }
    }
    assert!(read > 100, "too few paths were read: {read}");
}

/// The other tests rely on this: paths are found anywhere in code, but not in comments and string literals.
#[test]
fn paths_in_code() {
    let source = r##"
        //! See [`crate::cli`].
        use crate::{chat::{self, Event}, journal::Epoch as Id};
        pub use below::Part;
        fn g() -> impl Fn() + use<> { || {} }
        /* crate::client /* crate::wire */ */
        fn f<'a>(text: &'a str) -> crate::record::Kind {
            let _ = ("crate::client", r#"crate::"wire"#, '"', 'x', b'\'', text.len());
            super::near::go()
        }
        mod tests {
            use super::super::near;
        }
        mod later { const X: super::near::Y = 1; }
    "##;
    let found: Vec<_> = paths("a::b", source).into_iter().map(|path| path.segments.join("::")).collect();
    let expected = [
        "crate::chat",
        "crate::chat::Event",
        "crate::journal::Epoch",
        "below::Part",
        "crate::record::Kind",
        "crate::a::near::go",
        "crate::a::near",
        "crate::a::b::near::Y",
    ];
    assert_eq!(found, expected);
}

/// The files that a file imports, directly or through others, without edges between a module file and its parts.
fn reachable<'a>(edges: &'a Edges, from: &'a str) -> BTreeSet<&'a str> {
    let is_around = |outer: &str, inner: &str| inner.starts_with(&format!("{outer}::"));
    let (mut found, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(at) = next.pop() {
        let to = edges.get(at).into_iter().flatten().map(String::as_str);
        next.extend(to.filter(|to| !is_around(at, to) && !is_around(to, at) && found.insert(*to)));
    }
    found
}

/// Compares the edges of the sources, grouped by `name`, with those of a table.
#[track_caller]
fn check(table: &[(&str, &[&str])], edges: &Edges, name: impl Fn(&str, &str) -> Option<(String, String)>) {
    let mut unused: BTreeSet<_> =
        table.iter().flat_map(|(from, to)| to.iter().map(|to| (from.to_string(), to.to_string()))).collect();
    let mut faults = Vec::new();
    for (user, used) in edges.iter().flat_map(|(user, used)| used.iter().map(move |used| (user, used))) {
        let Some((from, to)) = name(user, used).filter(|(from, to)| from != to) else { continue };
        match table.iter().find(|row| row.0 == from) {
            Some((_, allowed)) if allowed.contains(&to.as_str()) => drop(unused.remove(&(from, to))),
            Some((_, allowed)) => faults.push(format!("{user} uses {used}, but {from} may use only {allowed:?}")),
            None => faults.push(format!("{user} uses {used}, but {from} is not in the table")),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(unused.is_empty(), "the table allows edges that are not used: {unused:?}");
}

/// Which file uses which others.
type Edges = BTreeMap<String, BTreeSet<String>>;

/// The paths in every module, by the module's own path.
struct Sources(BTreeMap<String, Vec<support::Path>>);

impl Sources {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        list(&root, &mut files);
        let modules = files.iter().filter(|file| !file.ends_with("lib.rs")).map(|file| {
            let path = file.strip_prefix(&root).unwrap().with_extension("");
            let module = path.iter().map(|part| part.to_str().unwrap()).collect::<Vec<_>>().join("::");
            let found = paths(&module, &fs::read_to_string(file).unwrap());
            (module, found)
        });
        Self(modules.collect())
    }

    /// Which file uses which others. A re-export counts as a use of the file that defines the item.
    fn edges(&self, counts: impl Fn(&support::Path) -> bool) -> Edges {
        let mut edges = Edges::new();
        for (module, paths) in &self.0 {
            let paths = paths.iter().filter(|path| counts(path));
            let used = paths.filter_map(|path| self.resolve(self.absolute(module, &path.segments)?, 0));
            edges.entry(module.clone()).or_default().extend(used.filter(|used| used != module));
        }
        edges
    }

    /// A path from the root of the crate; `None` if it leads out of the crate.
    fn absolute(&self, module: &str, segments: &[String]) -> Option<Vec<String>> {
        let (first, rest) = segments.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "chitchat" if module == "main" => Some(rest.to_vec()),
            _ => {
                let inside = format!("{module}::{first}");
                self.0
                    .contains_key(&inside)
                    .then(|| inside.split("::").map(str::to_owned).chain(rest.to_vec()).collect())
            }
        }
    }

    /// The file that defines the item of a path.
    fn resolve(&self, mut path: Vec<String>, depth: usize) -> Option<String> {
        assert!(depth < 10, "{path:?} is re-exported in a circle");
        let mut rest = Vec::new();
        while !self.0.contains_key(&path.join("::")) {
            rest.insert(0, path.pop()?);
        }
        let module = path.join("::");
        let exported = rest.first().and_then(|name| {
            let used = self.0[&module].iter().find(|found| found.name.as_ref() == Some(name))?;
            let target = self.absolute(&module, &used.segments)?;
            Some([&target[..], &rest[1..]].concat())
        });
        match exported {
            Some(target) => self.resolve(target, depth + 1),
            None => Some(module),
        }
    }
}

/// Adds the Rust files in a folder.
pub(super) fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => list(&path, files),
            false if path.extension().is_some_and(|extension| extension == "rs") => files.push(path),
            false => {}
        }
    }
}

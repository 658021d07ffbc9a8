//! The command line: what it refuses, and with which errors.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;

use crate::support::{Ended, Program};

/// Runs `chitchat` with its logs in a folder.
fn run(folder: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Ended {
    let logs = folder.join("logs");
    let settings = [settings, &[("CHITCHAT_LOG_DIR", logs.to_str().unwrap())]].concat();
    Program::run(arguments, &settings)
}

/// Wrong usage exits with 2, names the option, and leaves no trace.
#[track_caller]
fn check_wrong(arguments: &[&str], settings: &[(&str, &str)], named: &str) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let ended = run(folder.path(), arguments, settings);
    assert_eq!((ended.code, ended.output.len()), (Some(2), 0), "{arguments:?} {settings:?}: {ended:?}");
    assert!(ended.errors.contains(named), "{arguments:?} {settings:?}: {}", ended.errors);
    assert!(!folder.path().join("logs").exists(), "nothing has been started");
    ended
}

/// The error for a number that is wrong states the range, which begins with `least`.
#[track_caller]
fn check_numbers(command: &str, option: &str, least: u32, wrong: &[&str]) {
    for value in wrong {
        let ended = check_wrong(&[command, &format!("{option}={value}")], &[], option);
        let range = format!("should be a whole number from {least} to ");
        assert!(ended.errors.contains(&range), "{option}={value}: {}", ended.errors);
    }
}

#[test]
fn wrong_usage_exits_2_before_anything_starts() {
    check_wrong(&["serve", "--grace", "3years"], &[], "--grace");
    check_wrong(&[], &[], "Usage");
    check_wrong(&["nonsense"], &[], "nonsense");
    check_wrong(&["serve", "--nonsense"], &[], "--nonsense");
    check_wrong(&["serve", "extra"], &[], "extra");
    for option in [
        "--grace",
        "--stall",
        "--heartbeat",
        "--ping",
        "--ping-timeout",
        "--first-request",
        "--drain",
        "--request-time",
    ] {
        for value in ["0s", "soon", "5", "-1s", ""] {
            check_wrong(&["serve", &format!("{option}={value}")], &[], option);
        }
    }
    for option in [
        "--participants-max",
        "--participants-per-address-max",
        "--connections-max",
        "--connections-per-address-max",
        "--memory-per-address-max",
        "--ingress-per-address-burst",
        "--streams-max",
        "--publish-burst",
        "--publish-per-address-burst",
        "--join-burst",
        "--read-per-address-burst",
    ] {
        check_numbers("serve", option, 1, &["0", "-1", "many", "", "4294967296"]);
    }
    for option in [
        "--publish-rate",
        "--publish-per-address-rate",
        "--join-rate",
        "--read-per-address-rate",
        "--ingress-per-address-rate",
    ] {
        check_numbers("serve", option, 0, &["-1", "many", "0.5", "4294967296"]);
    }
}

#[test]
fn invalid_values_exit_2_before_anything_starts() {
    check_wrong(&["serve", "--log-level", "loud"], &[], "--log-level");
    check_wrong(&["serve", "--address-limits", "perhaps"], &[], "--address-limits");
    check_wrong(&["serve", "--journal-check", "never"], &[], "--journal-check");
    check_numbers("serve", "--checkpoint-events", 1, &["0", "-1", "many", "4294967296"]);
    for address in ["nonsense", "127.0.0.1", "127.0.0.1:port", "127.0.0.1:65536", ""] {
        check_wrong(&["serve", "--listen", address], &[], "--listen");
    }
    check_wrong(&["serve", "--tls-cert", "f"], &[], "--tls-key");
    check_wrong(&["serve", "--tls-key", "f"], &[], "--tls-cert");
    check_wrong(&["serve", "--tls-self-signed", "--tls-cert", "f", "--tls-key", "f"], &[], "--tls-self-signed");
    for origin in ["*", "null", "chat.example", "https://chat.example/", "ftp://chat.example", ""] {
        check_wrong(&["serve", "--allow-origin", origin], &[], "--allow-origin");
    }
    for host in ["chat.example:50051", "http://chat.example", "a b", ""] {
        check_wrong(&["serve", "--allow-host", host], &[], "--allow-host");
    }
    for proxy in ["localhost", "10.0.0.0/33", "*", "127.0.0.1:80", ""] {
        check_wrong(&["serve", "--trust-proxy", proxy], &[], "--trust-proxy");
    }
    check_wrong(&["join"], &[], "not provided:\n  <NAME>");
    for name in ["", " ", "a\nb", "\u{202e}a", &"a".repeat(33)] {
        check_wrong(&["join", "--name", name], &[], "--name");
    }
    for server in ["nonsense", "ftp://127.0.0.1", "127.0.0.1:50051", "http://", ""] {
        check_wrong(&["join", "--name", "alice", "--server", server], &[], "--server");
    }
    check_wrong(&["join", "--name", "alice", "--plain", "--json"], &[], "--json");
}

/// A journal in memory is not checked and has no checkpoint. A variable may set these options for other services.
#[test]
fn options_of_a_journal_file_for_one_in_memory_are_wrong_usage() {
    for [option, value] in [["--journal-check", "first"], ["--checkpoint-events", "5"]] {
        let named = format!("{option} has no effect on a journal in memory");
        check_wrong(&["serve", "--journal", "memory", option, value], &[], &named);
        check_wrong(&["lab", option, value], &[("CHITCHAT_JOURNAL", "")], &named);
    }
    let (folder, set) = (tempfile::tempdir().unwrap(), [("CHITCHAT_CHECKPOINT_EVENTS", "5")]);
    // No machine has this address.
    let ended = run(folder.path(), &["serve", "--journal", "memory", "--listen", "192.0.2.1:1"], &set);
    assert_eq!(ended.code, Some(1), "{ended:?}");
}

/// In a list of addresses each must be valid, and the list as a whole must make sense (D17).
#[test]
fn a_wrong_list_of_services_is_wrong_usage() {
    for (list, named) in [
        ("http://a:1,", "it is empty"),
        ("http://a:1,,http://b:1", "it is empty"),
        (",", "it is empty"),
        ("http://a:1,nonsense,http://b:1", "it has no scheme"),
        ("http://a:1,ftp://b:1", "ftp"),
        ("http://a:1,http://b:1/chat", "/chat"),
        ("http://a:1,http://b:1,http://A:1/", "http://A:1/ is in the list twice"),
        ("http://a:1,https://b:1", "the list mixes http:// and https:// URLs"),
    ] {
        for command in [
            &["join", "--name", "alice", "--server", list][..],
            &["send", "--name", "ci", "--server", list, "x"],
            &["fault", "alice", "--server", list],
            &["companion", "--server", list],
            &["scenario", "--server", list],
        ] {
            check_wrong(command, &[], named);
            check_wrong(command, &[], "--server");
        }
        let of_name = [("CHITCHAT_NAME", "alice"), ("CHITCHAT_SERVER", list)];
        check_wrong(&["join"], &of_name, named);
    }
}

/// Three names of one server are not three servers (R9).
#[test]
fn a_server_of_the_common_log_that_is_named_twice_is_wrong_usage() {
    let list = "nats://h1:4222,h2,nats://user:password@h1";
    for named in ["--replicate: ", "nats://h1:4222 is named twice"] {
        check_wrong(&["serve", "--replicate", list], &[], named);
    }
    check_wrong(&["serve"], &[("CHITCHAT_REPLICATE", list)], "--replicate: ");
}

/// `load` needs `--yes-really` for a service on another machine.
#[test]
fn load_on_another_machine_is_wrong_usage() {
    for server in ["http://192.0.2.1:50051", "http://[2001:db8::1]:50051"] {
        check_wrong(&["load", "--server", server], &[], "--yes-really");
    }
    check_wrong(&["load", "--server", "https://127.0.0.1:50051"], &[], "--server");
    check_wrong(&["load", "--server", "http://127.0.0.1:1,http://127.0.0.1:2"], &[], "a single service");
    check_wrong(&["load", "--participants", "2", "--publishers", "3"], &[], "--publishers");
    for (option, least, wrong) in [
        ("--participants", 1, ["0", "26709"]),
        ("--messages", 0, ["-1", "10000001"]),
        ("--publishers", 1, ["0", "many"]),
        ("--in-flight", 1, ["0", "101"]),
        ("--text-characters", 1, ["0", "129"]),
        ("--joins-in-parallel", 1, ["0", "4097"]),
        ("--server-pid", 1, ["0", "chitchat"]),
        ("--server-pid", 1, ["-1", "4294967296"]),
    ] {
        check_numbers("load", option, least, &wrong);
    }
    for [option, value] in [["--interval", "0s"], ["--interval", "5"], ["--settle", "0s"], ["--settle", "soon"]] {
        check_wrong(&["load", &format!("{option}={value}")], &[], option);
    }
}

#[test]
fn a_wrong_setting_in_the_environment_is_wrong_usage_too() {
    check_wrong(&["serve"], &[("CHITCHAT_GRACE", "soon")], "--grace");
    check_wrong(&["serve"], &[("CHITCHAT_PARTICIPANTS_MAX", "0")], "--participants-max");
    // With more, a Welcome, which lists all participants, could be larger than clients accept.
    check_wrong(&["serve"], &[("CHITCHAT_PARTICIPANTS_MAX", "26709")], "at most 26708");
    check_wrong(&["join"], &[("CHITCHAT_NAME", "a\u{7}")], "--name");
    check_wrong(&["join"], &[("CHITCHAT_NAME", "alice"), ("CHITCHAT_SERVER", "nonsense")], "--server");
}

#[test]
fn a_setting_in_the_environment_counts_and_an_option_overrides_it() {
    let folder = tempfile::tempdir().unwrap();
    // Documentation addresses, which no machine has.
    let (address, other) = ("192.0.2.1:50051", "192.0.2.2:50051");
    let ended = run(folder.path(), &["serve"], &[("CHITCHAT_LISTEN", address)]);
    assert!(ended.errors.contains(address), "{ended:?}");
    let ended = run(folder.path(), &["serve", "--listen", address], &[("CHITCHAT_LISTEN", other)]);
    assert!(ended.errors.contains(address), "{ended:?}");
}

#[test]
fn a_service_that_cannot_start_exits_1_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = run(folder.path(), &["serve", "--listen", &address], &[]);
    assert_eq!((ended.code, ended.output.len()), (Some(1), 0), "{ended:?}");
    assert!(ended.errors.contains(&address), "{}", ended.errors);

    // Not even root can make a folder in a file.
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let inside = file.join("logs");
    for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["join", "--name", "alice"]] {
        let arguments = [command, &["--log-dir", inside.to_str().unwrap()]].concat();
        let ended = run(folder.path(), &arguments, &[]);
        assert_eq!((ended.code, ended.output.len()), (Some(1), 0), "{ended:?}");
        assert!(ended.errors.contains(inside.to_str().unwrap()), "{}", ended.errors);
    }
}

#[test]
fn a_client_that_finds_no_service_exits_1_and_says_where_it_looked() {
    let folder = tempfile::tempdir().unwrap();
    let dead_port = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", dead_port.local_addr().unwrap());
    drop(dead_port);
    let ended = run(folder.path(), &["join", "--name", "alice", "--server", &url], &[]);
    assert_eq!((ended.code, ended.output.len()), (Some(1), 0), "{ended:?}");
    assert!(ended.errors.contains(&url), "{}", ended.errors);
}

#[test]
fn help_and_version_exist() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, text) in [
        (&["--help"][..], "join"),
        (&["serve", "--help"], "--participants-max"),
        (&["join", "--help"], "--json"),
        (&["load", "--help"], "--in-flight"),
        (&["fault", "--help"], "--list shows all"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
    ] {
        let ended = run(folder.path(), arguments, &[]).succeeded();
        assert!(ended.output.join("\n").contains(text), "{ended:?}");
    }
}

/// The lab's own options have a heading of their own. A lab has no replicas, so the options of replicas are not shown,
/// and are wrong usage.
#[test]
fn options_of_lab() {
    let folder = tempfile::tempdir().unwrap();
    let help = run(folder.path(), &["lab", "--help"], &[]).succeeded().output.join("\n");
    let (of_serve, of_lab) = help.split_once("\nLab:\n").expect(&help);
    for option in ["--lab-open", "--companions-max", "--proof-logs-max", "--scenarios"] {
        assert!(of_lab.contains(option) && !of_serve.contains(option), "{option}: {help}");
    }
    assert!(of_serve.contains("--participants-max") && !help.contains("--replica"), "{help}");
    let servers = "nats://127.0.0.1:4222";
    check_wrong(&["lab", "--listen", "127.0.0.1:0", "--replicate", servers], &[], "--replicate");
    check_wrong(&["lab", "--listen", "127.0.0.1:0"], &[("CHITCHAT_REPLICATE", servers)], "--replicate");
}

#[test]
fn completions_and_the_manual_have_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let commands =
        ["serve", "lab", "fault", "companion", "scenario", "join", "send", "load", "journal", "verify", "diagram"];
    for arguments in [
        &["man"][..],
        &["completions", "bash"],
        &["completions", "zsh"],
        &["completions", "fish"],
        &["completions", "elvish"],
        &["completions", "powershell"],
    ] {
        let text = run(folder.path(), arguments, &[]).succeeded().output.join("\n").replace('\\', "");
        for word in commands.into_iter().chain(["ingress-per-address-rate", "secret-file", "gallery"]) {
            assert!(text.contains(word), "{arguments:?}: {word}");
        }
    }
    let manual = run(folder.path(), &["man"], &[]).succeeded().output.join("\n");
    assert!(manual.contains("CHITCHAT_SECRET_FILE"), "the manual names the environment variables");
    let manual = manual.replace('\\', "");
    assert!(manual.contains("chitchat serve") && manual.contains("chitchat journal backup"), "{manual}");
    assert!(!manual.contains("(1)") && !manual.contains("chitchat-serve"), "it names no page that does not exist");
    check_wrong(&["completions", "tcsh"], &[], "tcsh");
}

/// The options for limits with their defaults, from `serve --help`.
fn limits_in_help() -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let help = run(folder.path(), &["serve", "--help"], &[]).succeeded().output.join("\n");
    let described: Vec<_> = help.split("\n      --").skip(1).collect();
    let of_limits = described.iter().skip_while(|option| !option.starts_with("participants-max"));
    let grace = described.iter().filter(|option| option.starts_with("grace"));
    of_limits
        .chain(grace)
        .filter_map(|option| {
            let default = option.split_once("[default: ")?.1.split_once(']')?.0;
            Some((option.split_whitespace().next()?.to_owned(), default.to_owned()))
        })
        .collect()
}

#[test]
fn the_readme_has_a_line_for_every_limit_with_its_default() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let table = readme.split_once("### Limits").unwrap().1.split_once("\n\nA refusal").unwrap().0;
    let limits = limits_in_help();
    assert_eq!(limits.len(), 25, "{limits:?}");
    for (option, default) in limits {
        let row = table.lines().find(|row| row.contains(&format!("`--{option}`"))).expect(&option);
        let number = |text: &str| text.trim_end_matches('s').to_owned();
        let figures = row.replace(',', "").replace('|', " ");
        assert!(figures.split_whitespace().any(|figure| figure == number(&default)), "{default}: {row}");
    }
}

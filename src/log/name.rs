//! Names of log files.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// How many bytes a display name may take in a file name: file systems allow about 255 for all of it.
const NAME_BYTES_MAX: usize = 128;
/// How many bytes of a longer name are kept before the hash that makes it unique.
const NAME_BYTES_KEPT: usize = 96;

/// A safe file name for the records of a client with this display name: every character that a file system or shell
/// could interpret is written as `%` and its UTF-8 bytes in hexadecimal. A name that would become too long is cut, and
/// ends with a digest. So different names stay different.
pub fn file_name(component: &str, display_name: &str) -> String {
    format!("{component}-{}.jsonl", safe_name(display_name))
}

/// The part of a file's name that stands for a display name.
pub(crate) fn safe_name(display_name: &str) -> String {
    let mut name = String::new();
    for (index, c) in display_name.chars().enumerate() {
        let plain = c.is_alphanumeric() || c == '_' || c == '-' || (c == '.' && index > 0);
        if plain {
            name.push(c);
        } else {
            let mut utf8 = [0; 4];
            name.extend(c.encode_utf8(&mut utf8).bytes().map(|byte| format!("%{byte:02X}")));
        }
    }
    if name.len() > NAME_BYTES_MAX {
        let digest = Sha256::digest(display_name);
        let kept = (0..=NAME_BYTES_KEPT).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
        name.truncate(kept);
        name.push('~');
        HEXLOWER.encode_append(&digest[..8], &mut name);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_display_name_has_a_safe_and_distinct_file_name() {
        let check = |name: &str, expected: &str| assert_eq!(file_name("client", name), expected);
        check("alice", "client-alice.jsonl");
        check("Åse Ø", "client-Åse%20Ø.jsonl");
        check("../../etc/passwd", "client-%2E.%2F..%2Fetc%2Fpasswd.jsonl");
        check("a%20b", "client-a%2520b.jsonl");
        check("😀", "client-%F0%9F%98%80.jsonl");
        check(&"李".repeat(32), &format!("client-{}.jsonl", "李".repeat(32)));
        check("nul:*?\"<>|\\", "client-nul%3A%2A%3F%22%3C%3E%7C%5C.jsonl");
    }

    #[test]
    fn long_names_have_short_and_distinct_file_names() {
        let smile = "😀".repeat(31);
        let [a, b] = ["😀", "🙂"].map(|last| file_name("client", &format!("{smile}{last}")));
        assert_ne!(a, b);
        assert!(a.len() < 200 && b.len() < 200, "{a} {b}");
    }
}

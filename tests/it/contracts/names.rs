//! Type names: one that is defined twice has a reason in the glossary of docs/architecture.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::layers::list;

#[test]
fn the_glossary_has_each_name_that_two_types_share() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    list(&root.join("src"), &mut files);
    let is_test = |file: &Path| file.strip_prefix(root).unwrap().to_string_lossy().contains("tests");
    let mut definitions: BTreeMap<String, usize> = BTreeMap::new();
    for file in files.iter().filter(|file| !is_test(file)) {
        for name in fs::read_to_string(file).unwrap().lines().filter_map(defined) {
            *definitions.entry(name.to_owned()).or_default() += 1;
        }
    }
    let shared: BTreeSet<_> =
        definitions.into_iter().filter(|(_, count)| *count > 1).map(|(name, _)| name).collect();

    let text = fs::read_to_string(root.join("docs/architecture.md")).unwrap();
    let (_, section) = text.split_once("### Types with one name and two definitions").unwrap();
    let (section, _) = section.split_once("Associated types").unwrap();
    let quoted = section.split('`').skip(1).step_by(2);
    let explained: BTreeSet<_> =
        quoted.filter(|name| name.starts_with(char::is_uppercase)).map(str::to_owned).collect();
    assert_eq!(shared, explained);
}

/// The type that a line defines. Types within a function, an implementation or a module of tests are indented, and do
/// not count.
fn defined(line: &str) -> Option<&str> {
    let line = match line.strip_prefix("pub(") {
        Some(rest) => rest.split_once(") ")?.1,
        None => line.strip_prefix("pub ").unwrap_or(line),
    };
    let name = ["struct ", "enum ", "trait ", "type "].into_iter().find_map(|word| line.strip_prefix(word))?;
    name.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

//! The paths in a Rust source file: in `use` and in code, but not in comments and string literals.

/// A path that occurs in a module. One that begins with `crate` is absolute; any other begins in the module or outside
/// the crate.
pub struct Path {
    pub segments: Vec<String>,
    /// The name that a `use` at the top of the module gives it.
    pub name: Option<String>,
    /// Whether it occurs in the tests of the file.
    pub is_test: bool,
}

/// The paths in a module's source. Those that begin with `self` or `super` are made absolute.
pub fn paths(module: &str, source: &str) -> Vec<Path> {
    let tokens = tokens(source);
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    let mut found = Vec::new();
    // The inline modules around a token, with the number of braces around each.
    let (mut inline, mut braces) = (Vec::<(String, usize)>::new(), 0);
    let mut at = 0;
    while at < tokens.len() {
        let mut paths = Vec::new();
        // `use<>` names what a type captures.
        let is_use = token(at) == "use" && token(at + 1) != "<";
        match token(at) {
            "{" => braces += 1,
            "}" => {
                braces -= 1;
                inline.pop_if(|(_, outside)| *outside == braces);
            }
            "mod" if token(at + 2) == "{" => {
                inline.push((token(at + 1).to_owned(), braces));
                at += 1;
            }
            "use" if is_use => {
                at += 1;
                use_tree(&tokens, &mut at, &[], &mut paths);
            }
            first
                if is_name(first)
                    && token(at + 1) == "::"
                    && !["::", "."].contains(&token(at.wrapping_sub(1))) =>
            {
                let mut path = vec![first.to_owned()];
                while token(at + 1) == "::" && is_name(token(at + 2)) {
                    path.push(token(at + 2).to_owned());
                    at += 2;
                }
                paths.push((path, None));
            }
            _ => {}
        }
        let inside: Vec<&str> = module.split("::").chain(inline.iter().map(|(name, _)| name.as_str())).collect();
        found.extend(paths.into_iter().map(|(path, name)| {
            let name = name.filter(|_| is_use && inline.is_empty());
            Path { segments: from_root(&inside, path), name, is_test: inside.contains(&"tests") }
        }));
        at += 1;
    }
    found
}

/// Reads a `use` tree that begins at `at`; afterwards `at` is the token that ends it.
fn use_tree(tokens: &[String], at: &mut usize, before: &[String], paths: &mut Vec<(Vec<String>, Option<String>)>) {
    let mut path = before.to_vec();
    loop {
        match tokens[*at].as_str() {
            "::" => *at += 1,
            "{" => {
                *at += 1;
                while tokens[*at] != "}" {
                    use_tree(tokens, at, &path, paths);
                    assert!([",", "}"].contains(&tokens[*at].as_str()), "cannot parse a `use` of {path:?}");
                    *at += usize::from(tokens[*at] == ",");
                }
                *at += 1;
                return;
            }
            "*" => {
                *at += 1;
                return paths.push((path, None));
            }
            "as" => {
                let name = tokens[*at + 1].clone();
                *at += 2;
                return paths.push((path, Some(name)));
            }
            "," | "}" | ";" => {
                let name = path.last().cloned();
                return paths.push((path, name));
            }
            "self" if !path.is_empty() => *at += 1,
            segment => {
                path.push(segment.to_owned());
                *at += 1;
            }
        }
    }
}

/// Makes a path with a leading `self` or `super` absolute, as seen from a module.
fn from_root(inside: &[&str], path: Vec<String>) -> Vec<String> {
    let up = path.iter().take_while(|segment| *segment == "super").count();
    let below = match path[0].as_str() {
        "self" => &path[1..],
        "super" => &path[up..],
        _ => return path,
    };
    let around = &inside[..inside.len().saturating_sub(up)];
    ["crate"].iter().chain(around).map(|segment| (*segment).to_owned()).chain(below.iter().cloned()).collect()
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names, `::` and single characters, without comments, literals and white space.
fn tokens(source: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            comment(rest)
        } else if let Some(length) = text(rest) {
            length
        } else if is_name(rest) {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(rest[..length].to_owned());
            length
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                tokens.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

/// The length of a block comment, including nested ones.
fn comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let (open, close) = (rest[at..].starts_with("/*"), rest[at..].starts_with("*/"));
        depth += usize::from(open);
        depth -= usize::from(close);
        at += if open || close { 2 } else { rest[at..].chars().next().map_or(1, char::len_utf8) };
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of a string or character literal, if one begins here.
fn text(rest: &str) -> Option<usize> {
    let prefix = ["br", "b", "r", "c", "cr", ""].into_iter().find(|prefix| {
        let after = rest.strip_prefix(prefix).unwrap_or_default().trim_start_matches('#');
        after.starts_with('"') && (prefix.contains('r') || rest[prefix.len()..].starts_with('"'))
    });
    if let Some(prefix) = prefix {
        let body = &rest[prefix.len()..];
        let hashes = body.len() - body.trim_start_matches('#').len();
        let end = format!("\"{}", "#".repeat(hashes));
        let from = prefix.len() + hashes + 1;
        return match prefix.contains('r') {
            true => rest[from..].find(&end).map(|at| from + at + end.len()),
            false => escaped_end(rest, from, '"'),
        };
    }
    let quoted = rest.strip_prefix("b'").or_else(|| rest.strip_prefix('\''))?;
    let from = rest.len() - quoted.len();
    // A lifetime has no second quote after one character.
    let is_character = quoted.starts_with('\\') || quoted.chars().nth(1) == Some('\'');
    if is_character { escaped_end(rest, from, '\'') } else { None }
}

/// The end of the literal whose content begins at `from`.
fn escaped_end(rest: &str, from: usize, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    for (at, c) in rest[from..].char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return Some(from + at + c.len_utf8()),
            _ => {}
        }
    }
    None
}

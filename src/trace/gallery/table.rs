//! Reads the table of mistakes, in TOML, and says what is wrong with one that cannot be used.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroI64;
use std::sync::LazyLock;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use toml::{Spanned, Table};

use super::Mistake;
use super::expression::{Condition, Template, WORDS};
use crate::trace::report::Rule;

/// A table of mistakes that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct TableError {
    /// The line of the table, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// The fields to set, with their values.
pub(super) type FieldValues = BTreeMap<String, Template>;

/// A step of a mistake, and its line in the table.
#[derive(Debug)]
pub(super) struct MistakeStep {
    pub(super) line: usize,
    pub(super) verb: Verb,
}

/// What a step does; docs/gallery.md explains each.
#[derive(Debug)]
pub(super) enum Verb {
    Find(FindStep),
    Check(CheckStep),
    Set(SetStep),
    Add(AddStep),
    Remove(RemoveStep),
    Cut(CutStep),
    Exchange(ExchangeStep),
    CopyLog(CopyLogStep),
    Sort(SortStep),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FindStep {
    pub(super) find: String,
    pub(super) r#in: Option<String>,
    pub(super) r#where: Option<Condition>,
    pub(super) nth: Option<NonZeroI64>,
    #[serde(default)]
    pub(super) last_first: bool,
    pub(super) after: Option<String>,
    pub(super) before: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckStep {
    pub(super) check: Condition,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetStep {
    pub(super) set: String,
    pub(super) r#in: Option<String>,
    pub(super) r#where: Option<Condition>,
    pub(super) like: Option<String>,
    pub(super) with: FieldValues,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AddStep {
    pub(super) add: String,
    pub(super) like: Option<String>,
    #[serde(default)]
    pub(super) with: FieldValues,
    pub(super) after: Option<String>,
    pub(super) before: Option<String>,
    pub(super) at_end_of: Option<String>,
    pub(super) for_each: Option<String>,
    pub(super) r#in: Option<String>,
    pub(super) r#where: Option<Condition>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RemoveStep {
    pub(super) remove: String,
    pub(super) r#in: Option<String>,
    pub(super) r#where: Option<Condition>,
    #[serde(default)]
    pub(super) and_all_after: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CutStep {
    pub(super) cut: Condition,
    pub(super) keep: Option<Condition>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExchangeStep {
    pub(super) exchange: [String; 2],
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CopyLogStep {
    pub(super) copy_log_of: String,
    pub(super) to: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SortStep {
    pub(super) sort: String,
}

/// The table, as written in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    mistake: Vec<Spanned<MistakeRow>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MistakeRow {
    rule: Spanned<String>,
    title: String,
    explanation: String,
    steps: Vec<Spanned<Table>>,
    #[serde(default)]
    otherwise: Vec<Spanned<Table>>,
}

/// Reads a table of mistakes.
pub fn parse(text: &str) -> Result<Vec<Mistake>, TableError> {
    let line = |at: usize| 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    let rows: Rows = toml::from_str(text).map_err(|error| TableError {
        line: line(error.span().map_or(0, |span| span.start)),
        message: error.message().to_owned(),
    })?;
    let mistake = |row: Spanned<MistakeRow>| {
        let row = row.into_inner();
        let rule = Rule::ALL.into_iter().find(|rule| rule.to_string() == *row.rule.get_ref());
        let rule = rule.ok_or_else(|| TableError {
            line: line(row.rule.span().start),
            message: format!("{:?} is not a rule: the rules are V1 to V{}", row.rule.get_ref(), Rule::ALL.len()),
        })?;
        let way = |steps: Vec<Spanned<Table>>| {
            let mut known = Known::default();
            let step = |step: Spanned<Table>| {
                let line = line(step.span().start);
                let verb = Verb::parse(step.into_inner())
                    .and_then(|verb| known.check(&verb).map(|()| verb))
                    .map_err(|message| TableError { line, message })?;
                Ok(MistakeStep { line, verb })
            };
            steps.into_iter().map(step).collect::<Result<Vec<_>, _>>()
        };
        let ways = [row.steps, row.otherwise].map(way);
        let [steps, otherwise] = ways;
        Ok(Mistake { title: row.title, explanation: row.explanation, rule, steps: steps?, otherwise: otherwise? })
    };
    rows.mistake.into_iter().map(mistake).collect()
}

const VERBS: [&str; 9] = ["find", "check", "set", "add", "remove", "cut", "exchange", "copy_log_of", "sort"];

impl Verb {
    fn parse(table: Table) -> Result<Self, String> {
        fn read<T: DeserializeOwned>(table: Table) -> Result<T, String> {
            table.try_into().map_err(|error: toml::de::Error| error.message().to_owned())
        }
        let mut verbs = VERBS.into_iter().filter(|verb| table.contains_key(*verb));
        let (Some(verb), None) = (verbs.next(), verbs.next()) else {
            return Err(format!("a step needs exactly one of {}", VERBS.join(", ")));
        };
        Ok(match verb {
            "find" => Self::Find(read(table)?),
            "check" => Self::Check(read(table)?),
            "set" => Self::Set(read(table)?),
            "add" => Self::Add(read(table)?),
            "remove" => Self::Remove(read(table)?),
            "cut" => Self::Cut(read(table)?),
            "exchange" => Self::Exchange(read(table)?),
            "copy_log_of" => Self::CopyLog(read(table)?),
            _ => Self::Sort(read(table)?),
        })
    }
}

/// The names of all fields that log records have.
static FIELDS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    fn collect(schema: &Json, fields: &mut BTreeSet<String>) {
        for (key, value) in schema.as_object().into_iter().flatten() {
            if key == "properties" {
                fields.extend(value.as_object().into_iter().flatten().map(|(name, _)| name.clone()));
            }
            collect(value, fields);
        }
        schema.as_array().into_iter().flatten().for_each(|value| collect(value, fields));
    }
    let schema = serde_json::from_str(include_str!("../../../docs/log-record.schema.json")).unwrap_or_default();
    let mut fields = BTreeSet::new();
    collect(&schema, &mut fields);
    fields
});

/// The records and files that earlier steps define, to catch misspelt names before anything runs.
#[derive(Default)]
struct Known {
    records: BTreeSet<String>,
    files: BTreeSet<String>,
}

impl Known {
    fn check(&mut self, verb: &Verb) -> Result<(), String> {
        match verb {
            Verb::Find(find) => {
                if find.r#in.as_ref().and(find.after.as_ref().or(find.before.as_ref())).is_some() {
                    return Err("in cannot be combined with after or before, which already name the log".into());
                }
                self.place(find.r#in.as_ref())?;
                self.records(find.after.iter().chain(&find.before))?;
                self.condition(find.r#where.as_ref())?;
                self.name(&find.find)
            }
            Verb::Check(check) => self.condition(Some(&check.check)),
            Verb::Set(set) => {
                self.target(&set.set, set.r#in.as_ref(), set.r#where.as_ref())?;
                self.records(&set.like)?;
                self.fields(&set.with)
            }
            Verb::Add(add) => {
                self.place(add.r#in.as_ref())?;
                self.condition(add.r#where.as_ref())?;
                let places = [&add.after, &add.before, &add.at_end_of];
                if places.iter().filter(|place| place.is_some()).count() != 1 {
                    return Err("add needs exactly one of after, before, at_end_of".into());
                }
                self.records(places.into_iter().flatten().chain(&add.like))?;
                if let Some(each) = &add.for_each {
                    self.name(each)?;
                }
                self.fields(&add.with)?;
                self.name(&add.add)
            }
            Verb::Remove(remove) => self.target(&remove.remove, remove.r#in.as_ref(), remove.r#where.as_ref()),
            Verb::Cut(cut) => self.condition(Some(&cut.cut)).and_then(|()| self.condition(cut.keep.as_ref())),
            Verb::Exchange(exchange) => self.records(&exchange.exchange),
            Verb::CopyLog(copy) => {
                self.files.insert(copy.to.clone());
                self.records([&copy.copy_log_of])
            }
            Verb::Sort(sort) => self.records([&sort.sort]),
        }
    }

    /// A name for a record.
    fn name(&mut self, name: &str) -> Result<(), String> {
        if FIELDS.contains(name) || WORDS.contains(&name) || ["all", "server", "client"].contains(&name) {
            return Err(format!("{name:?} cannot be the name of a record, because it already has a meaning"));
        }
        self.records.insert(name.to_owned());
        Ok(())
    }

    fn records<'a>(&self, names: impl IntoIterator<Item = &'a String>) -> Result<(), String> {
        match names.into_iter().find(|name| !self.records.contains(*name)) {
            Some(name) => Err(format!("no step before this one finds or adds {name:?}")),
            None => Ok(()),
        }
    }

    fn place(&self, place: Option<&String>) -> Result<(), String> {
        let known = |place: &String| ["server", "client"].contains(&place.as_str()) || self.files.contains(place);
        match place.filter(|place| !known(place)) {
            Some(place) => self.records([place]),
            None => Ok(()),
        }
    }

    /// What `set` and `remove` change.
    fn target(&self, name: &String, place: Option<&String>, condition: Option<&Condition>) -> Result<(), String> {
        if name == "all" {
            self.place(place).and_then(|()| self.condition(condition))
        } else if place.or(condition.map(|_| name)).is_some() {
            Err(format!("in and where can only be used with \"all\"; {name:?} is a single record"))
        } else {
            self.records([name])
        }
    }

    fn condition(&self, condition: Option<&Condition>) -> Result<(), String> {
        condition.map_or(Ok(()), |condition| self.names(condition.names()))
    }

    fn fields(&self, fields: &FieldValues) -> Result<(), String> {
        fields.iter().try_for_each(|(field, value)| {
            self.names([field.clone()])?;
            self.names(value.names())
        })
    }

    /// The names in an expression: a field, a word, or a record, with a field of it after a dot.
    fn names(&self, names: impl IntoIterator<Item = String>) -> Result<(), String> {
        for name in names {
            let field = match name.split_once('.') {
                Some((record, field)) if self.records.contains(record) => field,
                None if self.records.contains(&name) || WORDS.contains(&&*name) || name == "range" => continue,
                _ => &name,
            };
            if !FIELDS.contains(field) {
                return Err(format!(
                    "no log record has the field {field:?}, and no step before this one finds such a record"
                ));
            }
        }
        Ok(())
    }
}

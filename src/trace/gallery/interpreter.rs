//! Makes a mistake: applies its steps to logs.

use std::sync::Arc;

use minijinja::{Error, ErrorKind};
use serde_json::{Value as Json, json};

use super::expression::{Condition, Names, Row};
use super::logs::{JsonLog, Logs};
use super::table::{
    AddStep, CutStep, ExchangeStep, FieldValues, FindStep, MistakeStep, RemoveStep, SetStep, Verb,
};

/// Why a mistake was not made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message says what each field is")]
pub enum NotMade {
    /// The logs have no records of the kind that its steps look for.
    #[error("these logs have no records that it applies to")]
    NoOccasion,
    /// An expression of the table, on this line of it, does not fit the records that it is applied to.
    #[error("line {line}: {source}")]
    Expression {
        line: usize,
        #[source]
        source: Error,
    },
}

type Result<T, E = Error> = std::result::Result<T, E>;

/// The fields that identify an event, apart from its position and times.
const PAYLOAD: [&str; 7] =
    ["participant_id", "display_name", "kind", "content", "message_id", "seen_sequence", "sent_logical_time"];

/// The logs after the steps; `None` if a `find` or `check` has no match.
pub(super) fn run(steps: &[MistakeStep], logs: &Logs) -> Result<Option<Logs>, NotMade> {
    let mut next_id = 0;
    let logs = logs.0.iter().enumerate().map(|(index, log)| {
        let rows = log.records.iter().map(|record| {
            next_id += 1;
            Row::new(next_id, index, record.clone())
        });
        PatchedLog { name: log.name.clone(), is_of_service: log.is_of_service(), rows: rows.collect() }
    });
    let logs = logs.collect();
    let state = Patched { logs, names: Arc::default(), next_id };
    let written = |log: PatchedLog| JsonLog {
        records: log.rows.iter().map(|row| row.record.clone()).collect(),
        name: log.name,
    };
    Ok(state.run(steps)?.map(|state| Logs(state.logs.into_iter().map(written).collect())))
}

#[derive(Clone)]
struct PatchedLog {
    name: String,
    is_of_service: bool,
    rows: Vec<Arc<Row>>,
}

impl PatchedLog {
    fn position(&self, row: &Row) -> Option<usize> {
        self.rows.iter().position(|other| other.id == row.id)
    }
}

#[derive(Clone)]
struct Patched {
    logs: Vec<PatchedLog>,
    names: Arc<Names>,
    next_id: u64,
}

impl Patched {
    /// Carries out the steps. Where a later step has no match, the `find`s before it try their next candidates.
    fn run(self, steps: &[MistakeStep]) -> Result<Option<Self>, NotMade> {
        let Some((step, rest)) = steps.split_first() else { return Ok(Some(self)) };
        let failed = |source| NotMade::Expression { line: step.line, source };
        match &step.verb {
            Verb::Find(find) => {
                for row in self.candidates(find).map_err(failed)? {
                    let mut state = self.clone();
                    state.name(&find.find, row);
                    if let Some(done) = state.run(rest)? {
                        return Ok(Some(done));
                    }
                }
                Ok(None)
            }
            Verb::Check(check) => {
                let holds = check.check.holds(&Row::new(0, 0, Json::Null), &self.names).map_err(failed)?;
                if holds { self.run(rest) } else { Ok(None) }
            }
            change => {
                let mut state = self;
                state.change(change).map_err(failed)?;
                state.run(rest)
            }
        }
    }

    fn change(&mut self, verb: &Verb) -> Result<()> {
        match verb {
            Verb::Find(_) | Verb::Check(_) => Ok(()),
            Verb::Set(set) => self.set(set),
            Verb::Add(add) => self.add(add),
            Verb::Remove(remove) => self.remove(remove),
            Verb::Cut(cut) => self.cut(cut),
            Verb::Exchange(exchange) => {
                self.exchange(exchange);
                Ok(())
            }
            Verb::CopyLog(copy) => {
                let (of, index) = (self.names[&copy.copy_log_of].log, self.logs.len());
                let records: Vec<Json> = self.logs[of].rows.iter().map(|row| row.record.clone()).collect();
                let rows = records.into_iter().map(|record| self.new_row(index, record)).collect();
                let is_of_service = self.logs[of].is_of_service;
                self.logs.push(PatchedLog { name: copy.to.clone(), is_of_service, rows });
                Ok(())
            }
            Verb::Sort(sort) => {
                let time = |row: &Arc<Row>| row.record["timestamp"].as_str().map(str::to_owned);
                self.logs[self.names[&sort.sort].log].rows.sort_by_cached_key(time);
                Ok(())
            }
        }
    }

    fn new_row(&mut self, log: usize, record: Json) -> Arc<Row> {
        self.next_id += 1;
        Row::new(self.next_id, log, record)
    }

    fn name(&mut self, name: &str, row: Arc<Row>) {
        Arc::make_mut(&mut self.names).insert(name.to_owned(), row);
    }

    /// The logs that `in` names: of the service, of the others, of a record, of a file; all if it is missing.
    fn logs_in(&self, place: Option<&String>) -> Vec<usize> {
        let of_record = place.and_then(|place| self.names.get(place)).map(|row| row.log);
        let is_meant = |(index, log): &(usize, &PatchedLog)| match place.map(String::as_str) {
            None => true,
            Some("server") => log.is_of_service,
            Some("client") => !log.is_of_service,
            Some(file) => of_record.map_or(log.name == file, |log| log == *index),
        };
        self.logs.iter().enumerate().filter(is_meant).map(|(index, _)| index).collect()
    }

    fn matching(&self, rows: &[Arc<Row>], condition: Option<&Condition>) -> Result<Vec<Arc<Row>>> {
        let mut found = Vec::new();
        for row in rows {
            if condition.map_or(Ok(true), |condition| condition.holds(row, &self.names))? {
                found.push(Arc::clone(row));
            }
        }
        Ok(found)
    }

    fn candidates(&self, find: &FindStep) -> Result<Vec<Arc<Row>>> {
        let place = find.r#in.as_ref().or(find.after.as_ref()).or(find.before.as_ref());
        let mut found = Vec::new();
        for log in self.logs_in(place).into_iter().map(|index| &self.logs[index]) {
            let at = |name: &Option<String>| log.position(&self.names[name.as_ref()?]);
            let (from, to) = (at(&find.after).map_or(0, |at| at + 1), at(&find.before).unwrap_or(log.rows.len()));
            let mut matching = self.matching(log.rows.get(from..to).unwrap_or_default(), find.r#where.as_ref())?;
            if let Some(nth) = find.nth {
                let from_end = nth.get().is_negative();
                let skipped = nth.get().unsigned_abs() as usize - 1;
                let one = if from_end { matching.iter().nth_back(skipped) } else { matching.get(skipped) };
                matching = one.cloned().into_iter().collect();
            }
            if find.last_first {
                matching.reverse();
            }
            found.append(&mut matching);
        }
        Ok(found)
    }

    /// The records that `set` or `remove` is about, as they are now.
    fn targets(&self, name: &str, place: Option<&String>, condition: Option<&Condition>) -> Result<Vec<Arc<Row>>> {
        if name == "all" {
            let rows: Vec<_> =
                self.logs_in(place).into_iter().flat_map(|log| self.logs[log].rows.clone()).collect();
            self.matching(&rows, condition)
        } else {
            self.now(name).map(|(_, row)| vec![row])
        }
    }

    /// A named record as it is now, and its place in its log.
    fn now(&self, name: &str) -> Result<(usize, Arc<Row>)> {
        let found = &self.names[name];
        let log = &self.logs[found.log];
        let gone = || Error::new(ErrorKind::InvalidOperation, format!("an earlier step has removed {name:?}"));
        let at = log.position(found).ok_or_else(gone)?;
        Ok((at, Arc::clone(&log.rows[at])))
    }

    /// A record with some fields set, whose values may refer to the fields of `own`. A field set to none is removed.
    fn with(&self, mut record: Json, fields: &FieldValues, own: &Arc<Row>) -> Result<Json> {
        for (field, template) in fields {
            record[field] = template.value(own, &self.names)?;
        }
        if let Json::Object(fields) = &mut record {
            fields.retain(|_, value| !value.is_null());
        }
        Ok(record)
    }

    fn set(&mut self, set: &SetStep) -> Result<()> {
        for row in self.targets(&set.set, set.r#in.as_ref(), set.r#where.as_ref())? {
            let like = set.like.as_ref().map_or(&row, |like| &self.names[like]);
            let record = self.with(like.record.clone(), &set.with, &row)?;
            self.replace(&row, record);
        }
        Ok(())
    }

    fn replace(&mut self, row: &Row, record: Json) {
        let log = &mut self.logs[row.log];
        if let Some(at) = log.position(row) {
            log.rows[at] = Row::new(row.id, row.log, record);
        }
    }

    fn add(&mut self, add: &AddStep) -> Result<()> {
        let Some(each) = &add.for_each else { return self.add_one(add) };
        for row in self.targets("all", add.r#in.as_ref(), add.r#where.as_ref())? {
            self.name(each, row);
            self.add_one(add)?;
        }
        Ok(())
    }

    fn add_one(&mut self, add: &AddStep) -> Result<()> {
        let (log, at, beside) = match (&add.after, &add.before, &add.at_end_of) {
            (Some(name), ..) => self.now(name).map(|(at, row)| (row.log, at + 1, row))?,
            (_, Some(name), _) => self.now(name).map(|(at, row)| (row.log, at, row))?,
            (.., name) => {
                let named = &self.names[name.as_deref().unwrap_or_default()];
                let rows = &self.logs[named.log].rows;
                (named.log, rows.len(), Arc::clone(rows.last().unwrap_or(named)))
            }
        };
        let begun = match &add.like {
            Some(like) => self.names[like].record.clone(),
            None => {
                let [timestamp, component, epoch] =
                    ["timestamp", "component", "epoch"].map(|field| &beside.record[field]);
                json!({"timestamp": timestamp, "level": "INFO", "component": component, "epoch": epoch})
            }
        };
        let own = self.new_row(log, begun.clone());
        let record = self.with(begun, &add.with, &own)?;
        let row = Row::new(own.id, log, record);
        self.logs[log].rows.insert(at, Arc::clone(&row));
        self.name(&add.add, row);
        Ok(())
    }

    fn remove(&mut self, remove: &RemoveStep) -> Result<()> {
        for row in self.targets(&remove.remove, remove.r#in.as_ref(), remove.r#where.as_ref())? {
            let log = &mut self.logs[row.log];
            let Some(at) = log.position(&row) else { continue };
            if remove.and_all_after {
                log.rows.truncate(at);
            } else {
                log.rows.remove(at);
            }
        }
        Ok(())
    }

    /// Ends each log before the first record for which the condition holds, save for what is kept.
    fn cut(&mut self, cut: &CutStep) -> Result<()> {
        for index in 0..self.logs.len() {
            let rows = &self.logs[index].rows;
            let Some(first) = self.matching(rows, Some(&cut.cut))?.into_iter().next() else { continue };
            let at = rows.iter().position(|row| row.id == first.id).unwrap_or(rows.len());
            let kept = match &cut.keep {
                Some(keep) => self.matching(&rows[at..], Some(keep))?,
                None => Vec::new(),
            };
            let rows = &mut self.logs[index].rows;
            rows.truncate(at);
            rows.extend(kept);
        }
        Ok(())
    }

    /// Swaps two events in the order, consistently in all logs.
    fn exchange(&mut self, exchange: &ExchangeStep) {
        let [one, other] = exchange.exchange.each_ref().map(|name| Arc::clone(&self.names[name]));
        let rows: Vec<_> = self.logs.iter().flat_map(|log| log.rows.clone()).collect();
        for row in rows {
            let to = match &row.record["sequence"] {
                sequence if *sequence == one.record["sequence"] => &other.record,
                sequence if *sequence == other.record["sequence"] => &one.record,
                _ => continue,
            };
            let fields: &[&str] = match () {
                () if row.is("broadcast") || row.is("delivered") => &PAYLOAD,
                () if row.is("tells") => &["sequence", "logical_time"],
                () => continue,
            };
            let mut record = row.record.clone();
            fields.iter().for_each(|field| record[*field] = to[*field].clone());
            if let Json::Object(fields) = &mut record {
                fields.retain(|_, value| !value.is_null());
            }
            self.replace(&row, record);
        }
    }
}

//! Verifies logs that are held in memory as texts.

use super::published::{JsonInput, JsonPlace, JsonReport, Sources};
use super::record::{Component, LineRef, LogRecord};
use super::report::Report;
use super::verify::{Checker, InputError};

/// A log.
#[derive(Clone, Debug)]
pub struct NamedLog {
    /// Its name.
    pub name: String,
    /// Its lines.
    pub text: String,
}

/// Logs held in memory as texts, and what they prove.
#[derive(Debug)]
pub struct Proof<'a> {
    logs: &'a [NamedLog],
    report: Report,
    /// How many records each log has.
    records: Vec<u64>,
    /// Which component wrote the first record of each.
    components: Vec<Option<Component>>,
    /// The lines that are cut off.
    torn: Vec<LineRef>,
}

impl<'a> Proof<'a> {
    /// Verifies logs.
    ///
    /// # Errors
    /// [`InputError`], such as a log that mixes up the records of several processes.
    pub fn of(logs: &'a [NamedLog]) -> Result<Self, InputError> {
        let mut checker = Checker::new();
        let (mut records, mut components, mut torn) = (vec![0; logs.len()], vec![None; logs.len()], Vec::new());
        for of_service in [true, false] {
            for (index, log) in logs.iter().enumerate() {
                for (number, text) in (1..).zip(log.text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
                    let line = LineRef { file: index as u32, line: number };
                    match LogRecord::parse(text) {
                        Ok(record) if (record.component == Component::Server) == of_service => {
                            records[index] += 1;
                            components[index].get_or_insert(record.component);
                            checker.take(line, &record)?;
                        }
                        Err(_) if of_service => {
                            torn.push(line);
                            checker.torn(line.file);
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(Self { logs, report: checker.finish(), records, components, torn })
    }

    /// In the published form.
    pub fn published(&self) -> JsonReport<'_> {
        JsonReport::new(&self.report, self)
    }
}

impl Sources for Proof<'_> {
    fn inputs(&self) -> Vec<JsonInput> {
        let input = |(index, log): (usize, &NamedLog)| JsonInput {
            files: vec![log.name.clone()],
            component: self.components[index].unwrap_or(Component::Client),
            records: self.records[index],
            cut_off: (self.torn.iter())
                .filter(|line| line.file as usize == index)
                .map(|line| self.place(*line))
                .collect(),
            left_out: None,
        };
        self.logs.iter().enumerate().map(input).collect()
    }

    fn place(&self, line: LineRef) -> JsonPlace {
        JsonPlace { file: self.logs[line.file as usize].name.clone(), line: line.line }
    }

    fn text(&self, line: LineRef) -> &str {
        let number = line.line.saturating_sub(1) as usize;
        self.logs[line.file as usize].text.lines().nth(number).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::trace::gallery::{mistakes, truthful};

    fn texts(logs: &crate::trace::gallery::Logs) -> Vec<NamedLog> {
        let text = |records: &[Value]| records.iter().map(|record| format!("{record}\n")).collect();
        logs.0.iter().map(|log| NamedLog { name: log.name.clone(), text: text(&log.records) }).collect()
    }

    fn published(proof: &Proof<'_>) -> Value {
        serde_json::to_value(proof.published()).unwrap()
    }

    /// The same verdict as for the same logs in files, whatever their order.
    #[test]
    fn logs_in_memory_get_the_same_verdict_as_files() {
        let logs = truthful();
        let expected = logs.verify().unwrap();
        let mut texts = texts(&logs);
        texts.reverse();
        let proof = Proof::of(&texts).unwrap();
        let report = &proof.report;
        assert_eq!(
            (report.records, report.events, report.sessions),
            (expected.records, expected.events, expected.sessions)
        );
        let shown = published(&proof);
        assert_eq!((&shown["verdict"], shown["rules"].as_array().unwrap().len()), (&json!("holds"), 15));
        assert_eq!(shown["schema"], "chitchat.verify-report/1");
        let inputs = shown["inputs"].as_array().unwrap();
        assert_eq!(inputs.last().unwrap()["component"], "server");
        assert_eq!(inputs.iter().map(|input| input["records"].as_u64().unwrap()).sum::<u64>(), report.records);
    }

    /// A violation is shown with its lines, and with the records in them.
    #[test]
    fn a_violation_names_its_lines_and_their_events() {
        let mistake = &mistakes()[0];
        let made = mistake.made_in(&truthful()).into_iter().next().unwrap();
        let texts = texts(&made);
        let shown = published(&Proof::of(&texts).unwrap());
        assert_eq!(shown["verdict"], json!("violated"));
        let rule = &shown["rules"][mistake.rule as usize];
        assert_eq!(rule["verdict"], json!("violated"));
        let line = &rule["violations"][0]["evidence"][0];
        assert!(line["file"].is_string() && line["record"]["sequence"].is_u64(), "{line}");
    }

    #[test]
    fn a_line_that_is_cut_off_is_named() {
        let mut texts = texts(&truthful());
        texts[0].text.push_str("{\"timestamp\":");
        let shown = published(&Proof::of(&texts).unwrap());
        let cut_off = &shown["inputs"][0]["cut_off"];
        assert_eq!(cut_off[0]["line"].as_u64(), Some(texts[0].text.lines().count() as u64), "{cut_off}");
    }
}

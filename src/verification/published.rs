//! What was verified, in the published form: `docs/verify-report.schema.json`.

use super::Verification;
use crate::log::reading::Log;
use crate::trace::published::{JsonInput, JsonPlace, JsonReport, Sources};
use crate::trace::record::LineRef;

impl Sources for Verification {
    fn inputs(&self) -> Vec<JsonInput> {
        let input = |log: &Log| JsonInput {
            files: log.segments.iter().map(|segment| segment.path().display().to_string()).collect(),
            component: log.component,
            records: self.records.get(log.number as usize).copied().unwrap_or(0),
            cut_off: self
                .torn
                .iter()
                .filter(|line| line.file == log.number)
                .map(|line| Sources::place(self, *line))
                .collect(),
            left_out: self.left_out.get(&log.number).map(|line| Sources::place(self, *line)),
        };
        self.logs.iter().map(input).collect()
    }

    fn place(&self, line: LineRef) -> JsonPlace {
        let (path, line) = self.logs[line.file as usize].place(line.line);
        JsonPlace { file: path.display().to_string(), line }
    }

    fn text(&self, line: LineRef) -> &str {
        self.evidence.get(&line).map_or("", String::as_str)
    }
}

impl Verification {
    /// The report in the published form.
    pub fn published(&self) -> JsonReport<'_> {
        JsonReport::new(&self.report, self)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::trace::published::{JsonReport, SCHEMA};

    /// `UPDATE_GENERATED=1 cargo test --lib schema` regenerates it.
    #[test]
    fn the_documented_schema_is_generated_from_the_report() {
        let mut schema = schemars::schema_for!(JsonReport<'_>).to_value();
        schema["title"] = "A report of chitchat verify".into();
        schema["properties"]["schema"] = serde_json::json!({"const": SCHEMA,
            "description": schema["properties"]["schema"]["description"]});
        let generated = format!("{schema:#}\n");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/verify-report.schema.json");
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            std::fs::write(&path, &generated).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(committed, generated, "{} is not what the report's types generate", path.display());
    }
}

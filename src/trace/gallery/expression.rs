//! The conditions and values in the gallery's table: Jinja expressions over the fields of a record and the records that
//! earlier steps have found.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, UNIX_EPOCH};

use minijinja::value::{Object, Serde, Value};
use minijinja::{Environment, Error, ErrorKind, Expression};
use serde::Deserialize;
use serde_json::Value as Json;

static JINJA: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut jinja = Environment::new();
    jinja.add_filter("later", |time: &str, seconds: f64| {
        let micros = micros(time)?.saturating_add((seconds * 1e6).round() as i64);
        let at = UNIX_EPOCH + Duration::from_micros(u64::try_from(micros).unwrap_or(0));
        Ok::<_, Error>(humantime::format_rfc3339_micros(at).to_string())
    });
    jinja.add_filter("since", |time: &str, earlier: &str| {
        Ok::<_, Error>((micros(time)? - micros(earlier)?) as f64 / 1e6)
    });
    jinja
});

/// Microseconds since 1970.
fn micros(time: &str) -> Result<i64, Error> {
    let at = humantime::parse_rfc3339(time).ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    at.and_then(|since| i64::try_from(since.as_micros()).ok())
        .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, format!("{time:?} is not a timestamp")))
}

/// The words for kinds of record, which expressions can use like fields.
pub(super) const WORDS: [&str; 3] = ["broadcast", "delivered", "tells"];

/// A record of a log, which keeps its id when its fields change.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: u64,
    /// The log's place among the logs, from 0.
    pub(super) log: usize,
    pub(super) record: Json,
    fields: Value,
}

impl Row {
    pub(super) fn new(id: u64, log: usize, record: Json) -> Arc<Self> {
        Arc::new(Self { id, log, fields: Value::from(Serde(&record)), record })
    }

    /// Whether one of [`WORDS`] holds for this record.
    pub(super) fn is(&self, word: &str) -> bool {
        let event = self.record["event"].as_str().unwrap_or_default();
        match word {
            "broadcast" => event.ends_with("_broadcast"),
            "delivered" => event == "event_delivered" && self.record["component"] != "server",
            _ => self.is("broadcast") || self.is("delivered") || event.ends_with("_acknowledged"),
        }
    }
}

/// The records that steps have found, by the names that the steps gave them. Each is kept as it was when it was found.
pub(super) type Names = BTreeMap<String, Arc<Row>>;

/// What an expression can name: the fields of one record, the words, and the records that were found.
#[derive(Debug)]
struct Scope {
    row: Arc<Row>,
    names: Arc<Names>,
}

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        match self.names.get(name) {
            Some(found) => Some(found.fields.clone()),
            None if WORDS.contains(&name) => Some(self.row.is(name).into()),
            None => self.row.fields.get_attr(name).ok().filter(|value| !value.is_undefined()),
        }
    }
}

fn scope(row: &Arc<Row>, names: &Arc<Names>) -> Value {
    Value::from_object(Scope { row: Arc::clone(row), names: Arc::clone(names) })
}

/// A condition on a record.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Condition(Expression<'static, 'static>);

impl TryFrom<String> for Condition {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        JINJA.compile_expression_owned(text).map(Self)
    }
}

impl Condition {
    pub(super) fn holds(&self, row: &Arc<Row>, names: &Arc<Names>) -> Result<bool, Error> {
        Ok(self.0.eval(scope(row, names))?.is_true())
    }

    /// The names that it uses.
    pub(super) fn names(&self) -> HashSet<String> {
        self.0.undeclared_variables(true)
    }
}

/// What a field is set to.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Json")]
pub(super) enum Template {
    /// As written in the table.
    Literal(Json),
    /// `"{{ … }}"`: what the expression yields, a number or a text.
    Expression(Expression<'static, 'static>),
    /// A text with expressions in it.
    Text(String),
}

impl TryFrom<Json> for Template {
    type Error = Error;

    fn try_from(value: Json) -> Result<Self, Error> {
        let Json::String(text) = value else { return Ok(Self::Literal(value)) };
        let inner = text.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
        match inner.filter(|inner| !inner.contains("{{")) {
            Some(expression) => JINJA.compile_expression_owned(expression.to_owned()).map(Self::Expression),
            None if text.contains('{') => JINJA.template_from_str(&text).map(drop).map(|()| Self::Text(text)),
            None => Ok(Self::Literal(text.into())),
        }
    }
}

impl Template {
    pub(super) fn value(&self, row: &Arc<Row>, names: &Arc<Names>) -> Result<Json, Error> {
        match self {
            Self::Literal(value) => Ok(value.clone()),
            Self::Expression(expression) => Json::deserialize(expression.eval(scope(row, names))?),
            Self::Text(text) => JINJA.render_str(text, scope(row, names)).map(Json::String),
        }
    }

    /// The names that it uses.
    pub(super) fn names(&self) -> HashSet<String> {
        match self {
            Self::Literal(_) => HashSet::new(),
            Self::Expression(expression) => expression.undeclared_variables(true),
            Self::Text(text) => {
                JINJA.template_from_str(text).map(|text| text.undeclared_variables(true)).unwrap_or_default()
            }
        }
    }
}

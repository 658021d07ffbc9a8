//! Reads a scenario's file, and reports what is wrong with it.

use std::time::Duration;

use serde::Deserialize;

use super::{Action, ROLES_MAX, Role, STEPS_MAX, Scenario, Step};
use crate::chat::{DisplayName, MessageText};
use crate::wire::pb;

/// The longest time that a step may name, in seconds.
const SECONDS_MAX: f64 = 60.0;
/// The longest delay, in seconds: as long as the lab allows.
const DELAY_SECONDS_MAX: f64 = 30.0;

/// The file's format.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    title: String,
    about: String,
    watch: String,
    #[serde(default, rename = "role")]
    roles: Vec<RoleEntry>,
    #[serde(default, rename = "step")]
    steps: Vec<StepEntry>,
    question: QuestionEntry,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleEntry {
    role: String,
    name: Option<String>,
    #[serde(default)]
    person: bool,
    #[serde(default)]
    joins_later: bool,
    #[serde(default)]
    clock_off_seconds: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepEntry {
    tell: String,
    #[serde(rename = "do", default = "look")]
    action: String,
    who: Option<String>,
    text: Option<String>,
    #[serde(default)]
    later: bool,
    what: Option<String>,
    seconds: Option<f64>,
    count: Option<u32>,
    until: Option<String>,
    #[serde(default)]
    refused: bool,
}

fn look() -> String {
    "look".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuestionEntry {
    ask: String,
    #[serde(rename = "answer")]
    answers: Vec<AnswerEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerEntry {
    text: String,
    #[serde(default)]
    right: bool,
    why: String,
}

/// Reads a scenario. The error says why the text is not one.
pub(super) fn scenario(name: &str, text: &str) -> Result<Scenario, String> {
    let file: File = toml::from_str(text).map_err(|error| {
        let before = error.span().map_or("", |span| text.get(..span.start).unwrap_or_default());
        format!("line {}: {}", 1 + before.matches('\n').count(), error.message())
    })?;
    check_size(&file)?;
    let roles = file.roles.iter().map(role).collect::<Result<Vec<_>, _>>()?;
    check_roles(&roles)?;
    let steps = file
        .steps
        .iter()
        .enumerate()
        .map(|(index, entry)| step(entry, &roles).map_err(|why| format!("step {}: {why}", index + 1)));
    let steps = steps.collect::<Result<Vec<_>, _>>()?;
    let about = pb::Scenario {
        name: name.to_owned(),
        title: file.title.trim().to_owned(),
        about: file.about.trim().to_owned(),
        watch: file.watch.trim().to_owned(),
        has_person: roles.iter().any(|role| role.is_person),
    };
    Ok(Scenario { about, roles, steps, question: question(&file.question)? })
}

fn step(entry: &StepEntry, roles: &[Role]) -> Result<Step, String> {
    check_tell(&entry.tell, roles)?;
    Ok(Step { tell: entry.tell.trim().to_owned(), action: action(entry, roles)? })
}

fn check_size(file: &File) -> Result<(), String> {
    if file.roles.is_empty() || file.roles.len() > ROLES_MAX {
        return Err(format!("a scenario has 1 to {ROLES_MAX} roles ([[role]])"));
    }
    if file.steps.is_empty() || file.steps.len() > STEPS_MAX {
        return Err(format!("a scenario has 1 to {STEPS_MAX} steps ([[step]])"));
    }
    Ok(())
}

fn role(entry: &RoleEntry) -> Result<Role, String> {
    let display_name = entry.name.clone().unwrap_or_else(|| entry.role.clone());
    let parsed = DisplayName::parse(&display_name);
    let parsed = parsed.map_err(|refusal| format!("role {}: {refusal}", entry.role))?;
    if entry.person && (entry.joins_later || entry.clock_off_seconds != 0) {
        return Err(format!("role {}: a person has already joined, and has their own clock", entry.role));
    }
    Ok(Role {
        role: entry.role.clone(),
        display_name: parsed.to_string(),
        is_person: entry.person,
        joins_later: entry.joins_later,
        offset_seconds: entry.clock_off_seconds,
    })
}

fn check_roles(roles: &[Role]) -> Result<(), String> {
    for (index, role) in roles.iter().enumerate() {
        if roles[..index].iter().any(|other| other.role == role.role) {
            return Err(format!("two roles are called {}", role.role));
        }
    }
    if roles.iter().filter(|role| role.is_person).count() > 1 {
        return Err("at most one role can be for a person".into());
    }
    Ok(())
}

/// Every name in braces in a step's text must be a role.
fn check_tell(tell: &str, roles: &[Role]) -> Result<(), String> {
    for part in tell.split('{').skip(1) {
        let named = part.split('}').next().unwrap_or_default();
        if !part.contains('}') || !roles.iter().any(|role| role.role == named) {
            return Err(format!("{{{named}}} is not a role"));
        }
    }
    Ok(())
}

fn question(entry: &QuestionEntry) -> Result<pb::Question, String> {
    if entry.answers.len() < 2 || entry.answers.iter().filter(|answer| answer.right).count() != 1 {
        return Err("the question needs two answers or more, one of them with right = true".into());
    }
    let answers = entry.answers.iter().map(|answer| pb::Answer {
        text: answer.text.clone(),
        right: answer.right,
        why: answer.why.clone(),
    });
    Ok(pb::Question { ask: entry.ask.clone(), answers: answers.collect() })
}

fn action(step: &StepEntry, roles: &[Role]) -> Result<Action, String> {
    let verb = step.action.as_str();
    let who = || {
        let named = step.who.as_deref().ok_or_else(|| format!("{verb} needs who"))?;
        let found = roles.iter().position(|role| role.role == named);
        found.ok_or_else(|| format!("{named} is not a role"))
    };
    let companion = || {
        let who = who()?;
        if roles[who].is_person {
            return Err(format!("{verb} is for companions, and {} is a person", roles[who].role));
        }
        Ok(who)
    };
    let duration = || {
        let seconds = step.seconds.ok_or_else(|| format!("{verb} needs seconds"))?;
        let longest = if verb == "delay" { DELAY_SECONDS_MAX } else { SECONDS_MAX };
        if !(0.0..=longest).contains(&seconds) {
            return Err(format!("seconds should be from 0 to {longest}"));
        }
        Ok(Duration::from_secs_f64(seconds))
    };
    let action = match verb {
        "look" => Action::Look,
        "say" => {
            let text = step.text.clone().ok_or("say needs text")?;
            MessageText::parse(text.clone()).map_err(|refusal| refusal.to_string())?;
            Action::Say { who: who()?, text, later: step.later }
        }
        "hold" | "cut" => {
            let (hold, cut) = (verb == "hold", verb == "cut");
            Action::Fault { who: who()?, fault: fault(step, hold, cut, None)?, disconnect: false }
        }
        "delay" => {
            let delay = prost_types::Duration::try_from(duration()?).map_err(|error| error.to_string())?;
            Action::Fault { who: who()?, fault: fault(step, false, false, Some(delay))?, disconnect: false }
        }
        "pause" => {
            let fault = pb::Fault { pause: true, ..pb::Fault::default() };
            Action::Fault { who: who()?, fault, disconnect: false }
        }
        "disconnect" => Action::Fault { who: who()?, fault: pb::Fault::default(), disconnect: true },
        "release" => Action::Release { who: who()?, count: step.count.filter(|count| *count > 0) },
        "clear" => Action::Clear { who: step.who.as_ref().map(|_| who()).transpose()? },
        "stop-writer" => Action::StopWriter { duration: duration()? },
        "join" => Action::Join { who: companion()? },
        "leave" => Action::Leave { who: companion()? },
        "crash" => Action::Crash { who: companion()? },
        "resume" => Action::Resume { who: companion()?, refused: step.refused },
        "wait" => match step.until.as_deref() {
            Some("delivered") => Action::WaitDelivered { who: companion()? },
            Some("said") => Action::WaitSaid { who: who()? },
            Some("left") => Action::WaitLeft { who: who()? },
            Some(other) => return Err(format!("until should be delivered, said or left, not {other}")),
            None => Action::WaitTime { duration: duration()? },
        },
        other => {
            return Err(format!(
                "{other} is not an action: use look, say, hold, cut, delay, pause, disconnect, release, clear, \
                 stop-writer, join, leave, crash, resume or wait"
            ));
        }
    };
    Ok(action)
}

fn fault(
    step: &StepEntry,
    hold: bool,
    cut: bool,
    delay: Option<prost_types::Duration>,
) -> Result<pb::Fault, String> {
    let impairment = Some(pb::Impairment { hold, cut, delay, jitter: None });
    let (deliveries, publishes) = match step.what.as_deref() {
        Some("deliveries") => (impairment, None),
        Some("publishes") => (None, impairment),
        Some("both") => (impairment, impairment),
        _ => return Err(format!("{} needs what: deliveries, publishes or both", step.action)),
    };
    Ok(pb::Fault { deliveries, publishes, pause: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
title = "Small"
about = "About."
watch = "Watch."
[[role]]
role = "you"
person = true
[[role]]
role = "Ann"
[[step]]
tell = "{Ann} speaks."
do = "say"
who = "Ann"
text = "hello"
[question]
ask = "Why?"
[[question.answer]]
text = "So."
right = true
why = "It is so."
[[question.answer]]
text = "Not so."
why = "It is not."
"#;

    /// K9: the built-in scenarios can be read, and each has a unique name.
    #[test]
    fn built_in() {
        let scenarios = Scenario::built_in().unwrap();
        assert_eq!(scenarios.len(), 10);
        for scenario in &scenarios {
            let named = scenarios.iter().filter(|other| other.about.name == scenario.about.name);
            assert_eq!(named.count(), 1);
        }
    }

    /// K9: an error in a scenario names the step.
    #[test]
    fn refused() {
        let parsed = Scenario::parse("small", SMALL).unwrap();
        assert!(parsed.about.has_person);
        assert_eq!(parsed.steps[0].action, Action::Say { who: 1, text: "hello".into(), later: false });
        for (right, wrong, named) in [
            ("title = \"Small\"", "", "title"),
            ("title = \"Small\"", "title = Small", "small: line 2: "),
            ("text = \"hello\"", "texts = \"hello\"", "small: line 14: unknown field `texts`"),
            ("text = \"hello\"", "", "step 1: say needs text"),
            ("text = \"hello\"", "text = \"\"", "step 1: "),
            ("who = \"Ann\"", "who = \"Ben\"", "step 1: Ben is not a role"),
            ("do = \"say\"", "do = \"shout\"", "step 1: shout is not an action"),
            ("do = \"say\"", "do = \"hold\"", "step 1: hold needs what"),
            ("do = \"say\"", "do = \"delay\"", "step 1: delay needs seconds"),
            ("do = \"say\"", "do = \"wait\"\nuntil = \"noon\"", "until should be"),
            ("do = \"say\"\nwho = \"Ann\"", "do = \"crash\"\nwho = \"you\"", "crash is for companions"),
            ("do = \"say\"", "do = \"stop-writer\"\nseconds = 61", "seconds should be from 0 to 60"),
            ("{Ann} speaks.", "{Eve} speaks.", "step 1: {Eve} is not a role"),
            ("role = \"Ann\"", "role = \"you\"", "two roles are called you"),
            ("role = \"Ann\"", "role = \"Ann\"\nperson = true", "at most one role"),
            ("role = \"Ann\"", "role = \"Ann\"\ncolor = \"red\"", "color"),
            ("role = \"Ann\"", "role = \"Ann\"\nname = \"\"", "role Ann: "),
            ("right = true", "", "the question needs two answers"),
        ] {
            assert!(SMALL.contains(right), "{right}");
            let error = Scenario::parse("small", &SMALL.replacen(right, wrong, 1)).unwrap_err().to_string();
            assert!(error.starts_with("small: ") && error.contains(named), "{right}: {error}");
            assert!(!error.contains('\n'), "{right}: {error}");
        }
    }
}

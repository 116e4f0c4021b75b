//! `docs/configuration-reference.md`.

use std::fmt::Write as _;

use super::{Form, Section, Setting, settings};

const INTRODUCTION: &str = "\
# Configuration reference

Every setting of the file, put here from the program (`tidegate config reference`); a test holds the page equal to it. What they are
for, and how they go together, is in [configuration](configuration.md); [config/tidegate.toml](../config/tidegate.toml) is a file
to begin with, and [config/tidegate.schema.json](../config/tidegate.schema.json) its schema.

* **time**: a number of seconds, or a text with a unit (`\"500ms\"`, `\"20s\"`, `\"2min\"`, `\"1h\"`), at most a day.
* **path**: from the folder of the file on, unless it begins with `/`.
* Numbers and switches mean the same with quotation marks and without.
* In a URL, the settings of a database are parameters: `connection_limit`, `pool_timeout`, `connect_timeout`, `passfile`,
  `application_name`, `options`, `channel_binding` and those that begin with `ssl` by their names, all others with `tidegate_` in front.
* **change**: `reload` is taken over by a [reload](operations.md#reload), `restart` needs a restart (or an
  [upgrade](operations.md#upgrade)).
";

/// The page.
pub fn page() -> String {
    let mut out = String::from(INTRODUCTION);
    let all = settings();
    for section in [
        Section::Proxy,
        Section::Peers,
        Section::Sni,
        Section::Database,
        Section::Node,
        Section::User,
        Section::Rule,
    ] {
        let heading = match section {
            Section::Proxy | Section::Node => section.heading().replace("nodes", "`nodes`"),
            _ => format!("`{}`", section.heading()),
        };
        let _ = write!(out, "\n## {heading}\n\n{}\n\n", opening(section));
        out.push_str("| setting | type | default | change | meaning |\n|---|---|---|---|---|\n");
        for setting in all.iter().filter(|setting| setting.section == section) {
            row(setting, &mut out);
        }
    }
    out
}

fn opening(section: Section) -> &'static str {
    match section {
        Section::Proxy => "In front of all sections.",
        Section::Peers => "Instances of Tidegate behind one address.",
        Section::Sni => "A certificate for clients that ask for another name.",
        Section::Database => {
            "A database under the name that clients ask for; as many sections as there are databases."
        }
        Section::Node => "A text, or a table such as `{ address = \"pg1:5432\", role = \"primary\" }`.",
        Section::User => "One more user. What is not said of a user is as the database's section says.",
        Section::Rule => "The operator's word about where statements go; as many sections as you like.",
    }
}

fn row(setting: &Setting, out: &mut String) {
    let Setting { name, form, default, meaning, section, .. } = setting;
    let default = match default {
        Some(default) => format!("`{default}`"),
        None if *section == Section::User => "the database's".to_owned(),
        None => "–".to_owned(),
    };
    let change = if setting.is_reloaded() { "reload" } else { "restart" };
    let meaning = meaning.replace('|', "\\|").replace('*', "\\*").replace('<', "&lt;");
    let _ = writeln!(out, "| `{name}` | {} | {default} | {change} | {meaning} |", written(*form));
}

/// A form in words.
fn written(form: Form) -> String {
    let words = |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    match form {
        Form::Text => "text".to_owned(),
        Form::Texts => "text or list of texts".to_owned(),
        Form::Path => "path".to_owned(),
        Form::Secret => "text (secret)".to_owned(),
        Form::Url => "URL".to_owned(),
        Form::Switch => "`true` or `false`".to_owned(),
        Form::OneOrZero => "`1` or `0`".to_owned(),
        Form::Whole(least, most) => format!("whole number, {least} to {most}"),
        Form::WholeOrOff(least, most) => format!("whole number, {least} to {most}, or `off`"),
        Form::Share => "number from 0 to 1".to_owned(),
        Form::CollectorOrOff => "URL or `off`".to_owned(),
        Form::Time => "time".to_owned(),
        Form::TimeOrOff => "time or `off`".to_owned(),
        Form::Word(known) => words(known),
        Form::Words(known) => format!("list of {}", words(known)),
        Form::Listen => "list of `IP:port` and `/directory:port`".to_owned(),
        Form::AddressOrOff => "`IP:port` or `off`".to_owned(),
        Form::Server => "`host:port` or `/directory:port`".to_owned(),
        Form::Servers => "list of servers".to_owned(),
        Form::Numbered => "key from 1 to 1023, value `host:port` or `/directory:port`".to_owned(),
    }
}

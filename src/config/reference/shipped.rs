//! What `config/tidegate.toml` says of the settings: the comment above each, and its default.

use super::Section;

/// The file as it is shipped. A test holds that it says the built-in defaults.
const SHIPPED: &str = include_str!("../../../config/tidegate.toml");

/// What the file says of a setting.
#[derive(Clone, Debug)]
pub(super) struct Described {
    pub(super) section: Section,
    pub(super) name: &'static str,
    /// Behind `#`: what it is anyway.
    pub(super) default: Option<&'static str>,
    /// Behind `# `: what it could be.
    pub(super) example: Option<&'static str>,
    pub(super) meaning: String,
}

/// What a line of the file is.
enum Line<'a> {
    Heading(Section),
    Default(&'a str, &'a str),
    Example(&'a str, &'a str),
    Prose(&'a str),
    Blank,
}

/// All that the file describes. Settings that stand together share the comment above them.
pub(super) fn described() -> Vec<Described> {
    let mut found: Vec<Described> = Vec::new();
    let (mut section, mut comment, mut is_used) = (Section::Proxy, String::new(), false);
    for line in SHIPPED.lines() {
        match read(line) {
            Line::Blank => comment.clear(),
            Line::Heading(next) => {
                section = next;
                comment.clear();
            }
            Line::Prose(text) => {
                if is_used {
                    comment.clear();
                }
                is_used = false;
                if !comment.is_empty() {
                    comment.push(' ');
                }
                comment.push_str(text);
            }
            Line::Default(name, value) => {
                is_used = true;
                found.push(entry(section, name, Some(value), None, &comment));
            }
            Line::Example(name, value) => {
                is_used = true;
                if found.iter().all(|known| known.section != section || known.name != name) {
                    found.push(entry(section, name, None, Some(value), &comment));
                }
            }
        }
    }
    found
}

fn entry(
    section: Section,
    name: &'static str,
    default: Option<&'static str>,
    example: Option<&'static str>,
    meaning: &str,
) -> Described {
    Described { section, name, default, example, meaning: meaning.to_owned() }
}

fn read(line: &'static str) -> Line<'static> {
    let Some(rest) = line.strip_prefix('#') else { return Line::Blank };
    let inner = rest.strip_prefix(' ').unwrap_or(rest);
    let heading = match inner {
        "[peers]" => Some(Section::Peers),
        _ if inner.starts_with("[sni.") => Some(Section::Sni),
        "[database.app]" => Some(Section::Database),
        _ if inner.starts_with("[database.app.user.") => Some(Section::User),
        "[[database.app.rule]]" => Some(Section::Rule),
        _ => None,
    };
    if let Some(section) = heading {
        return Line::Heading(section);
    }
    let assignment = inner.split_once(" = ").filter(|(name, _)| is_name(name));
    match assignment {
        Some((name, value)) if inner.len() == rest.len() => Line::Default(name, value.trim()),
        Some((name, value)) => Line::Example(name, value.trim()),
        None if inner.is_empty() => Line::Blank,
        None => Line::Prose(inner.trim()),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

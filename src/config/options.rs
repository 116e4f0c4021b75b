//! libpq's `options`: `-c name=value -c other=value`, the form in which settings travel in a startup packet.
//!
//! <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-OPTIONS>

use super::mistake::Problem;

const ADVICE: &str =
    "Write it as -c name=value (in a URL: -c%20name%3Dvalue); a blank in a value is written \\ and a blank";

/// The settings in `text`, in order, no name twice. Values are never shown in a problem.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>, Problem> {
    let mut settings: Vec<(String, String)> = Vec::new();
    let mut words = split(text).into_iter();
    while let Some(word) = words.next() {
        let assignment = match (word.strip_prefix("--"), word.strip_prefix("-c")) {
            (Some(long), _) => Some(long.to_owned()),
            (None, Some("")) => words.next(),
            (None, Some(short)) => Some(short.to_owned()),
            (None, None) => None,
        };
        let Some((name, value)) = assignment.as_deref().and_then(|text| text.split_once('=')) else {
            return Err(Problem::new("it holds something else than -c name=value", ADVICE));
        };
        // The server takes dashes for underscores here.
        let name = name.replace('-', "_");
        if !is_setting_name(&name) {
            return Err(Problem::new("it sets something that is not the name of a setting", ADVICE));
        }
        if settings.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name)) {
            return Err(Problem::new(format!("it sets {name} twice"), "Set it once"));
        }
        settings.push((name, value.to_owned()));
    }
    Ok(settings)
}

fn is_setting_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$'))
}

/// Words between blanks; a backslash takes the meaning from what follows it, as the server's own splitting does.
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_ascii_whitespace() => words.extend(word.take()),
            '\\' => word.get_or_insert_default().extend(chars.next()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let table = [
            ("", vec![]),
            ("-c geqo=off", vec![pair("geqo", "off")]),
            ("  -cgeqo=off   --work-mem=4MB ", vec![pair("geqo", "off"), pair("work_mem", "4MB")]),
            (r"-c search_path=a,\ b -c x.y=\\", vec![pair("search_path", "a, b"), pair("x.y", r"\")]),
            ("-c search_path=", vec![pair("search_path", "")]),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["geqo=off", "-c", "-c geqo", "-B 5", "-c =x", "-c 1a=x", "-c a=1 -c A=2", "--", "-c a b=1"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

//! URLs and the TOML file: nothing panics, and a password that stands where a password belongs is never shown, in no error,
//! no warning, and no debugging output, whatever stands around it.
#![forbid(unsafe_code)]
#![no_main]

use std::hash::{DefaultHasher, Hash, Hasher};

use libfuzzer_sys::fuzz_target;
use tidegate::config::{Given, Secret, Sources, load, load_text, redact_url};

fuzz_target!(|data: &[u8]| {
    let Some((&place, data)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut pieces = text.splitn(3, '\u{1}');
    let mut piece = || pieces.next().unwrap_or_default().to_owned();
    let (a, b, c) = (piece(), piece(), piece());
    // Made of the input, so that the input cannot have it anywhere else.
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    let password = format!("p{:016x}", hasher.finish());
    let without = |text: &str, chars: &[char]| text.replace(chars, "");
    match place % 9 {
        0 => url(&format!("postgres://{a}:{password}{b}@{c}"), &password),
        1 => url(&format!("postgres://{a}:{b}{password}@{c}"), &password),
        // The @ was forgotten, and perhaps the password has one.
        2 => url(&format!("postgres://{}:{password}{b}", without(&a, &['@', '/', '?'])), &password),
        3 => url(&format!("postgres://{a}@{b}?{c}&password={password}"), &password),
        // Quotation marks would make the password a part of something else, and a bracket of another section.
        4 => file(
            &section(&format!("{}\npassword = \"{password}\"\n{b}", without(&a, &['"', '\'', '[']))),
            &password,
        ),
        5 => file(&section(&format!("url = \"postgres://u:{password}{b}@{c}\"\n{a}")), &password),
        6 => file(
            &section(&format!("users = [{{ name = \"u\", password = \"{password}\" }}]\n{a}")),
            &password,
        ),
        7 => file(&format!("console_password = \"{password}\"\n{a}"), &password),
        _ => {
            url(text, &password);
            file(text, &password);
        }
    }
});

fn section(inside: &str) -> String {
    format!("[database.app]\n{inside}")
}

fn url(text: &str, password: &str) {
    let shown = redact_url(text);
    hidden(&shown, password, "the redacted URL");
    assert!(!shown.chars().any(char::is_control), "a log line can be forged");
    let url = || Given { url: Some(Secret::new(text)), ..Given::default() };
    let said = Sources { flags: url(), ..Sources::default() };
    hidden(&format!("{said:?}"), password, "what was said");
    read(load(&said), password);
    read(load(&Sources { env: url(), ..Sources::default() }), password);
}

fn file(text: &str, password: &str) {
    read(load_text(text, &Sources::default()), password);
}

fn read(loaded: Result<tidegate::config::Settings, tidegate::config::Mistakes>, password: &str) {
    match loaded {
        Ok(settings) => {
            hidden(&settings.warnings.join("\n"), password, "a warning");
            hidden(&format!("{settings:?}"), password, "the settings");
        }
        Err(mistakes) => {
            hidden(&mistakes.to_string(), password, "an error");
            hidden(&format!("{mistakes:?}"), password, "an error's debugging output");
        }
    }
}

#[track_caller]
fn hidden(shown: &str, password: &str, place: &str) {
    assert!(!shown.contains(password), "{place} shows the password: {shown}");
}

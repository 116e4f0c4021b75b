//! Who may use the console.

use super::*;

const APP: &str = "[database.app]\nurl = 'postgres://app:secret@pg1'\n";

fn users(text: &str) -> Vec<(String, String)> {
    let settings = from_file(text, Sources::default()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    settings.console_users.into_iter().map(|user| (user.name, user.password.expose().to_owned())).collect()
}

fn user(name: &str, password: &str) -> (String, String) {
    (name.to_owned(), password.to_owned())
}

#[test]
fn they_have_their_own_password_or_one_for_all() {
    assert_eq!(users(APP), []);
    assert_eq!(users(&format!("console_users = []\n{APP}")), []);
    assert_eq!(users(&format!("console_users = 'app'\n{APP}")), [user("app", "secret")]);
    let one = format!("console_users = ['app', 'ops']\nconsole_password = 'own'\n{APP}");
    assert_eq!(users(&one), [user("app", "own"), user("ops", "own")]);
    let file = format!("console_users = ['ops']\nconsole_password_file = 'password'\n{APP}");
    assert_eq!(users(&file), [user("ops", "from a file")]);
}

#[test]
fn a_user_without_a_password_or_with_several_is_a_mistake() {
    let trusting = "[database.app]\nurl = 'postgres://app@pg1?tidegate_client_auth=trust'\n";
    let two = format!("{APP}[database.other]\nurl = 'postgres://app:different@pg1'\n");
    for (text, word) in [
        (format!("console_users = ['ops']\n{APP}"), "console_users: the user ops has no password"),
        (format!("console_users = ['app']\n{trusting}"), "the user app has no password"),
        (format!("console_users = ['app']\n{two}"), "the user app has several passwords"),
        (format!("console_users = ['app', 'app']\n{APP}"), "\"app\" is no name, or is given twice"),
        (format!("console_users = ['']\n{APP}"), "\"\" is no name"),
        (format!("console_user = ['app']\n{APP}"), "Did you mean console_users?"),
    ] {
        let mistakes = from_file(&text, Sources::default()).expect_err(&text);
        assert_says(&mistakes, &[word]);
        assert!(!mistakes.to_string().contains("different"), "{mistakes}");
    }
}

#[test]
fn flags_go_before_the_file() {
    let mut sources = Sources::default();
    sources.flags.console_users = vec!["ops".to_owned()];
    let text = format!("console_users = ['app']\nconsole_password = 'own'\n{APP}");
    let settings = from_file(&text, sources.clone()).unwrap();
    assert_eq!(settings.console_users[0].name, "ops");
    sources.flags.console_users = vec![String::new()];
    assert_says(&from_file(APP, sources).unwrap_err(), &["--console-users: \"\" is no name"]);
}

#[test]
fn a_database_of_the_consoles_name_is_warned_of() {
    let text = "console_users = ['app']\n[database.pgbouncer]\nurl = 'postgres://app:secret@pg1'\n";
    let warnings = from_file(text, Sources::default()).unwrap().warnings;
    assert!(warnings[0].contains("database pgbouncer hides the console"), "{warnings:?}");
}

use super::*;

fn parse(args: &[&str]) -> Result<Invocation, Refusal> {
    parse_from(["tidegate"].iter().chain(args).map(OsString::from))
}

#[test]
fn definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn flags_become_sources() {
    let args = "run --url postgres://a:b@h --replica postgres://h2 --replica postgres://h3 --listen 127.0.0.1:1,[::1]:1 \
                --admin off --workers 3 --log info --console-users ops,app -c x.toml";
    let Ok(Invocation::Run(Sources { file, flags, .. })) =
        parse(&args.split_whitespace().collect::<Vec<_>>())
    else {
        panic!("not understood");
    };
    assert_eq!(file, Some(PathBuf::from("x.toml")));
    assert_eq!(flags.url, Some(Secret::new("postgres://a:b@h")));
    assert_eq!(flags.replicas.len(), 2);
    assert_eq!(flags.listen, ["127.0.0.1:1", "[::1]:1"]);
    assert_eq!((flags.admin.as_deref(), flags.workers.as_deref()), (Some("off"), Some("3")));
    assert_eq!(flags.log.as_deref(), Some("info"));
    assert_eq!(flags.console_users, ["ops", "app"]);
}

#[test]
fn help_is_no_mistake() {
    let refusal = parse(&["run", "--help"]).map(|_| ()).expect_err("a refusal");
    assert_eq!(refusal.exit_code, 0);
    assert!(refusal.text.contains("--primary"), "{}", refusal.text);
}

#[test]
fn refusals_show_no_password() {
    let url = "postgres://app:hunter2@pg1/app?a=hunter2";
    let in_flag = format!("--lisen={url}");
    let table: [&[&str]; 6] = [
        &[url],
        &["run", url],
        &["run", "--urll", url],
        &["run", &in_flag],
        &["demo", "--listen", url],
        &["demo", "--seconds=app:hunter2@pg1"],
    ];
    for args in table {
        let refusal = parse(args).map(|_| ()).expect_err("a refusal");
        assert_eq!(refusal.exit_code, 2);
        assert!(!refusal.text.contains("hunter2"), "{}", refusal.text);
    }
}

#[test]
fn the_demonstration_has_defaults() {
    let Ok(Invocation::Demo(demo)) = parse(&["demo"]) else { panic!("not understood") };
    assert_eq!((demo.seconds, demo.no_workload, demo.clients, demo.lag), (None, false, 8, None));
    assert_eq!(demo.listen.port(), 6432);
}

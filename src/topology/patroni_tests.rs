//! Scripted HTTP servers in the place of Patroni: down, slow, talking nonsense, or too much.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::config::{Given, Secret, Settings, Sources, load};
use crate::topology::{follow, located};

/// What a peer does with a question.
#[derive(Clone, Debug)]
enum Script {
    /// Answers with this text, whatever it is.
    Says(String),
    /// Takes the question and says nothing.
    Hangs,
    /// Sends body without end.
    Floods,
}

fn http(status: &str, body: &str) -> Script {
    Script::Says(format!("HTTP/1.0 {status}\r\nContent-Type: application/json\r\n\r\n{body}"))
}

fn members(list: &[(&str, u16)]) -> String {
    let member = |(name, api): &(&str, u16)| {
        format!(
            r#"{{"name": "{name}", "role": "replica", "state": "running", "host": "{name}", "port": 5432,
               "api_url": "http://127.0.0.1:{api}/patroni"}}"#
        )
    };
    format!(r#"{{"members": [{}]}}"#, list.iter().map(member).collect::<Vec<_>>().join(", "))
}

/// A peer that does as it is told; its port, and what it was asked.
async fn peer(script: Script) -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, asked) = mpsc::channel(100);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (script, tell) = (script.clone(), tell.clone());
            tokio::spawn(async move {
                let mut question = vec![0; 4096];
                let length = stream.read(&mut question).await.unwrap_or(0);
                let _ = tell.try_send(String::from_utf8_lossy(&question[..length]).into_owned());
                match script {
                    Script::Says(text) => drop(stream.write_all(text.as_bytes()).await),
                    Script::Hangs => std::future::pending().await,
                    Script::Floods => {
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                        while stream.write_all(&[b' '; 4096]).await.is_ok() {}
                    }
                }
            });
        }
    });
    (port, asked)
}

/// A port that nobody listens on.
async fn nobody() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

fn patroni(ports: &[u16]) -> Patroni {
    let hosts: Vec<_> = ports.iter().map(|port| NodeSettings::tcp("127.0.0.1", *port).unwrap()).collect();
    Patroni::new(&hosts)
}

fn shown(nodes: &[NodeSettings]) -> Vec<String> {
    nodes.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn the_first_that_answers_is_believed_and_asked_first_from_then_on() {
    let down = nobody().await;
    let (good, mut asked) = peer(http("200 OK", &members(&[("a", down), ("b", down)]))).await;
    let (other, mut not_asked) = peer(http("200 OK", &members(&[("c", down)]))).await;
    let mut patroni = patroni(&[down, good, other]);
    for _ in 0..2 {
        assert_eq!(shown(&patroni.look(&[]).await.unwrap()), ["a:5432", "b:5432"]);
    }
    let question = asked.recv().await.unwrap();
    assert!(question.starts_with("GET /cluster HTTP/1.1\r\n"), "{question}");
    assert!(!question.to_ascii_lowercase().contains("authorization"), "{question}");
    assert_eq!(patroni.hosts()[0].to_string(), format!("127.0.0.1:{good}"));
    assert!(not_asked.try_recv().is_err());
}

#[tokio::test]
async fn members_are_asked_where_they_have_said_they_are() {
    let (second, _two) = peer(http("200 OK", &members(&[("b", 1)]))).await;
    let (first, _one) = peer(http("200 OK", &members(&[("a", second)]))).await;
    let mut patroni = patroni(&[first]);
    patroni.look(&[]).await.unwrap();
    patroni.good = Some(RestHost::in_url(&format!("http://127.0.0.1:{}", nobody().await)).unwrap());
    assert_eq!(shown(&patroni.look(&[]).await.unwrap()), ["b:5432"], "the member itself answers");
    let hosts: Vec<_> = patroni.hosts().iter().map(ToString::to_string).collect();
    assert!(
        hosts.contains(&format!("127.0.0.1:{first}")),
        "what was configured is never forgotten: {hosts:?}"
    );
}

#[tokio::test]
async fn what_is_no_answer_is_told_and_the_next_one_is_asked() {
    let (good, _asked) = peer(http("200 OK", &members(&[("a", 1)]))).await;
    let table = [
        (http("503 Service Unavailable", &members(&[("x", 1)])), "it answered 503 Service Unavailable"),
        (http("301 Moved\r\nLocation: http://127.0.0.1:1/", ""), "it answered 301 Moved"),
        (http("200 OK", "<html>"), "it is not Patroni that answers"),
        (http("200 OK", r#"{"members": []}"#), "none of its members runs"),
        (Script::Says("SSH-2.0-OpenSSH_9.2\r\n".to_owned()), "HTTPS is not available in this version"),
        (Script::Says("\u{15}\u{3}\u{1}".to_owned()), "HTTPS is not available in this version"),
        (Script::Says(String::new()), "it does not answer by HTTP"),
        (
            Script::Says("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_owned()),
            "its answer cannot be read",
        ),
        (Script::Floods, "its answer cannot be read (length limit exceeded)"),
        (Script::Hangs, "no answer within 2s"),
    ];
    for (script, words) in table {
        let (bad, _asked) = peer(script.clone()).await;
        let told = patroni(&[bad]).look(&[]).await.unwrap_err().to_string();
        assert!(told.contains(&format!("127.0.0.1:{bad}: ")) && told.contains(words), "{script:?}: {told}");
        assert_eq!(shown(&patroni(&[bad, good]).look(&[]).await.unwrap()), ["a:5432"], "{script:?}");
    }
}

#[tokio::test]
async fn a_paused_patroni_that_says_nothing_of_a_member_does_not_take_it_away() {
    let (down, last) = (nobody().await, ["a", "b"].map(|name| NodeSettings::tcp(name, 5432).unwrap()));
    let stopped = r#"{"name": "b", "role": "replica", "state": "stopped", "host": "b", "port": 5432}"#;
    let named = members(&[("a", down)]);
    let with = |more: &str| named.replacen(']', &format!("{more}]"), 1);
    let paused = |text: &str| format!("{}, \"pause\": true}}", text.strip_suffix('}').unwrap());
    let table = [
        (named.clone(), vec!["a:5432"]),
        (paused(&named), vec!["a:5432", "b:5432"]),
        (paused(&with(&format!(", {stopped}"))), vec!["a:5432"]),
    ];
    for (answer, expected) in table {
        let (port, _asked) = peer(http("200 OK", &answer)).await;
        assert_eq!(shown(&patroni(&[port]).look(&last).await.unwrap()), expected, "{answer}");
    }
}

/// A database whose nodes Patroni names on this port, asked once an hour.
fn settings(port: u16) -> Settings {
    let url = format!(
        "patroni://a:b@127.0.0.1:{port}/db?tidegate_patroni_interval=1h&tidegate_startup_timeout=1ms"
    );
    let flags = Given { url: Some(Secret::new(url)), ..Given::default() };
    load(&Sources { flags, ..Sources::default() }).unwrap()
}

#[tokio::test]
async fn whoever_is_in_a_hurry_does_not_wait_for_the_next_turn() {
    let (port, _asked) = peer(http("200 OK", &members(&[("a", 1), ("b", 1)]))).await;
    let hurry = tokio::sync::Notify::new();
    let (tell, mut published) = mpsc::channel(1);
    let settings = settings(port);
    let following = follow(&settings.databases[0], &hurry, |nodes| tell.try_send(shown(&nodes)).unwrap());
    let first = async {
        hurry.notify_one();
        published.recv().await.unwrap()
    };
    tokio::select! {
        () = following => unreachable!("it never ends"),
        nodes = first => assert_eq!(nodes, ["a:5432", "b:5432"]),
    }
}

#[tokio::test]
async fn a_database_without_nodes_is_not_started_with() {
    let port = nobody().await;
    let settings = settings(port);
    let error = located(&settings, |_| None).await.unwrap_err();
    let wanted =
        format!("database db: Patroni has not named the nodes (127.0.0.1:{port}: Connection refused");
    assert!(error.starts_with(&wanted), "{error}");
    let kept = vec![NodeSettings::tcp("pg1", 5432).unwrap()];
    let located = located(&settings, |_| Some(kept.clone())).await.unwrap();
    assert_eq!(located.databases[0].nodes, kept, "those in use stay");
}

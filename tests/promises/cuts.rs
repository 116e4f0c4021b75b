//! Conversations that are cut after every byte, or come one byte at a time: the client's side.
//!
//! Each conversation covers some messages of the protocol; `cuts_server` cuts the answers to the same ones.

use std::io::Write;
use std::net::Shutdown;
use std::time::Duration;

use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};

use super::support::proxy::RunningProxy;
use super::support::raw::{
    Message, Raw, V3_0, bind, close, describe, execute, execute_some, flush, parse, query, startup, sync,
    tagged,
};
use super::{proxy, schema, shared, support, wait_both};

const APP: [(&str, &str); 2] = [("user", "app"), ("database", "app")];

/// What a client says, in one piece.
pub struct Conversation {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    /// How many rows it adds to the table, all of them or none.
    pub rows: usize,
}

/// All conversations, about the table `{schema}.t (n int)`.
pub fn conversations(schema: &str) -> Vec<Conversation> {
    let extended = |sql: &str| [parse("", sql), bind("", "", &[]), execute("")].concat();
    let copy = format!("copy {schema}.t from stdin");
    let (data, done) = (tagged(b'd', b"1\n2\n"), tagged(b'c', b""));
    let abs = [&1397_u32.to_be_bytes()[..], b"\0\0\0\x01\0\0\0\x02-5\0\0"].concat();
    let of = |name, rows, messages: &[Vec<u8>]| Conversation { name, bytes: messages.concat(), rows };
    vec![
        of("a query", 0, &[query("select 1, 'two', null; select n from (values (1), (2)) v (n)")]),
        of(
            "a statement with everything",
            0,
            &[
                parse("s", "select $1::int + n from generate_series(1, 3) n"),
                describe(b'S', "s"),
                bind("p", "s", &["5"]),
                describe(b'P', "p"),
                execute_some("p", 2),
                execute("p"),
                close(b'P', "p"),
                close(b'S', "s"),
                sync(),
            ],
        ),
        of("a flush", 0, &[extended("select 1"), flush(), extended("select 2"), flush(), sync()]),
        of("an error", 0, &[query("select 1/0")]),
        of("an error in a pipeline", 0, &[extended("select 1/0"), extended("select 1"), sync()]),
        of("nothing", 0, &[query("")]),
        of(
            "nothing, prepared",
            0,
            &[parse("", ""), bind("", "", &[]), describe(b'P', ""), execute(""), sync()],
        ),
        of("a notice", 0, &[query("do $$ begin raise notice 'hear, hear'; end $$")]),
        of("a notification", 0, &[query("listen c; notify c, 'payload'")]),
        of("a setting that is reported", 0, &[query("set application_name = 'cut'")]),
        of("COPY out", 0, &[query("copy (values (1, 'x'), (2, 'y')) to stdout")]),
        of("COPY in", 2, &[query(&copy), data.clone(), done.clone()]),
        of("COPY in, prepared", 2, &[extended(&copy), sync(), data.clone(), done, sync()]),
        of("COPY in that fails", 0, &[query(&copy), data, tagged(b'f', b"changed my mind\0")]),
        of("a function call", 0, &[tagged(b'F', &abs)]),
        of("a transaction", 1, &[query(&format!("begin; insert into {schema}.t values (1); commit"))]),
        of(
            "a write, prepared",
            1,
            &[extended(&format!("insert into {schema}.t values (1) returning n")), sync()],
        ),
        of(
            "a query in the place of the Sync of a pipeline",
            1,
            &[extended("select 1"), query(&format!("insert into {schema}.t values (1) returning n"))],
        ),
    ]
}

/// Whole messages, and what is left behind them.
pub fn messages(mut bytes: &[u8]) -> (Vec<Message>, &[u8]) {
    let mut messages = Vec::new();
    while let [tag, a, b, c, d, rest @ ..] = bytes {
        let len = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let Some(body) = len.checked_sub(4).and_then(|len| rest.get(..len)) else { break };
        let mut body = body.to_vec();
        if let (b'A', Some(process)) = (tag, body.get_mut(..4)) {
            process.fill(0);
        }
        messages.push(Message { tag: *tag, body });
        bytes = &bytes[1 + len..];
    }
    (messages, bytes)
}

/// How many messages `said` and `whole` begin with in common.
pub fn common(said: &[Message], whole: &[Message]) -> usize {
    said.iter().zip(whole).take_while(|(a, b)| a == b).count()
}

/// The answer to a whole conversation and a good-bye.
#[track_caller]
pub fn answer(raw: &mut Raw, conversation: &[u8]) -> Vec<Message> {
    raw.send(&[conversation, &tagged(b'X', b"")].concat());
    let bytes = raw.everything();
    let (messages, torn) = messages(&bytes);
    assert_eq!(torn, b"", "{messages:?}");
    messages
}

/// The proxy is as it was: nobody is in it, nothing of it is taken, and whoever comes is served.
#[track_caller]
pub fn assert_whole(proxy: &RunningProxy) {
    support::wait_until("no client is left", || {
        proxy.metric("tidegate_clients", &[]) < 0.5
            && proxy.metric("tidegate_pool_connections", &["state=\"used\""]) < 0.5
            && proxy.metric("tidegate_pool_waiting", &[]) < 0.5
    });
    assert!(proxy.metric("tidegate_panics_total", &[]) < 0.5, "{}", proxy.stderr());
    let mut next = Raw::app(proxy.address());
    assert_eq!(next.ok("select 'alive' /* tidegate: intent=primary */").value(), "alive");
    next.terminate();
}

fn count(schema: &str) -> usize {
    let sql = format!("select count(*) from {schema}.t");
    shared().primary().psql(&sql).unwrap().trim().parse().unwrap()
}

fn stage() -> (String, RunningProxy) {
    let schema = schema();
    shared()
        .primary()
        .psql(&format!("create table {schema}.t (n int); alter table {schema}.t owner to app"))
        .unwrap();
    let proxy = proxy("connection_limit=1&pool_timeout=10&tidegate_client_auth=trust");
    wait_both(&proxy);
    (schema, proxy)
}

#[test]
fn a_conversation_cut_at_any_byte_is_done_up_to_there() {
    let (schema, proxy) = stage();
    let mut cuts = 0;
    for Conversation { name, bytes, rows } in conversations(&schema) {
        let whole = answer(&mut Raw::app(proxy.address()), &bytes);
        assert_eq!(count(&schema), rows, "{name}");
        shared().primary().psql(&format!("truncate {schema}.t")).unwrap();
        for cut in 0..bytes.len() {
            let mut raw = Raw::app(proxy.address());
            raw.send(&bytes[..cut]);
            match cut % 3 {
                0 => drop(raw),
                1 => {
                    socket2::SockRef::from(raw.socket()).set_linger(Some(Duration::ZERO)).unwrap();
                    drop(raw);
                }
                _ => {
                    raw.socket().shutdown(Shutdown::Write).unwrap();
                    let said = raw.everything();
                    let (said, torn) = messages(&said);
                    assert_eq!(torn, b"", "{name}, cut at {cut}: {said:?}");
                    let same = common(&said, &whole);
                    // What still ran when the client left is cancelled.
                    let cancelled = said[same..].iter().all(|m| match m.tag {
                        b'E' => m.field(b'C').unwrap() == "57014",
                        tag => tag == b'Z',
                    });
                    assert!(cancelled, "{name}, cut at {cut}: {said:?}");
                }
            }
            cuts += 1;
        }
        assert_whole(&proxy);
        // The last byte is always missing, and with it what would commit.
        assert_eq!(count(&schema), 0, "{name}");
    }
    println!("{cuts} cuts");
}

#[test]
fn a_conversation_one_byte_at_a_time_gets_the_same_answer() {
    let (schema, proxy) = stage();
    for Conversation { name, bytes, .. } in conversations(&schema) {
        let whole = answer(&mut Raw::app(proxy.address()), &bytes);
        let mut raw = Raw::app(proxy.address());
        for byte in &bytes {
            raw.send(&[*byte]);
        }
        assert_eq!(answer(&mut raw, b""), whole, "{name}");
    }
    assert_whole(&proxy);
}

/// Says the first `cut` bytes of what a client says to log in with a password: start-up packet, and two SASL messages.
/// Returns how many there are.
fn log_in_up_to(proxy: &RunningProxy, cut: usize, one_by_one: bool) -> (Raw, usize) {
    let mut raw = Raw::silent(proxy.address());
    let mut scram = ScramSha256::new(b"secret", ChannelBinding::unsupported());
    let mut said = 0;
    let mut say = |raw: &mut Raw, bytes: &[u8]| {
        let part = &bytes[..bytes.len().min(cut.saturating_sub(said))];
        if one_by_one {
            part.iter().for_each(|byte| raw.send(&[*byte]));
        } else {
            raw.send(part);
        }
        said += bytes.len();
        part.len() == bytes.len()
    };
    let whole = say(&mut raw, &startup(V3_0, &APP)) && {
        assert_eq!(raw.read().tag, b'R');
        let first = scram.message();
        let len = u32::try_from(first.len()).unwrap().to_be_bytes();
        let initial = tagged(b'p', &[b"SCRAM-SHA-256\0", &len[..], first].concat());
        say(&mut raw, &initial)
    };
    if whole {
        scram.update(&raw.read().body[4..]).unwrap();
        say(&mut raw, &tagged(b'p', scram.message()));
    }
    (raw, said)
}

#[test]
fn a_login_cut_at_any_byte_is_none() {
    let proxy = proxy("connection_limit=1");
    wait_both(&proxy);
    let (mut raw, len) = log_in_up_to(&proxy, usize::MAX, true);
    raw.send(&tagged(b'X', b""));
    let (said, torn) = (raw.everything(), b"");
    let (said, rest) = messages(&said);
    assert_eq!(rest, torn);
    assert_eq!(said.last().unwrap().tag, b'Z', "one byte at a time: {said:?}");
    let logins = || proxy.metric("tidegate_logins_total", &["outcome=\"ok\""]);
    support::wait_until("the first has gone", || proxy.metric("tidegate_clients", &[]) < 1.5);
    let before = logins();
    for cut in 0..len {
        let (mut raw, _) = log_in_up_to(&proxy, cut, false);
        if cut % 2 == 0 {
            drop(raw);
        } else {
            raw.socket().shutdown(Shutdown::Write).unwrap();
            assert_eq!(raw.everything(), b"", "cut at {cut} of {len}");
        }
    }
    assert_eq!(logins().to_string(), before.to_string());
    assert_whole(&proxy);
    println!("{len} cuts");
}

#[test]
fn a_request_to_cancel_cut_at_any_byte_cancels_nothing() {
    let (_, proxy) = stage();
    let mut target = Raw::app(proxy.address());
    let mut packet = 16_u32.to_be_bytes().to_vec();
    packet.extend(80_877_102_u32.to_be_bytes());
    packet.extend(target.pid.to_be_bytes());
    packet.extend(&target.secret);
    target.send(&query("select pg_sleep(0.5) /* tidegate: intent=primary */"));
    for cut in 0..packet.len() {
        let mut raw = Raw::silent(proxy.address());
        raw.send(&packet[..cut]);
        if cut % 2 == 0 {
            raw.socket().shutdown(Shutdown::Write).unwrap();
            assert_eq!(raw.everything(), b"", "cut at {cut}");
        }
    }
    assert_eq!(target.answer().error(), None);
    target.send(&query("select pg_sleep(60) /* tidegate: intent=primary */"));
    support::wait_until("it runs", || {
        let sql = "select count(*) from pg_stat_activity where state = 'active' and query like 'select pg_sleep(60)%'";
        shared().primary().psql(sql).unwrap().trim() == "1"
    });
    let mut raw = Raw::silent(proxy.address());
    packet.iter().for_each(|byte| raw.send(&[*byte]));
    assert_eq!(target.answer().code(), "57014", "one byte at a time");
    target.terminate();
    assert_whole(&proxy);
}

#[test]
fn whatever_tag_and_length_a_client_sends_it_ends_well() {
    let (_, proxy) = stage();
    let lengths = [0, 1, 3, 4, 5, 6, 9, 0x3fff_ffff, 0x4000_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];
    for tag in 0..=u8::MAX {
        for length in lengths {
            let mut raw = Raw::app(proxy.address());
            let head = [&[tag][..], &u32::to_be_bytes(length)].concat();
            let stream = &mut raw.socket();
            // It may hang up on us in the middle.
            let _ = stream.write_all(&[&head[..], b"\0\0\0\0", &query("select 'behind'")].concat());
            let _ = stream.shutdown(Shutdown::Write);
            let bytes = raw.everything();
            let (said, torn) = messages(&bytes);
            let name = format!("tag {:?}, length {length:#x}", char::from(tag));
            assert_eq!(torn, b"", "{name}: {said:?}");
            // Nothing is made of it that was not sent.
            let rows: Vec<_> = said.iter().filter(|m| m.tag == b'D').map(Message::cells).collect();
            assert!(rows.iter().all(|row| *row == [Some("behind".to_owned())]), "{name}: {said:?}");
        }
    }
    assert_whole(&proxy);
}

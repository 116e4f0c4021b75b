//! What clients say: made of any bytes, so that a fuzzer has every choice.

use bytes::BytesMut;

use crate::wire::encode::{self, stand_in};
use crate::wire::{Kind, StartupParameters};

/// Choices, one byte each; 0 when there are no more.
pub(super) struct Dice<'a>(&'a [u8]);

impl<'a> Dice<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// A number below `count`.
    pub(super) fn below(&mut self, count: usize) -> usize {
        self.take().map_or(0, |byte| usize::from(byte) % count)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// How a client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaves {
    /// It ends whatever is open, waits for its answers, and says good-bye.
    InOrder,
    /// It sends nothing more, and listens.
    Silently,
    /// It is gone.
    Abruptly,
}

/// Whether a statement is the only one of its text or pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Company {
    Alone,
    Others,
}

/// One client.
#[derive(Clone, Debug)]
pub(super) struct Script {
    /// What it has in everything it says, and nobody else has.
    pub(super) tag: String,
    pub(super) startup: Vec<(String, String)>,
    /// What it sends after it has logged in.
    pub(super) sends: BytesMut,
    pub(super) leaves: Leaves,
    said: usize,
}

/// So many bytes of one client's, then so many turns for everybody.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) client: usize,
    pub(super) bytes: usize,
    pub(super) turns: usize,
}

/// One changed letter must not make one of another.
const TAGS: [&str; 6] = ["amber.", "birch.", "cedar.", "larch.", "maple.", "willow."];
const NAMES: [&[u8]; 3] = [b"", b"s1", b"s2"];
const SETTINGS: [&str; 6] = ["app.x", "app.y", "work_mem", "timezone", "application_name", "search_path"];

impl Script {
    pub(super) fn new(client: usize, dice: &mut Dice<'_>) -> Self {
        let tag = TAGS[client % TAGS.len()].to_owned();
        let mut startup =
            vec![("user".to_owned(), "app".to_owned()), ("database".to_owned(), "app".to_owned())];
        for name in SETTINGS {
            if dice.below(8) == 1 {
                startup.push((name.to_owned(), format!("{tag}start")));
            }
        }
        let leaves = dice.pick(&[Leaves::InOrder, Leaves::InOrder, Leaves::Silently, Leaves::Abruptly]);
        Self { tag, startup, sends: BytesMut::new(), leaves, said: 0 }
    }

    /// A client that looks at everything the others may have left behind.
    pub(super) fn probe(client: usize) -> Self {
        let mut probe = Self::new(client, &mut Dice::new(&[]));
        let out = &mut probe.sends;
        for name in SETTINGS {
            encode::query(out, &format!("show {name}"));
        }
        encode::query(out, "begin");
        for name in NAMES {
            encode::describe(out, Kind::Statement, name);
            encode::sync(out);
            encode::query(out, "rollback");
            encode::query(out, "begin");
        }
        for name in NAMES {
            stand_in::execute(out, name, 0);
            encode::sync(out);
            encode::query(out, "rollback");
        }
        for table in 0..2 {
            encode::query(out, &format!("drop table t{table}"));
        }
        encode::query(out, "execute q1");
        probe
    }

    pub(super) fn hello(&self) -> BytesMut {
        let mut out = BytesMut::new();
        let parameters = StartupParameters { values: self.startup.clone(), ..StartupParameters::default() };
        encode::startup(&mut out, &parameters);
        out
    }

    /// What it says last, if it leaves in order.
    pub(super) fn goodbye() -> BytesMut {
        let mut out = BytesMut::new();
        encode::terminate(&mut out);
        out
    }

    fn value(&mut self) -> String {
        self.said += 1;
        format!("{}{}", self.tag, self.said)
    }

    /// Ends whatever may be open, and asks for a last word.
    pub(super) fn recover(&mut self) {
        let last = self.value();
        encode::copy_fail(&mut self.sends, "the end");
        encode::sync(&mut self.sends);
        encode::query(&mut self.sends, "rollback");
        encode::query(&mut self.sends, &format!("select '{last}'"));
    }

    /// Says one more thing.
    pub(super) fn add(&mut self, dice: &mut Dice<'_>) {
        match dice.below(20) {
            0..=2 => {
                let text = self.text(dice, Company::Alone);
                encode::query(&mut self.sends, &text);
            }
            3 => {
                let texts: Vec<_> =
                    (0..2 + dice.below(3)).map(|_| self.text(dice, Company::Others)).collect();
                encode::query(&mut self.sends, &texts.join(";"));
            }
            4 | 5 => {
                let text = self.text(dice, Company::Others);
                encode::parse(&mut self.sends, dice.pick(&NAMES), text.as_bytes(), &[0, 0]);
            }
            6 | 7 => self.bind(dice),
            8 => {
                let kind = dice.pick(&[Kind::Statement, Kind::Portal]);
                encode::describe(&mut self.sends, kind, dice.pick(&NAMES));
            }
            9 | 10 => stand_in::execute(&mut self.sends, dice.pick(&NAMES[..2]), dice.pick(&[0, 0, 1, 2])),
            11 => {
                let kind = dice.pick(&[Kind::Statement, Kind::Portal]);
                encode::close(&mut self.sends, kind, dice.pick(&NAMES));
            }
            12 | 13 => encode::sync(&mut self.sends),
            14 => encode::flush(&mut self.sends),
            15 => self.whole(dice),
            16 => self.copy(dice),
            17 => {
                let value = self.value();
                stand_in::function_call(&mut self.sends, 1, value.as_bytes());
            }
            18 => self.again(dice),
            _ => self.garbage(dice),
        }
    }

    fn bind(&mut self, dice: &mut Dice<'_>) {
        let (portal, statement) = (dice.pick(&NAMES[..2]), dice.pick(&NAMES));
        if dice.below(2) == 0 {
            stand_in::bind(&mut self.sends, portal, statement, &[]);
        } else {
            let value = self.value();
            stand_in::bind(&mut self.sends, portal, statement, &[value.as_bytes()]);
        }
    }

    /// What a driver says at once.
    fn whole(&mut self, dice: &mut Dice<'_>) {
        let (name, text) = (dice.pick(&NAMES), self.text(dice, Company::Others));
        encode::parse(&mut self.sends, name, text.as_bytes(), &[0, 0]);
        stand_in::bind(&mut self.sends, b"", name, &[]);
        encode::describe(&mut self.sends, Kind::Portal, b"");
        stand_in::execute(&mut self.sends, b"", 0);
        encode::sync(&mut self.sends);
    }

    /// COPY data, where it belongs or not.
    fn copy(&mut self, dice: &mut Dice<'_>) {
        if dice.below(2) == 0 {
            encode::query(&mut self.sends, "copy t from stdin");
        }
        for _ in 0..dice.below(3) {
            let value = self.value();
            stand_in::copy_data(&mut self.sends, value.as_bytes());
        }
        match dice.below(3) {
            0 => stand_in::copy_done(&mut self.sends),
            1 => encode::copy_fail(&mut self.sends, "no"),
            _ => {}
        }
    }

    /// Something that was said before, or a part of it.
    fn again(&mut self, dice: &mut Dice<'_>) {
        let from = dice.below(256).min(self.sends.len());
        let to = (from + dice.below(64)).min(self.sends.len());
        let part = self.sends[from..to].to_vec();
        self.sends.extend_from_slice(&part);
    }

    fn garbage(&mut self, dice: &mut Dice<'_>) {
        if dice.below(2) == 0 && !self.sends.is_empty() {
            let at = self.sends.len() - 1 - dice.below(16).min(self.sends.len() - 1);
            self.sends[at] = u8::try_from(dice.below(256)).unwrap_or(0);
        } else {
            for _ in 0..dice.below(8) {
                self.sends.extend_from_slice(&[u8::try_from(dice.below(256)).unwrap_or(0)]);
            }
        }
    }

    fn text(&mut self, dice: &mut Dice<'_>, company: Company) -> String {
        let value = self.value();
        let setting = dice.pick(&SETTINGS);
        let what = dice.below(32);
        // In company some things are known to differ: docs/limits.md.
        let differs = match what {
            22 => self.startup.len() > 2,
            23 | 27 => true,
            _ => false,
        };
        if differs && company == Company::Others {
            return format!("select '{value}'");
        }
        match what {
            0..=4 => format!("select '{value}'"),
            5 => "select $1".to_owned(),
            6 => format!("select '{value}' from generate_series(1,{})", 1 + dice.below(4)),
            7 => "select 1/0".to_owned(),
            8..=10 => "begin".to_owned(),
            11 | 12 => "commit".to_owned(),
            13 => "rollback".to_owned(),
            14 => dice.pick(&["savepoint a", "rollback to a", "release a"]).to_owned(),
            15..=17 => format!("set {setting} = '{value}'"),
            18 => format!("set local {setting} = '{value}'"),
            19..=21 => format!("show {setting}"),
            22 => format!("reset {setting}"),
            23 => dice.pick(&["reset all", "discard all", "deallocate all", "deallocate s1"]).to_owned(),
            24 => dice.pick(&["listen a", "unlisten *"]).to_owned(),
            25 => {
                dice.pick(&["create temp table t0 ()", "create temp table t1 ()", "drop table t0"]).to_owned()
            }
            26 => format!("prepare q1 as select '{value}'"),
            27 => dice.pick(&["execute q1", "execute s1", "deallocate q1"]).to_owned(),
            28 => "copy t from stdin".to_owned(),
            29 => format!("copy (select '{value}') to stdout"),
            30 => dice.pick(&["", "selec", "/* tidegate: intent=primary */ select '1'"]).to_owned(),
            _ => "begin read only".to_owned(),
        }
    }
}

//! The names a statement uses, for the catalog to say what they are.

use crate::sql::catalog::{Arguments, Name};
use std::collections::BTreeSet;

/// How a name is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    /// A relation that is read.
    Read,
    /// A relation that is written.
    Written,
    /// A function (or, with one argument, perhaps a type) that is called.
    Called(Arguments),
    /// A type that something is cast to.
    CastTo,
    /// An operator.
    Operator,
    /// `a.b`, which may be the call `b(a)`.
    Field,
}

/// The names a statement uses, each use once. One string, because it is kept for every known statement.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Mentions(Box<str>);

/// What no identifier can contain.
const END: char = '\0';

impl Mentions {
    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes they take.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }

    /// Each use of a name.
    pub fn iter(&self) -> impl Iterator<Item = (Use, Name)> {
        let mut parts = self.0.split_terminator(END);
        std::iter::from_fn(move || {
            let (how, schema, name) = (parts.next()?, parts.next()?, parts.next()?);
            let schema = (!schema.is_empty()).then(|| schema.into());
            Some((read_use(how)?, Name { schema, name: name.into() }))
        })
    }
}

fn read_use(word: &str) -> Option<Use> {
    Some(match word.split_at_checked(1)? {
        ("r", _) => Use::Read,
        ("w", _) => Use::Written,
        ("f", "") => Use::Called(Arguments::Unclear),
        ("f", count) => Use::Called(Arguments::Exactly(count.parse().ok()?)),
        ("t", _) => Use::CastTo,
        ("o", _) => Use::Operator,
        ("c", _) => Use::Field,
        _ => return None,
    })
}

/// Mentions while they are gathered.
#[derive(Default)]
pub(super) struct Gathered(BTreeSet<Box<str>>);

impl Gathered {
    pub(super) fn add(&mut self, how: Use, schema: &str, name: &str) {
        let word = match how {
            Use::Read => "r".to_owned(),
            Use::Written => "w".to_owned(),
            Use::Called(Arguments::Unclear) => "f".to_owned(),
            Use::Called(Arguments::Exactly(count)) => format!("f{count}"),
            Use::CastTo => "t".to_owned(),
            Use::Operator => "o".to_owned(),
            Use::Field => "c".to_owned(),
        };
        self.0.insert(format!("{word}{END}{schema}{END}{name}{END}").into());
    }

    pub(super) fn join(&mut self, other: Gathered) {
        self.0.extend(other.0);
    }

    pub(super) fn finish(self) -> Mentions {
        Mentions(self.0.into_iter().map(String::from).collect::<String>().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn come_back_as_they_were_said_each_once() {
        let uses = [
            (Use::Read, "", "t"),
            (Use::Written, "S p", "a,b"),
            (Use::Called(Arguments::Exactly(12)), "x", "f"),
            (Use::Called(Arguments::Unclear), "", "f"),
            (Use::CastTo, "", "r"),
            (Use::Operator, "", "<->"),
            (Use::Field, "", "Ünï"),
        ];
        let mut gathered = Gathered::default();
        uses.iter().chain(&uses).for_each(|(how, schema, name)| gathered.add(*how, schema, name));
        let mentions = gathered.finish();
        assert_eq!(mentions.iter().count(), uses.len());
        for (how, schema, name) in uses {
            let schema = Some(schema).filter(|s| !s.is_empty()).map(Into::into);
            assert!(mentions.iter().any(|m| m == (how, Name { schema: schema.clone(), name: name.into() })));
        }
    }
}

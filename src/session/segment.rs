//! Cutting what a client has sent into pieces that are decided on as a whole.
//!
//! A segment is one simple query, one function call, or a run of extended-query messages up to Sync or Flush: in
//! PostgreSQL's terms, what one implicit transaction is made of. Pure: bytes in, ranges out.

use crate::wire::{Frontend, WireError, frontend_message};

/// A message longer than this, in bytes, is not held whole: it passes in pieces, to the primary.
pub(super) const WHOLE: usize = 256 * 1024;

/// One message within the client's inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) kind: Frontend,
    pub(super) start: usize,
    pub(super) len: usize,
}

/// How a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With Sync: the server will be ready for the next.
    Sync,
    /// With Flush: the server answers, and waits for more of the same.
    Flush,
    /// In the middle: something that is not held whole, or does not belong, comes next.
    Open,
    /// It is one simple query.
    Query,
    /// It is one function call.
    Function,
}

/// What is to be done next with a client's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The listed items, `len` bytes in all, belong together.
    Segment { len: usize, ending: Ending },
    /// A message too long to hold, of which the beginning is there.
    Large { kind: Frontend, len: usize },
    /// A message that means nothing here (COPY data after the COPY has failed): PostgreSQL drops it, too.
    Drop { len: usize },
    /// The client says good-bye.
    Terminate,
}

/// Finds the next step in `inbox`; the messages of a segment are listed in `items`. `None`: more must arrive first.
/// A Parse is waited for up to `longest_parse` bytes: its text has to be kept.
pub(super) fn next(
    inbox: &[u8],
    items: &mut Vec<Item>,
    longest_parse: usize,
) -> Result<Option<Step>, WireError> {
    items.clear();
    let mut at = 0;
    loop {
        let open = |at| Some(Step::Segment { len: at, ending: Ending::Open });
        let Some(header) = frontend_message(&inbox[at..])? else {
            return Ok(if at > WHOLE { open(at) } else { None });
        };
        let complete = inbox.len() - at >= header.len;
        let first = items.is_empty();
        let whole = if header.kind == Frontend::Parse { longest_parse } else { WHOLE };
        if !complete && header.len <= whole && at <= WHOLE {
            return Ok(None);
        }
        if !complete {
            return Ok(if first {
                Some(Step::Large { kind: header.kind, len: header.len })
            } else {
                open(at)
            });
        }
        let item = Item { kind: header.kind, start: at, len: header.len };
        let end = at + header.len;
        let alone = |step| Ok(if first { Some(step) } else { open(at) });
        match header.kind {
            Frontend::Parse | Frontend::Bind | Frontend::Describe | Frontend::Execute | Frontend::Close => {
                items.push(item);
            }
            Frontend::Sync | Frontend::Flush => {
                items.push(item);
                let ending = if header.kind == Frontend::Sync { Ending::Sync } else { Ending::Flush };
                return Ok(Some(Step::Segment { len: end, ending }));
            }
            Frontend::Query | Frontend::FunctionCall => {
                if first {
                    items.push(item);
                }
                let ending = if header.kind == Frontend::Query { Ending::Query } else { Ending::Function };
                return alone(Step::Segment { len: end, ending });
            }
            Frontend::CopyData | Frontend::CopyDone | Frontend::CopyFail => {
                return alone(Step::Drop { len: end });
            }
            Frontend::Terminate => return alone(Step::Terminate),
            Frontend::Password => return Err(WireError::Malformed("password")),
        }
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Kind, encode};
    use bytes::BytesMut;

    fn steps(inbox: &[u8]) -> Vec<(Step, usize)> {
        let (mut items, mut found, mut at) = (Vec::new(), Vec::new(), 0);
        while let Ok(Some(step)) = next(&inbox[at..], &mut items, WHOLE) {
            found.push((step, items.len()));
            at += match step {
                Step::Segment { len, .. } | Step::Drop { len } => len,
                Step::Large { .. } | Step::Terminate => break,
            };
        }
        found
    }

    #[test]
    fn a_pipeline_is_cut_at_sync_and_flush_and_before_a_query() {
        let mut b = BytesMut::new();
        encode::parse(&mut b, b"", b"select 1", &[0, 0]);
        encode::describe(&mut b, Kind::Statement, b"");
        encode::sync(&mut b);
        encode::describe(&mut b, Kind::Statement, b"");
        encode::query(&mut b, "select 2");
        encode::copy_fail(&mut b, "late");
        encode::terminate(&mut b);
        let endings: Vec<_> = steps(&b).into_iter().collect();
        assert!(matches!(endings[0], (Step::Segment { ending: Ending::Sync, .. }, 3)));
        assert!(matches!(endings[1], (Step::Segment { ending: Ending::Open, .. }, 1)));
        assert!(matches!(endings[2], (Step::Segment { ending: Ending::Query, .. }, 1)));
        assert!(matches!(endings[3], (Step::Drop { .. }, _)));
        assert!(matches!(endings[4], (Step::Terminate, _)));
    }

    #[test]
    fn every_cut_of_a_message_waits_for_the_rest() {
        let mut b = BytesMut::new();
        encode::query(&mut b, "select 1");
        for end in 0..b.len() {
            assert_eq!(next(&b[..end], &mut Vec::new(), WHOLE), Ok(None), "{end} bytes");
        }
        assert!(next(&b, &mut Vec::new(), WHOLE).is_ok_and(|s| s.is_some()));
    }

    #[test]
    fn a_long_message_is_not_waited_for() {
        let mut b = BytesMut::new();
        encode::query(&mut b, &"x".repeat(WHOLE + 1));
        let step = next(&b[..100], &mut Vec::new(), WHOLE);
        assert_eq!(step, Ok(Some(Step::Large { kind: Frontend::Query, len: WHOLE + 7 })));
    }
}

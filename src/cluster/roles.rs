//! Who is the primary, by the evidence there is.
//!
//! A node says of itself whether it is in recovery; a former primary that comes back says it is not, too. What tells them
//! apart is the timeline, which a promotion begins anew, and how far each has come on it. Pure: what the nodes said is
//! handed in.

use crate::freshness::Lsn;
use crate::routing::NodeId;

/// What a node says that takes itself for the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) node: NodeId,
    /// Its name, for people.
    pub(super) name: String,
    /// The timeline it writes.
    pub(super) timeline: u32,
    /// How far it has flushed.
    pub(super) flushed: Lsn,
    /// Whether it has been seen to take a write, as far as that was tried.
    pub(super) writable: bool,
}

/// The primary there was last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) name: String,
    pub(super) timeline: u32,
    /// How far it was seen to have flushed.
    pub(super) flushed: Lsn,
}

/// What there is to judge a claim by.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    /// The newest timeline that any node of the cluster was last seen on, and which node that was.
    pub(super) newest: (u32, String),
    /// Nodes besides that claim to be the primary at this moment.
    pub(super) rivals: Vec<Claim>,
    /// The primary there was last, if it was another node.
    pub(super) holder: Option<Holder>,
}

/// What becomes of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the primary.
    Reigns,
    /// It is not to be used: why.
    Fenced(String),
    /// Nobody can tell which of several is the primary: these.
    Contested(Vec<NodeId>),
}

/// Judges a claim.
pub(super) fn judge(claim: &Claim, evidence: &Evidence) -> Verdict {
    let (newest, seen_at) = &evidence.newest;
    if claim.timeline < *newest {
        return Verdict::Fenced(format!(
            "it takes itself for the primary on timeline {}, but {seen_at} is on timeline {newest}: it was the primary \
             before a failover, and must become a replica (pg_rewind or a new base backup)",
            claim.timeline
        ));
    }
    let equal: Vec<_> = evidence.rivals.iter().filter(|rival| rival.timeline == claim.timeline).collect();
    if !equal.is_empty() {
        return match (claim.writable, equal.iter().find(|rival| rival.writable)) {
            (false, Some(rival)) => Verdict::Fenced(format!(
                "it takes itself for the primary and takes no writes; {} on the same timeline does",
                rival.name
            )),
            (true, None) => Verdict::Reigns,
            _ => Verdict::Contested(equal.iter().map(|rival| rival.node).collect()),
        };
    }
    match &evidence.holder {
        Some(holder) if holder.timeline == claim.timeline => {
            if claim.flushed >= holder.flushed {
                return Verdict::Reigns;
            }
            Verdict::Fenced(format!(
                "it takes itself for the primary and ends at {}, but {} had come to {} on the same timeline: it is an \
                 older copy",
                claim.flushed, holder.name, holder.flushed
            ))
        }
        _ => Verdict::Reigns,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(node: usize, timeline: u32, flushed: u64) -> Claim {
        Claim {
            node: NodeId(node),
            name: format!("n{node}"),
            timeline,
            flushed: Lsn(flushed),
            writable: true,
        }
    }

    fn evidence(newest: u32, rivals: &[Claim]) -> Evidence {
        Evidence { newest: (newest, "n9".to_owned()), rivals: rivals.to_vec(), holder: None }
    }

    fn is_fenced(verdict: &Verdict, why: &str) -> bool {
        matches!(verdict, Verdict::Fenced(text) if text.contains(why))
    }

    #[test]
    fn alone_it_reigns() {
        assert_eq!(judge(&claim(0, 1, 10), &evidence(1, &[])), Verdict::Reigns);
        assert_eq!(judge(&claim(0, 1, 10), &evidence(0, &[])), Verdict::Reigns);
    }

    #[test]
    fn the_higher_timeline_wins_whoever_comes_first() {
        let (old, new) = (claim(0, 1, 99), claim(1, 2, 10));
        assert_eq!(judge(&new, &evidence(2, std::slice::from_ref(&old))), Verdict::Reigns);
        assert!(is_fenced(&judge(&old, &evidence(2, &[new])), "timeline 2"));
        // A replica on the new timeline is evidence enough, whether the new primary can be reached or not.
        assert!(is_fenced(&judge(&old, &evidence(2, &[])), "n9 is on timeline 2"));
    }

    #[test]
    fn on_one_timeline_nobody_can_tell() {
        let (a, b) = (claim(0, 2, 10), claim(1, 2, 99));
        let contested = |claim, rival: &Claim| judge(claim, &evidence(2, std::slice::from_ref(rival)));
        assert_eq!(contested(&a, &b), Verdict::Contested(vec![NodeId(1)]));
        assert_eq!(contested(&b, &a), Verdict::Contested(vec![NodeId(0)]));
        let blocked = Claim { writable: false, ..b.clone() };
        assert_eq!(contested(&a, &blocked), Verdict::Reigns);
        assert!(is_fenced(&contested(&blocked, &a), "takes no writes"));
        let both = Claim { writable: false, ..a.clone() };
        assert_eq!(contested(&both, &blocked), Verdict::Contested(vec![NodeId(1)]));
    }

    #[test]
    fn an_older_copy_does_not_follow_a_primary_that_is_away() {
        let holder = Holder { name: "n0".to_owned(), timeline: 1, flushed: Lsn(100) };
        let away = Evidence { holder: Some(holder), ..evidence(1, &[]) };
        assert!(is_fenced(&judge(&claim(1, 1, 99), &away), "older copy"));
        assert_eq!(judge(&claim(1, 1, 100), &away), Verdict::Reigns, "the same server, by another address");
        assert_eq!(
            judge(&claim(1, 2, 50), &Evidence { newest: (2, String::new()), ..away }),
            Verdict::Reigns
        );
    }
}

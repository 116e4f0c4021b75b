//! What takes a replica out, how it comes back, and what is weighed among several.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::freshness::Tick;

const MS: u64 = 1_000_000;
const WELL: Seen = Seen {
    contact: Contact::Replica,
    lag: Some(10 * MS),
    begun: 10,
    failed: 0,
    answer: Some(MS / 2),
    unanswered: None,
};
const LOST: Seen =
    Seen { contact: Contact::Lost, lag: None, begun: 0, failed: 0, answer: None, unanswered: None };
const FAILING: Seen = Seen { failed: 9, ..WELL };
const SLOW: Seen = Seen { answer: Some(200 * MS), ..WELL };
const LAGGING: Seen = Seen { lag: Some(5_000 * MS), ..WELL };

/// Some replicas that are looked at every so often.
struct Cluster {
    panel: Panel,
    healths: Vec<Health>,
    limits: Limits,
    now: Tick,
    overruled: Causes,
}

impl Cluster {
    /// All of them have been in since long ago.
    fn of(size: usize) -> Self {
        let limits = Limits { max_lag: Some(Duration::from_secs(2)), ..Limits::default() };
        let healths = vec![Health::default(); size];
        let mut cluster =
            Self { panel: Panel::default(), healths, limits, now: Tick(1), overruled: Causes::NONE };
        cluster.pass(Duration::from_secs(100), &vec![WELL; size]);
        cluster
    }

    fn look(&mut self, seen: &[Seen]) {
        self.now = Tick(self.now.0 + 100 * MS);
        let mut healths: Vec<_> = self.healths.iter_mut().collect();
        self.overruled = self.panel.look(&mut healths, seen, &self.limits, self.now);
    }

    /// The same is seen for some time.
    fn pass(&mut self, time: Duration, seen: &[Seen]) {
        for _ in 0..time.as_millis() / 100 {
            self.look(seen);
        }
    }

    /// How long it takes until this is so, while the same is seen.
    fn until(&mut self, seen: &[Seen], is_so: impl Fn(&Self) -> bool) -> Duration {
        let begun = self.now;
        while !is_so(self) {
            self.look(seen);
            assert!(self.now.since(begun) < 1_000_000 * MS, "it never is: {:?}", self.healths);
        }
        Duration::from_nanos(self.now.since(begun))
    }

    fn share(&self, i: usize) -> u16 {
        self.healths[i].share(&self.limits, self.now)
    }

    fn causes(&self, i: usize) -> Vec<&'static str> {
        self.healths[i].causes().iter().map(Cause::label).collect()
    }

    fn overruled(&self) -> Vec<&'static str> {
        self.overruled.iter().map(Cause::label).collect()
    }
}

#[test]
fn each_cause_takes_out_within_a_second_and_is_said() {
    let silent = Seen { answer: None, unanswered: Some(600 * MS), ..WELL };
    let refused = Seen { contact: Contact::Refused, ..LOST };
    for (seen, label) in [
        (LOST, "connect"),
        (silent, "connect"),
        (refused, "role"),
        (LAGGING, "lag"),
        (FAILING, "errors"),
        (SLOW, "latency"),
    ] {
        let mut cluster = Cluster::of(2);
        let took = cluster.until(&[seen, WELL], |cluster| cluster.share(0) == 0);
        assert!(took <= Duration::from_millis(900), "{label}: {took:?}");
        assert_eq!((cluster.causes(0), cluster.causes(1)), (vec![label], vec![]));
        assert_eq!((cluster.share(1), cluster.overruled()), (FULL, vec![]), "{label}");
        let counted = Cause::ALL.map(|cause| cluster.healths[0].ejections(cause));
        assert_eq!(counted.iter().sum::<u64>(), 1, "{label}");
        // It comes back when it is well, with a small share that grows.
        let took = cluster.until(&[WELL, WELL], |cluster| cluster.share(0) > 0);
        assert!(took <= Duration::from_millis(2_200), "{label}: {took:?}");
        assert!(cluster.share(0) <= FULL / 10, "{label}: {}", cluster.share(0));
        cluster.pass(Duration::from_secs(5), &[WELL; 2]);
        assert!((450..=550).contains(&cluster.share(0)), "{label}: {}", cluster.share(0));
        cluster.pass(Duration::from_secs(5), &[WELL; 2]);
        assert_eq!(cluster.share(0), FULL, "{label}");
    }
}

#[test]
fn little_is_no_cause() {
    let few = Seen { begun: 100, failed: 3, ..WELL };
    let slower = Seen { answer: Some(20 * MS), ..WELL };
    let busy = Seen { answer: Some(40 * MS), unanswered: Some(40 * MS), ..WELL };
    for seen in [few, slower, busy, Seen { lag: Some(1_900 * MS), ..WELL }] {
        let mut cluster = Cluster::of(2);
        cluster.pass(Duration::from_secs(20), &[seen, WELL]);
        assert_eq!((cluster.share(0), cluster.causes(0)), (FULL, vec![]), "{seen:?}");
    }
    // One slow answer, or four failures, and then no more.
    let mut cluster = Cluster::of(2);
    cluster.look(&[SLOW, WELL]);
    cluster.look(&[Seen { begun: 4, failed: 4, ..WELL }, WELL]);
    cluster.pass(Duration::from_secs(20), &[Seen { begun: 0, ..WELL }, WELL]);
    assert_eq!(cluster.healths[0].ejections(Cause::Latency) + cluster.healths[0].ejections(Cause::Errors), 0);
}

#[test]
fn limits_that_are_off_take_nobody_out() {
    let mut cluster = Cluster::of(2);
    cluster.limits.max_lag = None;
    cluster.limits.max_error_percent = None;
    cluster.limits.latency_factor = None;
    let seen = Seen { lag: LAGGING.lag, answer: SLOW.answer, ..FAILING };
    cluster.pass(Duration::from_secs(20), &[seen, WELL]);
    assert_eq!((cluster.share(0), cluster.causes(0)), (FULL, vec![]));
}

#[test]
fn each_time_out_within_a_while_doubles_the_time_out_up_to_a_limit() {
    let mut cluster = Cluster::of(2);
    let mut times = Vec::new();
    for _ in 0..9 {
        cluster.until(&[LOST, WELL], |cluster| cluster.share(0) == 0);
        times.push(cluster.until(&[WELL, WELL], |cluster| cluster.share(0) > 0).as_millis());
        assert_eq!(cluster.share(1), FULL);
    }
    assert_eq!(times, [100, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
    assert_eq!(cluster.healths[0].ejections(Cause::Connect), 9);
    cluster.until(&[LOST, WELL], |cluster| cluster.share(0) == 0);
    cluster.look(&[WELL, WELL]);
    assert_eq!(cluster.causes(0), ["flapping"], "nothing else is wrong with it");
    // A quiet time, and all is forgiven.
    cluster.pass(Duration::from_secs(130), &[WELL; 2]);
    cluster.until(&[LOST, WELL], |cluster| cluster.share(0) == 0);
    let back = cluster.until(&[WELL, WELL], |cluster| cluster.share(0) > 0);
    assert_eq!(back, Duration::from_millis(100));
}

#[test]
fn what_can_only_be_tried_is_tried_more_and_more_seldom() {
    let mut cluster = Cluster::of(3);
    let mut times = Vec::new();
    for _ in 0..4 {
        cluster.until(&[FAILING, WELL, WELL], |cluster| cluster.share(0) == 0);
        assert_eq!(cluster.causes(0), ["errors"]);
        let idle = Seen { begun: 0, failed: 0, ..WELL };
        times.push(cluster.until(&[idle, WELL, WELL], |cluster| cluster.share(0) > 0).as_secs());
    }
    assert_eq!(times, [1, 2, 4, 8]);
}

#[test]
fn what_all_have_in_common_takes_nobody_out_and_is_said() {
    for (seen, label) in [(LAGGING, "lag"), (FAILING, "errors")] {
        let mut cluster = Cluster::of(2);
        cluster.pass(Duration::from_secs(30), &[seen; 2]);
        assert_eq!((cluster.share(0), cluster.share(1)), (FULL, FULL), "{label}");
        assert_eq!(cluster.overruled(), [label]);
        cluster.pass(Duration::from_secs(30), &[WELL; 2]);
        assert_eq!(cluster.overruled(), Vec::<&str>::new());
        // One after the other: the first one is let in again.
        cluster.until(&[seen, WELL], |cluster| cluster.share(0) == 0);
        cluster.until(&[seen; 2], |cluster| cluster.share(0) > 0);
        assert_eq!((cluster.share(1), cluster.overruled()), (FULL, vec![label]));
    }
    // A network that is slow for all is slow for nobody.
    let mut cluster = Cluster::of(3);
    cluster.pass(Duration::from_secs(30), &[SLOW; 3]);
    assert!((0..3).all(|i| cluster.share(i) == FULL), "{:?}", cluster.healths);
}

#[test]
fn what_is_shared_by_more_than_half_takes_nobody_out() {
    let mut cluster = Cluster::of(3);
    cluster.pass(Duration::from_secs(5), &[LAGGING, WELL, WELL]);
    assert_eq!([0, 1, 2].map(|i| cluster.share(i)), [0, FULL, FULL]);
    cluster.pass(Duration::from_secs(5), &[LAGGING, LAGGING, WELL]);
    assert!((0..3).all(|i| cluster.share(i) > 0));
    assert_eq!(cluster.overruled(), ["lag"]);
}

#[test]
fn a_hard_cause_always_counts_and_the_last_one_is_never_out_for_a_soft_one() {
    let mut cluster = Cluster::of(2);
    cluster.pass(Duration::from_secs(5), &[LOST; 2]);
    assert_eq!([cluster.share(0), cluster.share(1)], [0, 0]);
    assert_eq!(cluster.overruled(), Vec::<&str>::new());
    // The others are lost: whatever is wrong with the last one, it serves.
    let mut cluster = Cluster::of(2);
    cluster.pass(Duration::from_secs(5), &[WELL, LOST]);
    cluster.pass(Duration::from_secs(5), &[FAILING, LOST]);
    assert_eq!((cluster.share(0), cluster.overruled()), (FULL, vec!["errors"]));
    // Different causes take out the last one just as little.
    let mut cluster = Cluster::of(2);
    cluster.pass(Duration::from_secs(5), &[LAGGING, FAILING]);
    assert!(cluster.share(0) > 0 || cluster.share(1) > 0);
    // Nor is the last one held back.
    let mut cluster = Cluster::of(1);
    for _ in 0..5 {
        cluster.until(&[LOST], |cluster| cluster.share(0) == 0);
        let back = cluster.until(&[WELL], |cluster| cluster.share(0) > 0);
        assert_eq!(back, Duration::from_millis(100));
    }
}

#[test]
fn a_connection_that_breaks_is_no_node_that_is_lost() {
    let mut cluster = Cluster::of(2);
    let suspected = Seen { contact: Contact::Suspected, lag: None, ..WELL };
    for _ in 0..10 {
        cluster.look(&[suspected, WELL]);
        cluster.look(&[WELL; 2]);
    }
    assert_eq!((cluster.share(0), cluster.healths[0].ejections(Cause::Connect)), (FULL, 0));
    // One that was lost and is back between two looks is let in slowly all the same.
    cluster.look(&[Seen { contact: Contact::Returned, ..WELL }, WELL]);
    assert_eq!((cluster.share(0), cluster.healths[0].ejections(Cause::Connect)), (FULL / 10, 1));
}

#[test]
fn whoever_was_held_up_himself_does_not_blame_others() {
    let mut cluster = Cluster::of(2);
    let silent = Seen { answer: None, unanswered: Some(900 * MS), ..WELL };
    cluster.now = Tick(cluster.now.0 + 900 * MS);
    cluster.look(&[silent; 2]);
    assert_eq!([cluster.share(0), cluster.share(1)], [FULL, FULL]);
    cluster.look(&[silent, WELL]);
    assert_eq!([cluster.share(0), cluster.share(1)], [0, FULL], "the next look counts");
}

#[test]
fn a_primary_is_no_replica_and_comes_back_as_one_slowly() {
    let mut cluster = Cluster::of(2);
    let primary = Seen { contact: Contact::Primary, ..FAILING };
    cluster.pass(Duration::from_secs(5), &[primary, LAGGING]);
    assert_eq!((cluster.share(0), cluster.causes(0)), (0, vec![]));
    assert_eq!((cluster.share(1), cluster.overruled()), (FULL, vec!["lag"]), "it is the only replica");
    cluster.look(&[WELL; 2]);
    assert_eq!(cluster.share(0), FULL / 10);
}

#[test]
fn at_the_start_all_are_in_at_once() {
    let mut cluster = Cluster::of(0);
    cluster.now = Tick(1);
    cluster.healths = vec![Health::default(); 2];
    cluster.look(&[WELL, LOST]);
    assert_eq!([cluster.share(0), cluster.share(1)], [FULL, 0]);
    assert_eq!(cluster.causes(1), ["connect"]);
    assert_eq!(cluster.healths[1].ejections(Cause::Connect), 0, "it was never in");
    cluster.pass(Duration::from_secs(10), &[WELL, LOST]);
    cluster.look(&[WELL; 2]);
    assert_eq!([cluster.share(0), cluster.share(1)], [FULL, FULL / 10]);
}

fn anything() -> impl Strategy<Value = Seen> {
    let contact = prop_oneof![
        8 => Just(Contact::Replica),
        1 => Just(Contact::Returned),
        1 => Just(Contact::Suspected),
        1 => Just(Contact::Lost),
        1 => Just(Contact::Refused),
        1 => Just(Contact::Primary),
    ];
    let time = || proptest::option::of(prop_oneof![0..5 * MS, 0..3_000 * MS]);
    (contact, time(), 0..20u64, 0..20u64, time(), time()).prop_map(
        |(contact, lag, begun, failed, answer, unanswered)| Seen {
            contact,
            lag,
            begun,
            failed,
            answer,
            unanswered,
        },
    )
}

proptest! {
    #[test]
    fn whatever_is_seen(looks in proptest::collection::vec(proptest::collection::vec(anything(), 4), 1..300)) {
        let mut cluster = Cluster::of(4);
        for seen in looks {
            let before: Vec<u64> = counted(&cluster);
            let was_in: Vec<bool> = (0..4).map(|i| cluster.share(i) > 0).collect();
            cluster.look(&seen);
            let mut reachable = 0;
            for (i, seen) in seen.iter().enumerate() {
                let share = cluster.share(i);
                prop_assert!(share == 0 || (FULL / 10..=FULL).contains(&share));
                // Out for a reason, in for none.
                let is_primary = seen.contact == Contact::Primary;
                prop_assert_eq!(share == 0 && !is_primary, !cluster.healths[i].causes().is_empty());
                // Whoever cannot serve does not.
                prop_assert!(share == 0 || !matches!(seen.contact, Contact::Lost | Contact::Refused | Contact::Primary));
                // Whoever went out was counted, once.
                let went_out = was_in[i] && share == 0 && !is_primary;
                let more = counted(&cluster)[i] - before[i];
                prop_assert!(more <= 2 && (!went_out || more >= 1), "{} of {:?}", more, seen);
                reachable += usize::from(cluster.healths[i].is_reachable());
            }
            // Nobody is left without a replica for a soft cause, and no cause takes out more than half of them.
            let serving = (0..4).filter(|i| cluster.share(*i) > 0 && cluster.healths[*i].is_reachable()).count();
            prop_assert!(serving > 0 || reachable == 0, "{:?}", cluster.healths);
            for cause in Cause::ALL.into_iter().filter(|cause| cause.is_soft()) {
                let out = |health: &&Health| health.is_reachable() && health.causes().contains(cause);
                let out = cluster.healths.iter().filter(out).count();
                prop_assert!(2 * out <= reachable, "{} {}", cause.label(), out);
            }
        }
    }
}

fn counted(cluster: &Cluster) -> Vec<u64> {
    let all = |health: &Health| Cause::ALL.iter().map(|cause| health.ejections(*cause)).sum();
    cluster.healths.iter().map(all).collect()
}

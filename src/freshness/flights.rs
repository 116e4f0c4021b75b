//! Which commits are under way, in the order in which they began.

use std::collections::VecDeque;

use super::Tick;

/// Numbers the commits under way, so that one can wait for those that had begun at some moment and no others.
#[derive(Clone, Debug, Default)]
pub struct Flights {
    /// The number of the oldest one that is not over.
    oldest: u64,
    /// From there on: when it began, `None` when it is over.
    open: VecDeque<Option<Tick>>,
}

impl Flights {
    /// One begins. Returns its number, to be given to [`Self::end`].
    pub fn begin(&mut self, now: Tick) -> u64 {
        self.open.push_back(Some(now));
        self.next() - 1
    }

    /// One is over.
    pub fn end(&mut self, number: u64) {
        let place = number.checked_sub(self.oldest).and_then(|place| usize::try_from(place).ok());
        if let Some(open) = place.and_then(|place| self.open.get_mut(place)) {
            *open = None;
        }
        while self.open.front() == Some(&None) {
            self.open.pop_front();
            self.oldest += 1;
        }
    }

    /// The number the next one gets: whatever has begun has a smaller one.
    pub fn next(&self) -> u64 {
        self.oldest + self.open.len() as u64
    }

    /// Whether all are over that had begun when [`Self::next`] was `number`, but not before `since`.
    pub fn are_over(&self, number: u64, since: Tick) -> bool {
        let before = (self.oldest..number).zip(&self.open);
        before.into_iter().all(|(_, begun)| begun.is_none_or(|begun| begun < since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_began_long_ago_is_not_waited_for() {
        let mut flights = Flights::default();
        let (_long, short) = (flights.begin(Tick(10)), flights.begin(Tick(90)));
        assert!(!flights.are_over(flights.next(), Tick(50)));
        flights.end(short);
        assert!(flights.are_over(flights.next(), Tick(50)) && !flights.are_over(flights.next(), Tick(5)));
    }

    proptest! {
        #[test]
        fn knows_what_is_over(steps in proptest::collection::vec((any::<bool>(), 0usize..8), 0..200)) {
            let mut flights = Flights::default();
            let (mut open, mut moments) = (Vec::new(), Vec::new());
            for (begins, which) in steps {
                if begins || open.is_empty() {
                    open.push(flights.begin(Tick(1)));
                } else {
                    flights.end(open.swap_remove(which % open.len()));
                }
                moments.push(flights.next());
                for moment in &moments {
                    let expected = open.iter().all(|number| number >= moment);
                    prop_assert_eq!(flights.are_over(*moment, Tick::NEVER), expected);
                }
            }
            for number in open {
                flights.end(number);
            }
            prop_assert!(flights.open.is_empty());
        }
    }
}

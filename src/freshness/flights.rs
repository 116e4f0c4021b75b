//! Which commits are under way, in the order in which they began.

use std::collections::VecDeque;

/// Numbers the commits under way, so that one can wait for those that had begun at some moment and no others.
#[derive(Clone, Debug, Default)]
pub struct Flights {
    /// The number of the oldest one that is not over.
    oldest: u64,
    /// From there on: whether it is over.
    over: VecDeque<bool>,
}

impl Flights {
    /// One begins. Returns its number, to be given to [`Self::end`].
    pub fn begin(&mut self) -> u64 {
        self.over.push_back(false);
        self.next() - 1
    }

    /// One is over.
    pub fn end(&mut self, number: u64) {
        let place = number.checked_sub(self.oldest).and_then(|place| usize::try_from(place).ok());
        if let Some(over) = place.and_then(|place| self.over.get_mut(place)) {
            *over = true;
        }
        while self.over.front() == Some(&true) {
            self.over.pop_front();
            self.oldest += 1;
        }
    }

    /// The number the next one gets: whatever has begun has a smaller one.
    pub fn next(&self) -> u64 {
        self.oldest + self.over.len() as u64
    }

    /// Whether all that had begun when [`Self::next`] was `number` are over.
    pub fn are_over(&self, number: u64) -> bool {
        self.oldest >= number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn knows_what_is_over(steps in proptest::collection::vec((any::<bool>(), 0usize..8), 0..200)) {
            let mut flights = Flights::default();
            let (mut open, mut moments) = (Vec::new(), Vec::new());
            for (begins, which) in steps {
                if begins || open.is_empty() {
                    open.push(flights.begin());
                } else {
                    flights.end(open.swap_remove(which % open.len()));
                }
                moments.push(flights.next());
                for moment in &moments {
                    prop_assert_eq!(flights.are_over(*moment), open.iter().all(|number| number >= moment));
                }
            }
            for number in open {
                flights.end(number);
            }
            prop_assert!(flights.over.is_empty());
        }
    }
}

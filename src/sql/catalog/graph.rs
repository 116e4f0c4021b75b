//! Who uses whom, and what becomes of a user when what it uses is harmful.

use super::{Blame, Does, Why};
use std::collections::VecDeque;
use std::sync::Arc;

/// What is known of one object. Objects are numbers here.
#[derive(Clone, Debug, Default)]
pub(super) struct Knot {
    /// Why it cannot be used on a replica.
    pub(super) blame: Option<Arc<Blame>>,
    /// What its use may do, by how it is declared.
    pub(super) does: Does,
    /// What its use may do, by what its definition says.
    pub(super) inner: Does,
}

/// The objects and the arrows between them, while these are being found.
#[derive(Debug)]
pub(super) struct Graph {
    knots: Vec<Knot>,
    /// User and used.
    arrows: Vec<(u32, u32)>,
}

impl Graph {
    pub(super) fn new(objects: usize) -> Self {
        Graph { knots: vec![Knot::default(); objects], arrows: Vec::new() }
    }

    pub(super) fn knot(&mut self, object: u32) -> &mut Knot {
        &mut self.knots[object as usize]
    }

    pub(super) fn arrow(&mut self, user: u32, used: u32) {
        self.arrows.push((user, used));
    }

    /// One more object.
    pub(super) fn add(&mut self) -> u32 {
        self.knots.push(Knot::default());
        number(self.knots.len() - 1)
    }

    /// Carries blame and deeds from the used to their users. `label` names an object; one without a name only passes on.
    pub(super) fn settle(mut self, label: impl Fn(u32) -> Option<Box<str>>) -> Settled {
        self.arrows.sort_unstable();
        self.arrows.dedup();
        let used = Adjacent::new(self.knots.len(), self.arrows.iter().copied());
        let users = Adjacent::new(self.knots.len(), self.arrows.iter().map(|(user, used)| (*used, *user)));
        self.spread_blame(&users, label);
        self.spread_deeds(&users);
        Settled { knots: self.knots, used }
    }

    /// In the order of distance, so that every chain is as short as can be.
    fn spread_blame(&mut self, users: &Adjacent, label: impl Fn(u32) -> Option<Box<str>>) {
        let all = 0..number(self.knots.len());
        let mut queue: VecDeque<u32> = all.filter(|at| self.knot(*at).blame.is_some()).collect();
        while let Some(at) = queue.pop_front() {
            let Some(blame) = self.knot(at).blame.clone() else { continue };
            for &user in users.of(at) {
                if self.knot(user).blame.is_some() {
                    continue;
                }
                let passed = match label(user) {
                    Some(object) => Arc::new(Blame { object, why: Why::Uses(Arc::clone(&blame)) }),
                    None => Arc::clone(&blame),
                };
                self.knot(user).blame = Some(passed);
                queue.push_back(user);
            }
        }
    }

    fn spread_deeds(&mut self, users: &Adjacent) {
        let all = 0..number(self.knots.len());
        let active = |knot: &Knot| knot.does | knot.inner != Does::NOTHING;
        let mut queue: Vec<u32> = all.filter(|at| active(self.knot(*at))).collect();
        while let Some(at) = queue.pop() {
            let (does, inner) = (self.knot(at).does, self.knot(at).inner);
            for &user in users.of(at) {
                let knot = self.knot(user);
                if !(knot.does.contains(does) && knot.inner.contains(inner)) {
                    knot.does |= does;
                    knot.inner |= inner;
                    queue.push(user);
                }
            }
        }
    }
}

/// The objects, when everything is known of each.
#[derive(Debug)]
pub(super) struct Settled {
    knots: Vec<Knot>,
    used: Adjacent,
}

impl Settled {
    pub(super) fn knot(&self, object: u32) -> &Knot {
        &self.knots[object as usize]
    }

    /// What it uses itself.
    pub(super) fn used_by(&self, object: u32) -> &[u32] {
        self.used.of(object)
    }
}

/// The arrows from each object: `targets[starts[i]..starts[i + 1]]`.
#[derive(Debug)]
struct Adjacent {
    starts: Vec<u32>,
    targets: Vec<u32>,
}

impl Adjacent {
    fn new(objects: usize, arrows: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        let mut starts = vec![0; objects + 1];
        for (from, _) in arrows.clone() {
            starts[from as usize + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut next = starts.clone();
        let mut targets = vec![0; starts.last().map_or(0, |end| *end as usize)];
        for (from, to) in arrows {
            targets[next[from as usize] as usize] = to;
            next[from as usize] += 1;
        }
        Adjacent { starts, targets }
    }

    fn of(&self, object: u32) -> &[u32] {
        let at = object as usize;
        &self.targets[self.starts[at] as usize..self.starts[at + 1] as usize]
    }
}

/// An index as the number of an object. There are fewer objects than OIDs.
pub(super) fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blame_takes_the_shortest_way_and_cycles_end() {
        let mut graph = Graph::new(5);
        graph.knot(0).blame = Some(Arc::new(Blame { object: "0".into(), why: Why::Volatile }));
        graph.knot(0).does = Does::WRITES;
        for (user, used) in [(1, 0), (2, 1), (3, 2), (3, 0), (1, 3), (2, 2), (4, 4)] {
            graph.arrow(user, used);
        }
        let settled = graph.settle(|at| (at != 1).then(|| at.to_string().into()));
        let text = |at| settled.knot(at).blame.as_ref().map(ToString::to_string);
        assert_eq!(text(1).as_deref(), Some("0 is VOLATILE"), "it has no name");
        assert_eq!(text(2).as_deref(), Some("0 is VOLATILE, used by 2"));
        assert_eq!(text(3).as_deref(), Some("0 is VOLATILE, used by 3"));
        assert_eq!(text(4), None);
        assert!(settled.knot(3).does.contains(Does::WRITES));
        assert_eq!(settled.used_by(3), [0, 2]);
    }
}

//! Who may use a connection of a node when there are not enough for all, and in which order who waits is served.
//!
//! A seat is the right to use one connection. Users have their own queues, so that many waiting clients of one do not
//! stand before a single one of another. A seat that becomes free stays with its user as long as that is fair, because
//! otherwise a connection must be closed and another one opened for it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The seats of one node, for all users of a database.
#[derive(Debug)]
pub(super) struct Seats {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    /// Tells those who wait apart; it only grows.
    tickets: u64,
    /// The user that was given a seat of somebody else's last: the next one in turn comes after it.
    turn: usize,
    users: Vec<Queue>,
}

/// One user's seats, and who waits for one.
#[derive(Debug, Default)]
struct Queue {
    taken: usize,
    limit: usize,
    /// How often others kept a seat while somebody waited here, since somebody here was given one.
    passed: usize,
    has_parted: bool,
    waiting: VecDeque<(u64, oneshot::Sender<()>)>,
}

impl Queue {
    fn is_waiting(&self) -> bool {
        !self.waiting.is_empty() && self.taken < self.limit
    }

    /// Whether its number can be another's.
    fn is_free(&self) -> bool {
        self.has_parted && self.taken == 0 && self.waiting.is_empty()
    }
}

/// A seat; dropping it gives it to whoever is next.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    user: usize,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.lock().leave(self.user, self.seats.limit);
    }
}

impl Seats {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default() }
    }

    /// One more user, who has at most `limit` seats. Returns its number, which may have been that of somebody who has parted.
    pub(super) fn join(&self, limit: usize) -> usize {
        let mut state = self.lock();
        let queue = Queue { limit, ..Queue::default() };
        if let Some(user) = state.users.iter().position(Queue::is_free) {
            state.users[user] = queue;
            return user;
        }
        state.users.push(queue);
        state.users.len() - 1
    }

    /// The user takes no more seats. Those that it has are left as they would be.
    pub(super) fn part(&self, user: usize) {
        self.lock().users[user].has_parted = true;
    }

    /// A seat, if there is one for whoever comes now.
    pub(super) fn take_at_once(self: &Arc<Self>, user: usize) -> Option<Seat> {
        let mut state = self.lock();
        let queue = &state.users[user];
        let free = state.taken < self.limit && queue.taken < queue.limit && queue.waiting.is_empty();
        free.then(|| {
            state.grant(user);
            Seat { seats: Arc::clone(self), user }
        })
    }

    /// A seat, waited for in turn. Cancel safe.
    pub(super) async fn take(self: &Arc<Self>, user: usize) -> Seat {
        if let Some(seat) = self.take_at_once(user) {
            return seat;
        }
        let mut ticket = self.stand_in_line(user);
        match (&mut ticket.called).await {
            Ok(()) => Seat { seats: Arc::clone(self), user },
            Err(_) => unreachable!("who stands in line is called"),
        }
    }

    fn stand_in_line(self: &Arc<Self>, user: usize) -> Ticket {
        let (call, called) = oneshot::channel();
        let mut state = self.lock();
        state.tickets += 1;
        let number = state.tickets;
        state.users[user].waiting.push_back((number, call));
        // What became free between the two locks is not lost.
        state.serve(self.limit);
        drop(state);
        Ticket { seats: Arc::clone(self), user, number, called }
    }

    /// Whether the user has all the seats it may have itself.
    pub(super) fn is_full(&self, user: usize) -> bool {
        let state = self.lock();
        state.users[user].taken >= state.users[user].limit
    }

    /// How many wait.
    pub(super) fn waiting(&self, user: usize) -> usize {
        self.lock().users[user].waiting.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn grant(&mut self, user: usize) {
        self.taken += 1;
        let queue = &mut self.users[user];
        queue.taken += 1;
        queue.passed = 0;
    }

    /// The user's seat is free: it goes to the next of the same user, or to one whose turn it is more.
    fn leave(&mut self, user: usize, limit: usize) {
        let next = self.due(user, limit);
        self.taken -= 1;
        self.users[user].taken -= 1;
        if let Some(next) = next {
            self.turn = next;
            self.call(next);
        } else if self.users[user].is_waiting() {
            self.pass_over(user);
            self.call(user);
        }
        self.serve(limit);
    }

    /// The other user who should rather have the seat that `user` is about to leave. It has none, or at least two less,
    /// or it has been passed over as often as there are seats: it may be that those it has are not given back for long.
    fn due(&self, user: usize, limit: usize) -> Option<usize> {
        let taken = self.users[user].taken;
        self.in_turn().filter(|other| *other != user).find(|other| {
            let other = &self.users[*other];
            other.is_waiting() && (other.taken == 0 || taken >= other.taken + 2 || other.passed >= limit)
        })
    }

    fn pass_over(&mut self, user: usize) {
        let others = self.users.iter_mut().enumerate().filter(|(other, _)| *other != user);
        others.filter(|(_, queue)| queue.is_waiting()).for_each(|(_, queue)| queue.passed += 1);
    }

    /// Users, beginning with the one whose turn it is.
    fn in_turn(&self) -> impl Iterator<Item = usize> + use<> {
        let (turn, count) = (self.turn, self.users.len());
        (1..=count).map(move |step| (turn + step) % count)
    }

    /// Gives out seats that nobody has, as long as somebody can have one.
    fn serve(&mut self, limit: usize) {
        while self.taken < limit {
            let Some(next) = self.in_turn().find(|user| self.users[*user].is_waiting()) else { return };
            self.turn = next;
            self.call(next);
        }
    }

    /// Gives a seat to the first in the user's line who still wants one.
    fn call(&mut self, user: usize) {
        while let Some((_, call)) = self.users[user].waiting.pop_front() {
            if call.send(()).is_ok() {
                return self.grant(user);
            }
        }
    }
}

/// A place in a user's line.
struct Ticket {
    seats: Arc<Seats>,
    user: usize,
    number: u64,
    called: oneshot::Receiver<()>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.seats.lock();
        // Nobody calls while the lock is held. Once called and the call heard, the receiver is empty.
        if self.called.try_recv().is_ok() {
            return state.leave(self.user, self.seats.limit);
        }
        let waiting = &mut state.users[self.user].waiting;
        if let Ok(at) = waiting.binary_search_by_key(&self.number, |(number, _)| *number) {
            waiting.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use super::*;

    /// A place in line, and the seat once it is granted.
    type Waiting = std::pin::Pin<Box<dyn Future<Output = Seat>>>;

    /// Stands in line, for certain.
    async fn wait(seats: &Arc<Seats>, user: usize) -> Waiting {
        let seats = Arc::clone(seats);
        let mut waiting: Waiting = Box::pin(async move { seats.take(user).await });
        assert!(seat(&mut waiting).await.is_none());
        waiting
    }

    /// The seat, if it was granted.
    async fn seat(waiting: &mut Waiting) -> Option<Seat> {
        poll_fn(|cx| match waiting.as_mut().poll(cx) {
            Poll::Ready(seat) => Poll::Ready(Some(seat)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    fn taken(seats: &Seats) -> Vec<usize> {
        let state = seats.lock();
        let taken: Vec<usize> = state.users.iter().map(|user| user.taken).collect();
        assert_eq!(taken.iter().sum::<usize>(), state.taken);
        assert!(state.taken <= seats.limit);
        taken
    }

    #[tokio::test]
    async fn first_come_first_served() {
        let seats = Arc::new(Seats::new(1));
        let user = seats.join(1);
        let held = seats.take(user).await;
        let (mut a, mut b, mut c) =
            (wait(&seats, user).await, wait(&seats, user).await, wait(&seats, user).await);
        drop(held);
        assert!(seats.take_at_once(user).is_none(), "nobody comes before those in line");
        let first = seat(&mut a).await.unwrap();
        assert!(seat(&mut b).await.is_none());
        drop(first);
        assert!(seat(&mut c).await.is_none());
        drop(seat(&mut b).await.unwrap());
        drop(seat(&mut c).await.unwrap());
        assert_eq!(taken(&seats), [0]);
    }

    #[tokio::test]
    async fn who_gives_up_leaves_no_trace() {
        let seats = Arc::new(Seats::new(1));
        let user = seats.join(1);
        let held = seats.take(user).await;
        let (a, b, mut c) = (wait(&seats, user).await, wait(&seats, user).await, wait(&seats, user).await);
        drop(b);
        assert_eq!(seats.waiting(user), 2);
        drop(held);
        // It was called, and has not heard it.
        drop(a);
        drop(seat(&mut c).await.unwrap());
        assert_eq!((taken(&seats), seats.waiting(user)), (vec![0], 0));
    }

    #[tokio::test]
    async fn a_single_client_does_not_wait_for_many() {
        let seats = Arc::new(Seats::new(2));
        let (many, single) = (seats.join(9), seats.join(9));
        let held = seats.take(many).await;
        let _also = seats.take(many).await;
        let mut line = Vec::new();
        for _ in 0..5 {
            line.push(wait(&seats, many).await);
        }
        let mut one = wait(&seats, single).await;
        drop(held);
        let of_single = seat(&mut one).await.expect("its user has none");
        assert_eq!(taken(&seats), [1, 1]);
        // Both wait, and have one each: each keeps its own, so that no connection changes its user.
        let _two = wait(&seats, single).await;
        drop(of_single);
        assert_eq!(taken(&seats), [1, 1]);
    }

    #[tokio::test]
    async fn who_holds_on_to_a_seat_does_not_bar_its_own_user() {
        let seats = Arc::new(Seats::new(2));
        let (many, single) = (seats.join(9), seats.join(9));
        let _long = seats.take(single).await;
        let mut held = seats.take(many).await;
        let mut two = wait(&seats, single).await;
        let mut rounds = 0;
        let of_single = loop {
            let mut next = wait(&seats, many).await;
            drop(held);
            if let Some(seat) = seat(&mut two).await {
                break seat;
            }
            rounds += 1;
            held = seat(&mut next).await.expect("one of the two");
        };
        assert!(rounds <= 2, "{rounds}");
        drop(of_single);
    }

    #[tokio::test]
    async fn users_who_come_and_go_take_no_more_numbers() {
        let seats = Arc::new(Seats::new(2));
        let (stays, goes) = (seats.join(1), seats.join(1));
        let held = seats.take(goes).await;
        seats.part(goes);
        assert_eq!(seats.join(1), 2, "its seat is not given back yet");
        drop(held);
        assert_eq!(seats.join(1), goes);
        assert_ne!(seats.join(1), stays);
        assert_eq!(taken(&seats), [0; 4]);
    }

    #[tokio::test]
    async fn a_user_at_its_own_limit_is_passed_by() {
        let seats = Arc::new(Seats::new(3));
        let (a, b) = (seats.join(1), seats.join(3));
        let held = seats.take(a).await;
        let mut more = wait(&seats, a).await;
        assert!(seats.is_full(a) && !seats.is_full(b));
        let (_one, _two) = (seats.take(b).await, seats.take(b).await);
        let mut third = wait(&seats, b).await;
        drop(held);
        assert!(seat(&mut more).await.is_some() || seat(&mut third).await.is_some());
        assert!(seat(&mut third).await.is_some(), "what its user could not use is there for others");
        assert_eq!(taken(&seats)[0], 0);
    }
}

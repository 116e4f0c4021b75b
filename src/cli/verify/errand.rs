//! What an actor reads next, and on which of its connections. Random numbers are handed in.

use super::args::Path;
use super::link::Thing;

/// One read in so many after a write takes the token path: its text is new to the proxy every time, which costs more.
const TOKEN_SHARE: u32 = 4;
/// Reads of what the actor itself has written, in percent.
const OWN: u32 = 60;

/// A read to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Errand {
    pub(super) thing: Thing,
    pub(super) link: usize,
    pub(super) path: Path,
}

/// What an actor wrote last, and on which connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) thing: Thing,
    /// The value that a token of that connection covers.
    pub(super) value: u64,
    pub(super) link: usize,
}

/// How reads are chosen.
#[derive(Clone, Debug)]
pub(super) struct Errands {
    /// At least one.
    paths: Vec<Path>,
    actors: usize,
    links: usize,
}

impl Errands {
    pub(super) fn new(paths: &[Path], actors: usize, links: usize) -> Self {
        Self { paths: paths.to_vec(), actors, links }
    }

    /// What reads back a write, number `count` of the actor's.
    pub(super) fn back(&self, written: Written, count: u32) -> Errand {
        let plain = || self.paths.iter().copied().filter(|path| *path != Path::Token);
        let plain_count = u32::try_from(plain().count()).unwrap_or(0);
        let is_token = self.paths.contains(&Path::Token) && count % TOKEN_SHARE == TOKEN_SHARE - 1;
        let path = match count.checked_rem(plain_count) {
            Some(turn) if !is_token => plain().nth(turn as usize).unwrap_or(Path::Cross),
            _ => Path::Token,
        };
        self.on(path, written)
    }

    /// A read between writes: `percent` below 100 says whose, `any` picks among what there is.
    pub(super) fn between(&self, written: Written, percent: u32, any: usize) -> Errand {
        let is_possible = |path| self.paths.contains(&path);
        if percent < OWN || !is_possible(Path::Cross) {
            let plain: Vec<Path> = self.paths.iter().copied().filter(|path| *path != Path::Token).collect();
            let path = plain.get(any % plain.len().max(1)).copied().unwrap_or(Path::Token);
            return self.on(path, written);
        }
        let thing = Thing { actor: any % self.actors, is_list: percent.is_multiple_of(2) };
        let link = (any / self.actors) % self.links;
        let path = if thing == written.thing && link == written.link { Path::Same } else { Path::Cross };
        if is_possible(path) { Errand { thing, link, path } } else { self.on(Path::Cross, written) }
    }

    /// The read of what was written, on this path.
    fn on(&self, path: Path, written: Written) -> Errand {
        let link = match path {
            Path::Same => written.link,
            // Through another proxy, if there is one.
            Path::Token if self.links > 2 => 2,
            // The other one of the two connections to the proxy that was written through.
            Path::Token | Path::Cross => 1 - written.link,
        };
        Errand { thing: written.thing, link, path }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: Written = Written { thing: Thing { actor: 3, is_list: false }, value: 9, link: 1 };

    fn paths_back(paths: &[Path], links: usize) -> Vec<(Path, usize)> {
        let errands = Errands::new(paths, 8, links);
        (0..8).map(|count| errands.back(LAST, count)).map(|errand| (errand.path, errand.link)).collect()
    }

    #[test]
    fn writes_are_read_back_on_every_path_and_seldom_by_token() {
        use Path::{Cross, Same, Token};
        let one = [(Same, 1), (Cross, 0), (Same, 1), (Token, 0)].repeat(2);
        assert_eq!(paths_back(&Path::ALL, 2), one);
        let two = [(Same, 1), (Cross, 0), (Same, 1), (Token, 2)].repeat(2);
        assert_eq!(paths_back(&Path::ALL, 3), two);
        assert_eq!(paths_back(&[Cross], 3), [(Cross, 0)].repeat(8));
        assert_eq!(paths_back(&[Token], 3), [(Token, 2)].repeat(8));
    }

    #[test]
    fn reads_between_writes_keep_to_the_paths_that_were_asked_for() {
        for paths in
            [&Path::ALL[..], &[Path::Same], &[Path::Cross], &[Path::Token], &[Path::Same, Path::Token]]
        {
            let errands = Errands::new(paths, 8, 3);
            for (percent, any) in (0..100).cycle().step_by(7).zip(0..200) {
                let errand = errands.between(LAST, percent, any);
                assert!(paths.contains(&errand.path), "{errand:?}");
                let same = errand.thing == LAST.thing && errand.link == LAST.link;
                assert_eq!(same, errand.path == Path::Same, "{errand:?}");
                assert!(errand.link < 3 && errand.thing.actor < 8);
            }
        }
        let all = Errands::new(&Path::ALL, 8, 3);
        let chosen = (0..100).zip(0..).map(|(percent, any)| all.between(LAST, percent, any));
        let others = chosen.filter(|errand| errand.thing.actor != 3).count();
        assert!(others > 20, "{others}");
    }
}

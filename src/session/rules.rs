//! The operator's rules about statements: whom they hold for, and what they make of a statement without a hint.
//!
//! Who the session is, is asked once, and again when its settings have changed; which rules a statement's shape meets is
//! kept with what is known of the shape. What is left for each statement is to look at a few numbers.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::known::Known;
use super::serve::Session;
use crate::config::StatementRule;
use crate::freshness::Group;
use crate::server::Settings;
use crate::sql::{Intent, Level, Lockable, Locked, OnStale, Scope, ShapeKey};

const APPLICATION_NAME: &str = "application_name";

/// The rules of one database that are about statements, in the order in which they are asked.
#[derive(Debug, Default)]
pub(super) struct Rules {
    rules: Box<[Rule]>,
    /// Differs where the rules do.
    pub(super) digest: u64,
}

#[derive(Debug)]
struct Rule {
    said: StatementRule,
    /// The shapes of its statements. None: it holds for every statement.
    shapes: Box<[ShapeKey]>,
}

/// What rules ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Asked {
    intent: Option<Intent>,
    level: Option<Level>,
}

/// The rules as they hold for one session.
#[derive(Debug, Default)]
pub(super) struct Ruled {
    /// By number: whether the session meets the rule.
    met: Box<[bool]>,
    /// What is asked of statements that no rule speaks of by their shape.
    general: Asked,
    /// The settings this was made from.
    settings: Option<Settings>,
}

/// What holds for a statement without hints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Defaults {
    pub(super) intent: Option<Intent>,
    pub(super) level: Level,
    pub(super) scope: Scope,
    pub(super) key: Option<Group>,
    pub(super) on_stale: OnStale,
    /// What hints do not change.
    pub(super) locked: Locked,
}

impl Defaults {
    /// The scope of who gives a key and no scope.
    pub(super) fn scope_by_key<T>(&self, key: Option<T>) -> Option<Scope> {
        scope_by_key(self.locked, key)
    }
}

fn scope_by_key<T>(locked: Locked, key: Option<T>) -> Option<Scope> {
    key.filter(|_| !locked.contains(Lockable::Scope)).and(Some(Scope::Key))
}

impl Rules {
    /// These rules; `shape` says what shape a text has.
    pub(super) fn new<'a>(
        rules: impl Iterator<Item = &'a StatementRule>,
        shape: impl Fn(&[u8]) -> Option<ShapeKey>,
    ) -> Self {
        let mut hasher = DefaultHasher::new();
        let rules = rules.map(|said| {
            format!("{said:?}").hash(&mut hasher);
            let texts = said.statements.iter().flat_map(|text| spellings(text));
            Rule { said: said.clone(), shapes: texts.filter_map(|text| shape(text.as_bytes())).collect() }
        });
        let rules = rules.collect();
        Self { rules, digest: hasher.finish() }
    }

    /// The numbers of the rules that speak of statements of this shape.
    pub(super) fn about(&self, shape: ShapeKey) -> Arc<[usize]> {
        let about = |(number, rule): (usize, &Rule)| rule.shapes.contains(&shape).then_some(number);
        self.rules.iter().enumerate().filter_map(about).collect()
    }

    /// What the rules that are met ask for, the first one that asks first.
    fn asked(&self, is_met: impl Fn(usize, &Rule) -> bool) -> Asked {
        let mut asked = Asked::default();
        for (number, rule) in self.rules.iter().enumerate() {
            if (asked.intent.is_none() || asked.level.is_none()) && is_met(number, rule) {
                asked.intent = asked.intent.or(rule.said.intent);
                asked.level = asked.level.or(rule.said.consistency);
            }
        }
        asked
    }

    /// The rules as they hold for this user under this name.
    fn hold_for(&self, user: &str, application_name: &str) -> Ruled {
        let met: Box<[bool]> =
            self.rules.iter().map(|rule| rule.said.is_for(user, application_name)).collect();
        let general = self.asked(|number, rule| met[number] && rule.said.statements.is_empty());
        Ruled { met, general, settings: None }
    }
}

impl Ruled {
    /// What is asked of a statement of which these rules speak.
    fn asked(&self, rules: &Rules, about: &[usize]) -> Asked {
        if about.is_empty() {
            return self.general;
        }
        let is_met = |number: usize, rule: &Rule| {
            self.met.get(number).is_some_and(|met| *met)
                && (rule.said.statements.is_empty() || about.contains(&number))
        };
        rules.asked(is_met)
    }
}

/// A text without semicolon and with one: to the grammar, and to applications, both are the same.
fn spellings(text: &str) -> [String; 2] {
    let bare = text.trim_end_matches([';', ' ', '\t', '\r', '\n']);
    // On a line of its own, because the last line may end in a comment.
    [bare.to_owned(), format!("{bare}\n;")]
}

impl Session {
    /// Finds out which rules hold for the session, unless that is known.
    pub(super) fn stand_under_rules(&mut self) {
        let (rules, current) = (&self.database.rules, &self.settings.current);
        let is_known = |made_from: &Settings| Arc::ptr_eq(made_from, current);
        if rules.rules.is_empty() || self.ruled.settings.as_ref().is_some_and(is_known) {
            return;
        }
        let held = rules.hold_for(&self.user.name, self.application_name());
        self.ruled = Ruled { settings: Some(Arc::clone(current)), ..held };
    }

    /// What the client calls itself.
    pub(super) fn application_name(&self) -> &str {
        let mut configured = self.database.settings.server_settings.iter();
        let configured = configured.rfind(|(name, _)| name.eq_ignore_ascii_case(APPLICATION_NAME));
        let name = self.settings.current.get(APPLICATION_NAME).or(configured.map(|(_, name)| name));
        name.map_or("", String::as_str)
    }

    /// What holds for a statement without hints, if it is known: the session's settings go before the rules, these
    /// before what holds for the user, and that before what holds for the database.
    pub(super) fn defaults(&self, known: Option<&Known>) -> Defaults {
        let (steering, user, settings) =
            (&self.settings.steering, &self.user.tuning, &self.database.settings);
        let asked = self.ruled.asked(&self.database.rules, known.map_or(&[], |known| &known.rules));
        Defaults {
            intent: steering.intent.or(asked.intent),
            level: steering.level.or(asked.level).or(user.consistency).unwrap_or(settings.consistency),
            scope: steering
                .scope
                .or(scope_by_key(self.settings.locked, steering.key))
                .or(user.scope)
                .unwrap_or(settings.scope),
            key: steering.key,
            on_stale: steering.on_stale.or(user.on_stale).unwrap_or(settings.on_stale),
            locked: self.settings.locked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Pattern;
    use crate::sql::Shaper;

    fn asks(intent: Option<Intent>, level: Option<Level>) -> StatementRule {
        StatementRule { intent, consistency: level, ..StatementRule::default() }
    }

    #[test]
    fn of_rules_that_are_met_the_first_that_asks_counts() {
        let (primary, replica) = (Some(Intent::Primary), Some(Intent::Replica));
        let eventual = Some(Level::Eventual);
        let said = [
            StatementRule { users: vec!["a".into()], ..asks(primary, None) },
            StatementRule { statements: vec!["select 1 -- one\n ; ".into()], ..asks(replica, None) },
            StatementRule {
                application_names: vec![Pattern::StartsWith("meta".into())],
                ..asks(replica, eventual)
            },
            StatementRule {
                users: vec!["b".into()],
                statements: vec!["select 1".into()],
                ..asks(primary, Some(Level::Primary))
            },
        ];
        let shaper = Shaper::new(7);
        let shape = |text: &[u8]| shaper.scan(text).map(|scan| scan.key);
        let rules = Rules::new(said.iter(), shape);
        let asked = |user, name, text: &str| {
            let about = rules.about(shape(text.as_bytes()).unwrap());
            let Asked { intent, level } = rules.hold_for(user, name).asked(&rules, &about);
            (intent, level)
        };
        assert_eq!(asked("b", "", "select now()"), (None, None));
        assert_eq!(asked("a", "metabase", "select now()"), (primary, eventual));
        assert_eq!(asked("b", "metabase", "select now()"), (replica, eventual));
        assert_eq!(asked("c", "", "SELECT 2"), (replica, None));
        assert_eq!(asked("c", "", "select /* x */ 2 ;"), (replica, None));
        assert_eq!(asked("b", "", "select 2;"), (replica, Some(Level::Primary)));
        assert_eq!(asked("a", "", "select 2"), (primary, None));
        assert_eq!(asked("c", "", "select 'two'"), (None, None));
    }
}

//! From the server's rows to the rows of [`Facts`].

use std::collections::HashMap;
use std::error::Error as StdError;
use std::sync::Arc;

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type as SqlType};

use super::paths::{Of, PathSetting, Seen};
use crate::sql::catalog::{
    Body, Builtin, Cast, Child, Class, Comparison, Facts, ForeignKey, Function, Language, Logged, Object,
    Operator, Parameters, Part, PartKind, Relation, RelationKind, RowSecurity, Said, Schema, System, Tree,
    Type, Use, Volatility, comment,
};

/// A row that is not what was asked for.
pub(super) type Error = tokio_postgres::Error;

/// Text in any encoding. What is not UTF-8 (in a database of encoding `SQL_ASCII`) is a name that nothing is found by.
struct Text(Box<str>);

impl<'a> FromSql<'a> for Text {
    fn from_sql(_: &SqlType, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Text(String::from_utf8_lossy(raw).into()))
    }

    fn accepts(kind: &SqlType) -> bool {
        *kind == SqlType::NAME || <&str as FromSql>::accepts(kind)
    }
}

fn text(row: &Row, at: usize) -> Result<Box<str>, Error> {
    Ok(row.try_get::<_, Text>(at)?.0)
}

fn optional(row: &Row, at: usize) -> Result<Option<Box<str>>, Error> {
    Ok(row.try_get::<_, Option<Text>>(at)?.map(|text| text.0))
}

fn tree(row: &Row, at: usize) -> Result<Tree, Error> {
    // Trees are the bulk of what is read, and are not kept: no copy is made of them where they are UTF-8.
    match row.try_get::<_, Option<&str>>(at) {
        Ok(text) => Ok(Tree::read(text.unwrap_or_default())),
        Err(_) => Ok(Tree::read(&optional(row, at)?.unwrap_or_default())),
    }
}

/// A letter that stands for something.
fn letter(row: &Row, at: usize) -> Result<char, Error> {
    let byte: i8 = row.try_get(at)?;
    Ok(char::from(byte.cast_unsigned()))
}

fn all<T>(rows: &[Row], one: impl Fn(&Row) -> Result<T, Error>) -> Result<Vec<T>, Error> {
    rows.iter().map(one).collect()
}

/// The answers to the questions of the same names.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) schemas: Vec<Row>,
    pub(super) functions: Vec<Row>,
    pub(super) extensions: Vec<Row>,
    pub(super) comments: Vec<Row>,
    pub(super) relations: Vec<Row>,
    pub(super) types: Vec<Row>,
    pub(super) operators: Vec<Row>,
    pub(super) casts: Vec<Row>,
    pub(super) comparisons: Vec<Row>,
    pub(super) children: Vec<Row>,
    pub(super) foreign_keys: Vec<Row>,
    pub(super) parts: Vec<Row>,
    pub(super) uses: Vec<Row>,
}

impl Answers {
    /// The facts they state.
    pub(super) fn facts(&self, system: Arc<System>) -> Result<Facts, Error> {
        let pair = |row: &Row| Ok((row.try_get(0)?, row.try_get(1)?));
        let extensions: HashMap<u32, Box<str>> =
            all(&self.extensions, |row| Ok((row.try_get(0)?, text(row, 1)?)))?.into_iter().collect();
        let comments: HashMap<u32, Option<Said>> =
            all(&self.comments, |row| Ok((row.try_get(0)?, comment(&text(row, 1)?))))?.into_iter().collect();
        Ok(Facts {
            system,
            schemas: all(&self.schemas, |row| Ok(Schema { oid: row.try_get(0)?, name: text(row, 1)? }))?,
            functions: all(&self.functions, |row| {
                let mut function = function(row)?;
                function.extension = extensions.get(&function.oid).cloned();
                function.comment = comments.get(&function.oid).copied().flatten();
                Ok(function)
            })?,
            relations: all(&self.relations, relation)?,
            types: all(&self.types, type_)?,
            operators: all(&self.operators, operator)?,
            casts: all(&self.casts, |row| {
                Ok(Cast { target: row.try_get(0)?, function: row.try_get(1)?, implicit: row.try_get(2)? })
            })?,
            comparisons: all(&self.comparisons, |row| {
                pair(row).map(|(of, function)| Comparison { of, function })
            })?,
            children: all(&self.children, |row| pair(row).map(|(child, parent)| Child { child, parent }))?,
            foreign_keys: all(&self.foreign_keys, |row| pair(row).map(|(from, to)| ForeignKey { from, to }))?,
            parts: all(&self.parts, part)?.into_iter().flatten().collect(),
            uses: all(&self.uses, use_)?.into_iter().flatten().collect(),
        })
    }
}

/// The answers about what came with the server.
#[derive(Debug)]
pub(super) struct SystemAnswers {
    pub(super) functions: Vec<Row>,
    pub(super) relations: Vec<Row>,
    pub(super) types: Vec<Row>,
    pub(super) parts: Vec<Row>,
    pub(super) uses: Vec<Row>,
}

impl SystemAnswers {
    /// The facts they state.
    pub(super) fn facts(&self) -> Result<System, Error> {
        let builtin = |row: &Row| {
            Ok(Builtin { oid: row.try_get(0)?, name: text(row, 1)?, volatility: volatility(letter(row, 2)?) })
        };
        let system = System {
            functions: all(&self.functions, builtin)?,
            harmless: Vec::new(),
            relations: all(&self.relations, relation)?,
            types: all(&self.types, |row| Ok((row.try_get(0)?, text(row, 1)?)))?,
            parts: all(&self.parts, part)?.into_iter().flatten().collect(),
            uses: all(&self.uses, use_)?.into_iter().flatten().collect(),
        };
        Ok(system.sorted())
    }
}

fn function(row: &Row) -> Result<Function, Error> {
    let count = |number: i16| u16::try_from(number).unwrap_or(0);
    let parsed = optional(row, 9)?;
    let defaults = optional(row, 10)?.unwrap_or_default();
    let trees = [parsed.as_deref().unwrap_or_default(), &defaults].concat();
    Ok(Function {
        oid: row.try_get(0)?,
        schema: row.try_get(1)?,
        name: text(row, 2)?,
        language: language(&text(row, 3)?),
        volatility: volatility(letter(row, 4)?),
        arguments: Parameters {
            types: text(row, 7)?,
            least: count(row.try_get(5)?),
            most: row.try_get::<_, Option<i16>>(6)?.map(count),
            of_row: row.try_get(11)?,
        },
        source: optional(row, 8)?.unwrap_or_default(),
        tree: Tree::read(&trees),
        body: if parsed.is_some() { Body::Parsed } else { Body::Source },
        extension: None,
        comment: None,
    })
}

fn volatility(letter: char) -> Volatility {
    match letter {
        'i' => Volatility::Immutable,
        's' => Volatility::Stable,
        _ => Volatility::Volatile,
    }
}

fn language(name: &str) -> Language {
    match name {
        "sql" => Language::Sql,
        "plpgsql" => Language::PlPgSql,
        "aggregate" => Language::Aggregate,
        "c" | "internal" => Language::Native,
        _ => Language::Other,
    }
}

fn relation(row: &Row) -> Result<Relation, Error> {
    Ok(Relation {
        oid: row.try_get(0)?,
        schema: row.try_get(1)?,
        name: text(row, 2)?,
        kind: match letter(row, 3)? {
            'v' => RelationKind::View,
            'm' => RelationKind::Materialized,
            'f' => RelationKind::Foreign,
            'S' => RelationKind::Sequence,
            'c' => RelationKind::Composite,
            _ => RelationKind::Table,
        },
        logged: if letter(row, 4)? == 'u' { Logged::Unlogged } else { Logged::Logged },
        row_security: if row.try_get(5)? { RowSecurity::On } else { RowSecurity::Off },
    })
}

fn type_(row: &Row) -> Result<Type, Error> {
    Ok(Type {
        oid: row.try_get(0)?,
        schema: row.try_get(1)?,
        name: text(row, 2)?,
        element: row.try_get(3)?,
        relation: row.try_get(4)?,
    })
}

fn operator(row: &Row) -> Result<Operator, Error> {
    Ok(Operator {
        oid: row.try_get(0)?,
        schema: row.try_get(1)?,
        name: text(row, 2)?,
        function: row.try_get(3)?,
    })
}

fn part(row: &Row) -> Result<Option<Part>, Error> {
    let Some(class) = class(row.try_get(0)?) else { return Ok(None) };
    let kind = match letter(row, 3)? {
        'v' => PartKind::View,
        'p' => PartKind::Policy,
        'w' => PartKind::WritePolicy,
        'd' => PartKind::Default,
        'c' => PartKind::Check,
        'D' => PartKind::DomainCheck,
        'i' => PartKind::Index,
        't' => PartKind::Trigger(row.try_get(4)?),
        _ => PartKind::Rule,
    };
    let object = Object::new(class, row.try_get(1)?);
    Ok(Some(Part { object, kind, owner: row.try_get(2)?, tree: tree(row, 5)? }))
}

fn use_(row: &Row) -> Result<Option<Use>, Error> {
    let (Some(by), Some(what)) = (class(row.try_get(0)?), class(row.try_get(2)?)) else { return Ok(None) };
    let (by, what) = (Object::new(by, row.try_get(1)?), Object::new(what, row.try_get(3)?));
    Ok(Some(Use { by, what }))
}

fn class(oid: u32) -> Option<Class> {
    Some(match oid {
        1247 => Class::Type,
        1255 => Class::Function,
        1259 => Class::Relation,
        2604 => Class::Default,
        2606 => Class::Constraint,
        2617 => Class::Operator,
        2618 => Class::Rule,
        2620 => Class::Trigger,
        3256 => Class::Policy,
        _ => return None,
    })
}

/// Settings of `search_path`.
pub(super) fn paths(rows: &[Row]) -> Result<Vec<PathSetting>, Error> {
    let mut paths = all(rows, |row| {
        let here: bool = row.try_get(0)?;
        let isolation: bool = row.try_get(3)?;
        let of = if isolation { Of::Isolation } else { Of::Path };
        Ok(PathSetting { of, role: optional(row, 1)?, here: here.into(), value: text(row, 2)? })
    })?;
    paths.sort();
    Ok(paths)
}

/// The name of the user who asks, and its `search_path` and isolation level.
pub(super) fn own_path(row: &Row) -> Result<(Box<str>, Seen), Error> {
    Ok((text(row, 0)?, Seen { path: text(row, 1)?, isolation: text(row, 2)? }))
}

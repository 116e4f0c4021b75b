//! The catalog from facts written down by hand. What real databases say is in `tests/cluster_catalog.rs`.

use super::*;
use std::sync::Arc;

const PUBLIC: u32 = 2200;

fn function(oid: u32, name: &str, volatility: Volatility) -> Function {
    Function {
        oid,
        schema: PUBLIC,
        name: name.into(),
        arguments: Parameters { types: "integer".into(), least: 1, most: Some(1), of_row: false },
        volatility,
        language: Language::PlPgSql,
        source: "begin return 1; end".into(),
        tree: Tree::default(),
        body: Body::Source,
        extension: None,
        comment: None,
    }
}

fn table(oid: u32, name: &str) -> Relation {
    Relation {
        oid,
        schema: PUBLIC,
        name: name.into(),
        kind: RelationKind::Table,
        logged: Logged::Logged,
        row_security: RowSecurity::Off,
    }
}

fn facts() -> Facts {
    let builtin = |oid, name: &str, volatility| Builtin { oid, name: name.into(), volatility };
    let system = System {
        functions: vec![
            builtin(1, "nextval", Volatility::Volatile),
            builtin(2, "lower", Volatility::Immutable),
            builtin(3, "not_on_any_list", Volatility::Stable),
            builtin(4, "not_on_any_list_either", Volatility::Immutable),
        ],
        types: vec![(25, "text".into())],
        ..System::default()
    };
    Facts {
        system: Arc::new(system.sorted()),
        schemas: vec![
            Schema { oid: PG_CATALOG, name: "pg_catalog".into() },
            Schema { oid: PUBLIC, name: "public".into() },
        ],
        functions: vec![
            function(20_001, "volatile", Volatility::Volatile),
            function(20_002, "stable", Volatility::Stable),
        ],
        relations: vec![table(20_003, "orders"), table(20_004, "lines")],
        ..Facts::default()
    }
}

fn name(text: &str) -> Name {
    match text.split_once('.') {
        Some((schema, name)) => Name { schema: Some(schema.into()), name: name.into() },
        None => Name { schema: None, name: text.into() },
    }
}

fn path() -> SearchPath {
    SearchPath::parse("public", "app")
}

fn call(catalog: &Catalog, function: &str) -> Option<String> {
    let effect = catalog.call(&path(), &name(function), Arguments::Exactly(1));
    effect.blame.as_ref().map(ToString::to_string)
}

#[test]
fn nothing_is_known_at_first() {
    let catalog = Catalog::nothing();
    assert_eq!(call(&catalog, "lower"), None, "the lists are built in");
    assert_eq!(call(&catalog, "nextval").as_deref(), Some("function nextval: it writes"));
    let unread = "the catalog, which would know function mine, has not been read";
    assert_eq!(call(&catalog, "mine").as_deref(), Some(unread));
    let read = catalog.read(&path(), &name("pg_class"));
    assert_eq!(read.blame.unwrap().why, Why::NotRead);
    assert!(read.tables == Tables::Any && read.does.contains(Does::WRITES));
    assert!(!catalog.suspects_anything() && catalog.implicit().is_none());
    assert_eq!((catalog.bytes(), catalog.digest(), catalog.objects()), (0, 0, 0));
}

#[test]
fn equal_facts_have_equal_digests() {
    let build = |facts| Catalog::build(facts, &Vouched::default());
    let mut mixed = facts();
    mixed.functions.reverse();
    mixed.relations.reverse();
    mixed.schemas.reverse();
    assert_eq!(build(facts()).digest(), build(mixed).digest());
    let mut renamed = facts();
    renamed.relations[0].name = "order".into();
    assert_ne!(build(facts()).digest(), build(renamed).digest());
}

#[test]
fn rules_of_the_configuration_win() {
    let list = |patterns: &[&str]| patterns.iter().map(|pattern| Box::from(*pattern)).collect();
    let vouched = Vouched {
        functions: Lists { read: list(&["public.vol*", "nextval"]), primary: list(&["stable", "lower"]) },
        tables: Lists { read: Vec::new(), primary: list(&["public.orders"]) },
    };
    let catalog = Catalog::build(facts(), &vouched);
    let rule = |object: &str| Some(format!("{object} belongs on the primary by a rule of the configuration"));
    assert_eq!(call(&catalog, "volatile"), None);
    assert_eq!(call(&catalog, "nextval"), None);
    assert_eq!(call(&catalog, "stable"), rule("function public.stable(integer)"));
    assert_eq!(call(&catalog, "lower"), rule("function lower"));
    let read = |relation: &str| catalog.read(&path(), &name(relation)).blame.map(|blame| blame.to_string());
    assert_eq!(read("orders"), rule("table public.orders"));
    assert_eq!(read("lines"), None);
}

#[test]
fn functions_of_the_server_that_no_list_has_are_judged_by_their_declaration() {
    let catalog = Catalog::build(facts(), &Vouched::default());
    assert_eq!(
        call(&catalog, "not_on_any_list").as_deref(),
        Some("function not_on_any_list: it is volatile")
    );
    assert_eq!(call(&catalog, "not_on_any_list_either"), None);
    assert_eq!(call(&catalog, "text"), None, "a cast");
    assert_eq!(call(&catalog, "public.text").as_deref(), Some("function public.text is not in the catalog"));
}

#[test]
fn implicit_casts_concern_every_statement() {
    let mut with_cast = facts();
    with_cast.casts.push(Cast { target: 25, function: 20_001, implicit: true });
    let catalog = Catalog::build(with_cast, &Vouched::default());
    let blame = catalog.implicit().unwrap().blame.as_ref().unwrap();
    assert_eq!(blame.to_string(), "function public.volatile(integer) is VOLATILE");
    assert!(catalog.suspects_anything());
    let mut harmless = facts();
    harmless.casts.push(Cast { target: 25, function: 20_002, implicit: true });
    let catalog = Catalog::build(harmless, &Vouched::default());
    let implicit = catalog.implicit().unwrap();
    assert_eq!((&implicit.blame, &implicit.tables), (&None, &Tables::Any), "it may read tables");
}

#[test]
fn tables_have_names_for_people() {
    let catalog = Catalog::build(facts(), &Vouched::default());
    assert_eq!(catalog.table_name(20_003), Some("public.orders"));
    assert_eq!(catalog.table_name(1), None);
}

#[test]
fn views_and_functions_that_use_each_other_have_an_end() {
    let mut round = facts();
    let view = Relation { kind: RelationKind::View, ..table(20_005, "view") };
    round.relations.push(view);
    let mut parsed = function(20_006, "parsed", Volatility::Stable);
    (parsed.language, parsed.body) = (Language::Sql, Body::Parsed);
    round.functions.push(parsed);
    let rule = Object::new(Class::Rule, 20_007);
    round.parts.push(Part { object: rule, kind: PartKind::View, owner: 20_005, tree: Tree::default() });
    let (view, parsed) = (Object::new(Class::Relation, 20_005), Object::new(Class::Function, 20_006));
    round.uses = vec![Use { by: rule, what: parsed }, Use { by: parsed, what: view }];
    let catalog = Catalog::build(round, &Vouched::default());
    let read = catalog.read(&path(), &name("view"));
    assert_eq!((read.blame, read.tables), (None, Tables::Any));
}

#[test]
fn what_set_config_sets_is_read_in_the_statement() {
    for catalog in [Catalog::nothing(), Catalog::build(facts(), &Vouched::default())] {
        let does = |function| catalog.call(&path(), &name(function), Arguments::Exactly(3)).does;
        assert!(!does("set_config").contains(Does::LEAVES_ANYTHING));
        assert!(!does("pg_catalog.set_config").contains(Does::LEAVES_ANYTHING));
        assert!(does("dblink").contains(Does::LEAVES_ANYTHING));
    }
}

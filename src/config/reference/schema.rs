//! `config/tidegate.schema.json`: what an editor needs to complete and check the file.
//! <https://json-schema.org/draft-07>, which is what editors for TOML know.

use serde_json::{Map, Value, json};

use super::{Form, Section, Setting, settings};

const TIME: &str = "^[0-9]+ *([mM][sS]|[sS]|[mM]|[mM][iI][nN]|[hH])?$";
/// Seconds of a day, the longest time there is.
const DAY: u32 = 86_400;

/// The schema, as it is printed.
pub fn schema() -> String {
    let all = settings();
    let of = |section: Section| {
        let properties =
            all.iter().filter(|s| s.section == section).map(|s| (s.name.to_owned(), property(s)));
        properties.collect::<Map<String, Value>>()
    };
    let object = |properties: Map<String, Value>| json!({ "type": "object", "additionalProperties": false, "properties": properties });
    let named = |inner: Value| json!({ "type": "object", "additionalProperties": inner });
    let mut database = of(Section::Database);
    database.insert("user".to_owned(), named(reference("user")));
    database.insert("rule".to_owned(), json!({ "type": "array", "items": reference("rule") }));
    let mut top = of(Section::Proxy);
    top.insert("database".to_owned(), named(reference("database")));
    top.insert("sni".to_owned(), named(reference("sni")));
    top.insert(
        "peers".to_owned(),
        json!({ "type": "object", "additionalProperties": false, "patternProperties": { "^[1-9][0-9]{0,3}$": { "type": "string" } } }),
    );
    let mut node = object(of(Section::Node));
    node["required"] = json!(["address"]);
    let mut schema = object(top);
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!("Settings of Tidegate");
    schema["definitions"] = json!({
        "database": object(database),
        "user": object(of(Section::User)),
        "rule": object(of(Section::Rule)),
        "sni": object(of(Section::Sni)),
        "node": node,
        "time": {
            "anyOf": [
                { "type": "string", "pattern": TIME },
                { "type": "integer", "minimum": 0, "maximum": DAY },
            ]
        },
    });
    format!("{schema:#}\n")
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/definitions/{name}") })
}

fn property(setting: &Setting) -> Value {
    let mut shape = shape(setting.form);
    shape["description"] = json!(setting.meaning);
    if let Some(default) = setting.default.and_then(value) {
        shape["default"] = default;
    }
    if let Some(example) = setting.example.and_then(value).filter(|_| setting.form != Form::Secret) {
        shape["examples"] = json!([example]);
    }
    shape
}

fn shape(form: Form) -> Value {
    let text = json!({ "type": "string" });
    match form {
        Form::Text | Form::Path | Form::Secret | Form::Server | Form::Numbered | Form::AddressOrOff => text,
        Form::Url => json!({ "type": "string", "pattern": "^(postgres|postgresql|patroni)://" }),
        Form::Texts | Form::Listen => json!({ "anyOf": [text, { "type": "array", "items": text }] }),
        Form::Switch => json!({ "anyOf": [{ "type": "boolean" }, { "enum": ["true", "false"] }] }),
        Form::OneOrZero => json!({ "enum": [1, 0, "1", "0"] }),
        Form::Whole(least, most) => json!({ "anyOf": whole(least, most) }),
        Form::WholeOrOff(least, most) => {
            let mut shapes = whole(least, most);
            shapes.push(json!({ "enum": ["off", "0", 0] }));
            json!({ "anyOf": shapes })
        }
        Form::Share => json!({
            "anyOf": [{ "type": "number", "minimum": 0, "maximum": 1 }, { "type": "string", "pattern": "^[0-9.]+$" }]
        }),
        Form::CollectorOrOff => json!({ "type": "string", "pattern": "^(http://.+|off)$" }),
        Form::Time => json!({ "anyOf": [reference("time")] }),
        Form::TimeOrOff => json!({ "anyOf": [reference("time"), { "enum": ["off"] }] }),
        Form::Word(words) => word(words),
        Form::Words(words) => json!({ "anyOf": [text, { "type": "array", "items": { "enum": words } }] }),
        Form::Servers => json!({ "type": "array", "items": { "anyOf": [text, reference("node")] } }),
    }
}

fn whole(least: u32, most: u32) -> Vec<Value> {
    vec![
        json!({ "type": "integer", "minimum": least, "maximum": most }),
        json!({ "type": "string", "pattern": "^[0-9]+$" }),
    ]
}

/// Words, of which some have a time in brackets.
fn word(words: &[&str]) -> Value {
    let (plain, timed): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| !word.contains('('));
    let plain = json!({ "enum": plain });
    if timed.is_empty() {
        return plain;
    }
    let mut shapes = vec![plain];
    for name in timed.iter().filter_map(|word| word.split('(').next()) {
        let pattern = format!("^{name} *\\( *{} *\\)$", TIME.trim_matches(['^', '$']));
        shapes.push(json!({ "type": "string", "pattern": pattern }));
    }
    json!({ "anyOf": shapes })
}

/// A value of the file as one of JSON; `None` for what is no plain one.
fn value(text: &str) -> Option<Value> {
    let written = format!("value = {text}");
    let table = toml::de::DeTable::parse(&written).ok()?;
    plain(table.get_ref().get("value")?.get_ref())
}

fn plain(value: &toml::de::DeValue<'_>) -> Option<Value> {
    use toml::de::DeValue::{Array, Boolean, Integer, String};
    Some(match value {
        String(text) => json!(text),
        Boolean(switch) => json!(switch),
        Integer(number) => json!(number.to_string().parse::<i64>().ok()?),
        Array(items) => json!(items.iter().map(|item| plain(item.get_ref())).collect::<Option<Vec<_>>>()?),
        _ => return None,
    })
}

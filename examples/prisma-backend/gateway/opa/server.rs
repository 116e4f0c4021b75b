//! The part of [OPA's REST API](https://www.openpolicyagent.org/docs/rest-api#get-a-document-with-input) that the backend
//! asks, answered by regorus, a Rego engine that comes from crates.io: `POST /v1/data/PATH` with `{"input": …}`, and
//! `GET /health`. In production this is OPA itself.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use regorus::{Engine, Value};
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;

type Shared = Arc<Mutex<Engine>>;
type Answer = (StatusCode, String);

/// Answers until the listener fails. The policies are all `.rego` files of `folder`, read once.
pub async fn serve(listener: TcpListener, folder: &Path) -> io::Result<()> {
    let engine = engine(folder).map_err(io::Error::other)?;
    let router = Router::new()
        .route("/health", get(async || "{}"))
        .route("/v1/data/{*path}", post(decide))
        .with_state(Arc::new(Mutex::new(engine)));
    axum::serve(listener, router).await
}

fn engine(folder: &Path) -> Result<Engine, String> {
    let mut engine = Engine::new();
    for entry in fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))? {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.extension().is_some_and(|extension| extension == "rego") {
            engine.add_policy_from_file(&path).map_err(|error| error.to_string())?;
        }
    }
    Ok(engine)
}

async fn decide(State(shared): State<Shared>, UrlPath(path): UrlPath<String>, body: Bytes) -> Answer {
    let Ok(mut question) = serde_json::from_slice::<Json>(&body) else {
        return (StatusCode::BAD_REQUEST, json!({ "code": "invalid_parameter" }).to_string());
    };
    // Each question gets an engine of its own, with the policies that are parsed already: no input outlives its answer.
    let mut engine = shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match evaluate(&mut engine, &path, &question["input"].take()) {
        Ok(body) => (StatusCode::OK, body),
        Err(error) => {
            let body = json!({ "code": "internal_error", "message": error });
            (StatusCode::INTERNAL_SERVER_ERROR, body.to_string())
        }
    }
}

/// `{"result": …}`, or `{}` where the rule is undefined, as OPA answers.
fn evaluate(engine: &mut Engine, path: &str, input: &Json) -> Result<String, String> {
    engine.set_input(Value::from_json_str(&input.to_string()).map_err(|error| error.to_string())?);
    let rule = format!("data.{}", path.replace('/', "."));
    match engine.eval_rule(rule).map_err(|error| error.to_string())? {
        Value::Undefined => Ok("{}".to_owned()),
        value => {
            let value = value.to_json_str().map_err(|error| error.to_string())?;
            Ok(format!("{{\"result\":{value}}}"))
        }
    }
}

//! The two documents as judges of what a gateway says.

use std::cell::RefCell;
use std::collections::BTreeSet;

use jsonschema::{Draft, Validator};
use redcast_e2e::Response;
use serde_json::{Map, Value, json};

/// `/openapi.json`, whose schemas are of draft 2020-12.
pub(crate) struct OpenApi(Value);

/// `/asyncapi.json`, whose schemas are of draft 7.
pub(crate) struct AsyncApi {
    document: Value,
    heard: RefCell<BTreeSet<String>>,
}

impl OpenApi {
    pub(crate) fn new(mut document: Value) -> Self {
        close(&mut document["components"]["schemas"]);
        Self(document)
    }

    /// Of OpenAPI, and of the gateway.
    pub(crate) fn version(&self) -> (&str, &str) {
        let text = |value: &'_ Value| value.as_str().map(str::len).unwrap_or_default();
        assert!(text(&self.0["openapi"]) > 0 && text(&self.0["info"]["version"]) > 0);
        (self.0["openapi"].as_str().unwrap(), self.0["info"]["version"].as_str().unwrap())
    }

    /// Fails the test if this answer to an operation is not as described.
    pub(crate) fn judge(&self, method: &str, path: &str, answer: &Response) {
        assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
        let body = serde_json::from_str(&answer.body).expect("JSON");
        let faults = self.faults(method, path, answer.status, &body);
        assert!(faults.is_empty(), "{method} {path}: {} {body}: {faults:#?}", answer.status);
    }

    /// Fails the test if this answer without a body is not described as one.
    pub(crate) fn judge_bodiless(&self, method: &str, path: &str, answer: &Response) {
        let response = &self.0["paths"][path][method]["responses"][answer.status.to_string()];
        assert!(response["description"].is_string(), "{method} {path}: {answer:?}");
        assert!(response["content"].is_null() && answer.body.is_empty(), "{answer:?}");
        for (name, _) in response["headers"].as_object().into_iter().flatten() {
            assert!(answer.header(&name.to_lowercase()).is_some(), "{name}: {answer:?}");
        }
    }

    /// What is wrong with an answer.
    pub(crate) fn faults(
        &self,
        method: &str,
        path: &str,
        status: u16,
        body: &Value,
    ) -> Vec<String> {
        let response = &self.0["paths"][path][method]["responses"][status.to_string()];
        let schema = &response["content"]["application/json"]["schema"];
        if schema.is_null() {
            return vec![format!("no schema for {status}")];
        }
        faults(&self.0, schema, Draft::Draft202012, body)
    }
}

impl AsyncApi {
    pub(crate) fn new(mut document: Value) -> Self {
        close(&mut document["components"]["schemas"]);
        Self { document, heard: RefCell::default() }
    }

    /// A parameter of a channel's address.
    pub(crate) fn parameter(&self, channel: &str, name: &str) -> &Value {
        &self.document["channels"][channel]["parameters"][name]
    }

    /// Fails the test if this message is not as described.
    pub(crate) fn judge(&self, message: &str, payload: &Value) {
        let faults = self.faults(message, payload);
        assert!(faults.is_empty(), "{message} {payload}: {faults:#?}");
    }

    /// Judges what a gateway said by its `type`, and remembers that type.
    pub(crate) fn judge_reply(&self, frame: &Value) {
        let kind = frame["type"].as_str().unwrap_or_else(|| panic!("no type: {frame}"));
        let mut letters = kind.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        let message: String = first.into_iter().chain(letters).collect();
        self.judge(&message, frame);
        self.heard.borrow_mut().insert(kind.to_owned());
    }

    /// Judges the frame of a snapshot, but for the members that its configuration has
    /// `merged` in; its type.
    pub(crate) fn judge_snapshot(&self, mut frame: Value, merged: &[&str]) -> String {
        for member in merged {
            let value = frame.as_object_mut().and_then(|members| members.remove(*member));
            assert!(value.is_some(), "no {member}: {frame}");
        }
        self.judge("Snapshot", &frame);
        frame["type"].as_str().expect("a type").to_owned()
    }

    /// Every example of a message, with the message's name.
    pub(crate) fn examples(&self) -> Vec<(&str, &Value)> {
        let messages = self.document["components"]["messages"].as_object().expect("messages");
        let examples = messages.iter().flat_map(|(name, message)| {
            let examples = message["examples"].as_array().into_iter().flatten();
            examples.map(|example| (name.as_str(), &example["payload"]))
        });
        examples.collect()
    }

    /// The types of all replies that were judged.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.borrow().iter().cloned().collect()
    }

    /// What is wrong with a message.
    pub(crate) fn faults(&self, message: &str, payload: &Value) -> Vec<String> {
        let schema = &self.document["components"]["messages"][message]["payload"];
        if schema.is_null() {
            return vec![format!("no message {message}")];
        }
        faults(&self.document, schema, Draft::Draft7, payload)
    }
}

/// Judges by a schema of a document, in which its references are found.
fn faults(document: &Value, schema: &Value, draft: Draft, instance: &Value) -> Vec<String> {
    let whole = json!({ "allOf": [schema], "components": &document["components"] });
    let validator: Validator =
        jsonschema::options().with_draft(draft).build(&whole).expect("the schema is one");
    let errors = validator.iter_errors(instance);
    errors.map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// From now on a member that is not named is a fault: clients must bear one, documents
/// must not leave one out.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(entries) => {
            if entries.get("properties").is_some_and(Value::is_object) {
                closed(entries);
            }
            entries.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

fn closed(schema: &mut Map<String, Value>) {
    schema.entry("additionalProperties").or_insert(json!(false));
}

//! A tool that is asked in the Job: name, arguments and bounds of a call go there, what it found comes back. What a
//! model is told about the tool is this process's own.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value;

use super::Session;
use crate::llm::ToolSchema;
use crate::tool::{Bounds, Found, Refusal, Tool};

pub struct Relayed {
    tool: Arc<dyn Tool>,
    session: Arc<Session>,
}

impl Relayed {
    pub fn new(tool: Arc<dyn Tool>, session: &Arc<Session>) -> Self {
        Self { tool, session: Arc::clone(session) }
    }
}

impl Tool for Relayed {
    fn schema(&self) -> &ToolSchema {
        self.tool.schema()
    }

    fn group(&self) -> &str {
        self.tool.group()
    }

    fn call<'a>(&'a self, arguments: &'a Value, bounds: &'a Bounds) -> BoxFuture<'a, Result<Found, Refusal>> {
        Box::pin(self.session.call(&self.tool.schema().name, arguments, bounds))
    }
}

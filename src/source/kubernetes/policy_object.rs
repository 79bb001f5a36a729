//! The kind InvestigationPolicy as the API server knows it: what a team writes, what whodunit writes back, and the
//! definition of both with everything that a schema and CEL can refuse. It holds no policy to anything: `policy` does.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::{CustomResource, CustomResourceExt, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Entries of one list.
pub const MAX_ENTRIES: usize = 8;
/// Length of a glob, and of the name of a label, a model or a channel.
pub const MAX_TEXT: usize = 128;
/// The longest wait of an incident for its investigation, in seconds.
pub const MAX_SETTLE_SECS: i64 = 3600;
/// The longest time for which an alert that goes on asks for no other look, in seconds.
pub const MAX_COOLDOWN_SECS: i64 = 7 * 24 * 3600;
/// Each severity once.
const MAX_SEVERITIES: usize = 4;
/// Conditions, ours and others'.
const MAX_CONDITIONS: usize = 8;

/// What is done about the alerts of the namespace in which this object is. It can only narrow what whodunit's own
/// settings allow there.
#[derive(CustomResource, KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "whodunit.dev",
    version = "v1alpha1",
    kind = "InvestigationPolicy",
    namespaced,
    status = "InvestigationPolicyStatus",
    derive = "PartialEq",
    shortname = "invpol",
    category = "whodunit",
    doc = "What whodunit does about the alerts of a namespace. Of the policies in a namespace the first that fits an alert holds; it can only narrow what whodunit's own settings allow.",
    printcolumn = r#"{"name":"Order","type":"integer","jsonPath":".spec.order","priority":1}"#,
    printcolumn = r#"{"name":"Investigate","type":"string","jsonPath":".spec.investigate"}"#,
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type=='Accepted')].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type=='Accepted')].reason"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[x_kube(
    validation = (
        "!has(self.investigate) || self.investigate == 'Always' || !(has(self.budget) || has(self.usdPerDay) || (has(self.models) && size(self.models) > 0))",
        "only `investigate: Always` asks a model: leave budget, models and usdPerDay out"
    ),
    validation = (
        "!has(self.investigate) || self.investigate != 'Never' || !(has(self.settleSecs) || has(self.cooldownSecs) || has(self.channel))",
        "what is never investigated is told nowhere: leave settleSecs, cooldownSecs and channel out"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct InvestigationPolicySpec {
    /// Lower ones come first; those of the same order by name.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000))]
    pub order: i32,
    /// Which alerts of the namespace it is about. Each given key has to hold; lists are alternatives. Left out: all.
    #[serde(rename = "match", default, skip_serializing_if = "MatchSpec::is_empty")]
    pub matches: MatchSpec,
    /// Always: signatures, then a model for what they do not explain. SignaturesOnly: no model is asked. Never: the
    /// alert is stored, and that is all.
    #[serde(default)]
    pub investigate: InvestigateSpec,
    /// Wait between an incident's first alert and its investigation, in place of the settings'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = MAX_SETTLE_SECS))]
    pub settle_secs: Option<i64>,
    /// An alert that goes on asks for another look after this. Less than the settings' counts as theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = MAX_COOLDOWN_SECS))]
    pub cooldown_secs: Option<i64>,
    /// Limits of one run with a model. More than the settings' counts as theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetSpec>,
    /// The only models that may be asked, by their names in the settings, in this order. Empty: all that the settings
    /// allow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ENTRIES), inner(length(min = 1, max = MAX_TEXT)))]
    pub models: Vec<String>,
    /// Where incidents are told, if the settings allow this channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_TEXT), regex(pattern = r"^\S+$"))]
    pub channel: Option<String>,
    /// Dollars of all runs under this policy within 24 hours. The settings' limits hold beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub usd_per_day: Option<f64>,
}

/// Which alerts. The globs are those of the settings: `*`, `?`, `[ab]`, `{a,b}`.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MatchSpec {
    /// Globs for the alert's name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ENTRIES), inner(length(min = 1, max = MAX_TEXT)))]
    pub alerts: Vec<String>,
    /// Names of labels and globs for their values. They and `alerts` have to hold for one and the same alert.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels")]
    #[x_kube(validation = (
        "self.all(name, size(name) <= 128 && name.matches('^[a-zA-Z_][a-zA-Z0-9_]*$'))",
        "a label's name has letters, digits and underscores, and begins with no digit"
    ))]
    pub labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_SEVERITIES))]
    pub severities: Vec<SeveritySpec>,
    /// Parts of the week.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ENTRIES))]
    pub times: Vec<TimesSpec>,
}

impl MatchSpec {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How much is done about an alert.
#[derive(JsonSchema, Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum InvestigateSpec {
    #[default]
    Always,
    SignaturesOnly,
    Never,
}

#[derive(JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SeveritySpec {
    Critical,
    Warning,
    Info,
    None,
}

/// A part of the week; `from` after `to` goes over midnight, and belongs to the day on which it begins.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = (
    "(has(self.from) ? self.from : '00:00') != (has(self.to) ? self.to : '24:00')",
    "from and to are the same time"
))]
#[serde(rename_all = "camelCase")]
pub struct TimesSpec {
    /// An IANA name, as in Europe/Berlin. Left out: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = r"^[A-Za-z][A-Za-z0-9_+/-]*$"))]
    pub zone: Option<String>,
    /// mon, tue, … or ranges as in mon-fri. Left out: every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 7),
        inner(
            length(max = 7),
            regex(pattern = r"^(mon|tue|wed|thu|fri|sat|sun)(-(mon|tue|wed|thu|fri|sat|sun))?$")
        )
    )]
    pub days: Vec<String>,
    /// HH:MM. Left out: the day's beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 5), regex(pattern = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub from: Option<String>,
    /// HH:MM. Left out: the day's end, which is 24:00.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 5), regex(pattern = r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"))]
    pub to: Option<String>,
}

/// Limits of one run.
#[derive(JsonSchema, Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("minProperties" = 1))]
pub struct BudgetSpec {
    /// Turns of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub steps: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub seconds: Option<i64>,
    /// Input and output over all turns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub tokens: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub usd: Option<f64>,
}

/// What became of the policy; written by whodunit.
#[derive(JsonSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InvestigationPolicyStatus {
    /// Accepted: it holds. Reached: there are alerts that it can get.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = MAX_CONDITIONS),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
}

/// As in all of Kubernetes.
#[derive(JsonSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    #[serde(rename = "type")]
    #[schemars(length(max = 316))]
    pub kind: String,
    /// True, False or Unknown.
    #[schemars(regex(pattern = "^(True|False|Unknown)$"))]
    pub status: String,
    /// The generation of the object that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// When `status` became what it is.
    #[schemars(extend("format" = "date-time"))]
    pub last_transition_time: String,
    /// One word for machines.
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"))]
    pub reason: String,
    #[schemars(length(max = 32768))]
    pub message: String,
}

/// An object as it was read, before anybody judged what its team wrote.
#[derive(Debug, Clone)]
pub struct PolicyObject {
    pub namespace: String,
    pub name: String,
    /// Of this object; another one of the same name has another.
    pub uid: String,
    /// Counts the changes of the spec.
    pub generation: i64,
    pub spec: serde_json::Value,
    pub resource_version: String,
    pub conditions: Vec<Condition>,
}

impl PolicyObject {
    /// Its team wrote nothing else since.
    pub fn is_as(&self, before: &Self) -> bool {
        (&self.name, &self.uid, self.generation, &self.spec)
            == (&before.name, &before.uid, before.generation, &before.spec)
    }
}

/// Names are judged by CEL: a structural schema has no word for them.
fn labels(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": MAX_ENTRIES,
        "additionalProperties": {"type": "string", "minLength": 1, "maxLength": MAX_TEXT},
    })
}

/// What a cluster has to know before a team can write such an object. Nothing in it is nullable: what is null is as if
/// it were left out, for the API server's rules as well.
pub fn definition() -> CustomResourceDefinition {
    let mut definition = InvestigationPolicy::crd();
    for version in &mut definition.spec.versions {
        let schema = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
        schema.into_iter().for_each(without_null);
    }
    definition
}

fn without_null(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    schema.properties.iter_mut().flat_map(BTreeMap::values_mut).for_each(without_null);
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        without_null(items);
    }
}

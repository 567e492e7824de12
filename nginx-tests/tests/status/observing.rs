//! docs/observing.md and what belongs to it, against what is answered.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use nginx_tests::client::get;
use nginx_tests::{EchoBackend, Nginx};
use serde_json::Value;
use websocket_protocol::{Cause, Fault, Status};

use crate::case::server;
use crate::metrics::{promtool, run};

const PAGE: &str = include_str!("../../../docs/observing.md");
const SCHEMA: &str = include_str!("../../../docs/status.schema.json");
const ALERTS: &str = include_str!("../../../docs/observing/alerts.yml");
const DASHBOARD: &str = include_str!("../../../docs/observing/grafana.json");

/// The names of all metrics, as they are said to Prometheus.
fn families(nginx: &Nginx) -> BTreeSet<String> {
    let text = get(nginx.port(), "/metrics").text();
    text.lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| line.split(' ').next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn every_metric_is_described_and_no_other() {
    let backend = EchoBackend::start();
    let nginx = server(&backend).start();
    let described: BTreeSet<String> = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("| `nginx_websocket_"))
        .map(|rest| {
            format!(
                "nginx_websocket_{}",
                rest.split('`').next().unwrap_or_default()
            )
        })
        .collect();
    assert_eq!(described, families(&nginx));
}

#[test]
fn every_key_is_described() {
    let schema: Value = serde_json::from_str(SCHEMA).expect("JSON");
    let mut keys = BTreeSet::new();
    collect(&schema, &mut keys);
    assert!(keys.contains("waiting_for_client"), "{keys:?}");
    for key in keys {
        let described = ["`", ".", "[]."].iter().any(|before| {
            ["`", ".", "[]"]
                .iter()
                .any(|after| PAGE.contains(&format!("{before}{key}{after}")))
        });
        assert!(described, "{key} is not in docs/observing.md");
    }
}

/// The names of all properties of a schema.
fn collect(schema: &Value, keys: &mut BTreeSet<String>) {
    if let Some(properties) = schema["properties"].as_object() {
        keys.extend(properties.keys().cloned());
    }
    for part in schema.as_object().into_iter().flatten() {
        collect(part.1, keys);
    }
}

#[test]
fn rules_and_dashboard_ask_for_metrics_that_there_are() {
    let backend = EchoBackend::start();
    let nginx = server(&backend).start();
    let families = families(&nginx);
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    assert!(panels.len() >= 10);
    let mut queries: Vec<String> = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().expect("targets"))
        .map(|target| target["expr"].as_str().expect("a query").to_owned())
        .collect();
    queries.push(dashboard["templating"].to_string());
    queries.push(ALERTS.to_owned());
    assert_eq!(ALERTS.matches("- alert:").count(), 5);
    let mut count = 0;
    for name in queries.iter().flat_map(|query| names(query)) {
        let family = name.strip_suffix("_bucket").unwrap_or(&name);
        assert!(families.contains(family), "{name} is no metric");
        count += 1;
    }
    assert!(count > 20, "{count}");
}

/// Of what can fail once an upstream is asked. An operator is not to be woken for a client.
#[test]
fn an_alert_leaves_out_the_causes_that_are_a_client_s_fault() {
    let (_, rest) = ALERTS.split_once("cause!~\"").expect("a matcher");
    let (matcher, _) = rest.split_once('"').expect("its end");
    let is_left_out = |name: &str| {
        matcher.split('|').any(|one| match one.split_once(".*") {
            Some((start, end)) => name.starts_with(start) && name.ends_with(end),
            None => name == one,
        })
    };
    let is_nginx_s = |cause: &Cause| {
        cause.status() == Status::AsNginx || matches!(cause, Cause::OriginNotAllowed)
    };
    for cause in Cause::ALL.iter().filter(|cause| !is_nginx_s(cause)) {
        let is_client_s = cause.fault() == Fault::Client;
        assert_eq!(is_left_out(cause.name()), is_client_s, "{cause}");
    }
}

/// The names of metrics in a query.
fn names(query: &str) -> Vec<String> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    query
        .split(|c| !is_of_name(c))
        .filter(|word| word.starts_with("nginx_websocket_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn prometheus_takes_rules_queries_and_configuration() {
    let Some(promtool) = promtool() else {
        return;
    };
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/observing");
    let check = |what: &str, file: &str| {
        let mut command = Command::new(&promtool);
        run(
            command.current_dir(&directory).args(["check", what, file]),
            b"",
        )
    };
    assert!(check("rules", "alerts.yml").contains("5 rules found"));
    check("config", "prometheus.yml");
    // The dashboard's queries, as rules: with what Grafana puts in place of its variables.
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let targets = dashboard["panels"].as_array().expect("panels").iter();
    let rules: String = targets
        .flat_map(|panel| panel["targets"].as_array().expect("targets"))
        .map(|target| target["expr"].as_str().expect("a query"))
        .map(|query| {
            query
                .replace("$__rate_interval", "5m")
                .replace("$instance", ".*")
        })
        .enumerate()
        .map(|(at, query)| {
            let query = Value::from(query);
            format!("      - {{record: 'query:{at}', expr: {query}}}\n")
        })
        .collect();
    let file = tempfile::NamedTempFile::with_suffix(".yml").expect("a file");
    let text = format!("groups:\n  - name: dashboard\n    rules:\n{rules}");
    std::fs::write(file.path(), text).expect("a file");
    check("rules", file.path().to_str().expect("a path"));
}

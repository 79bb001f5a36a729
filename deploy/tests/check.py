"""What scripts/deploy-check runs. Exit code 0: nothing wrong with what could be checked; what could not is listed."""

import copy
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import kubernetes_validate
import yaml

from objects import faults_of

KUBERNETES = "1.36"
CHART = "deploy/helm/whodunit"
KUSTOMIZE = "deploy/kustomize"
OPERATOR = "monitoring.coreos.com/v1"
DISCOVERY = "tests/fixtures/recording/kubernetes/discovery"
VALUES = sorted(glob.glob("deploy/tests/values/*.yaml") + glob.glob("deploy/examples/values-*.yaml"))
# Values that the schema must refuse, each with a word of the reason.
REFUSED = {
    "an unknown value": {"replicaCount": 2},
    "a token in the settings": {"settings": {"slack": {"token": "xoxb-1"}}},
    "a token of the API in the settings": {"settings": {"api": {"tokens": ["x"]}}},
    "a database password in the settings": {"settings": {"database": {"url": "postgres://u:p@h/d"}}},
    "a model's key in the settings": {"settings": {"models": [{"name": "a", "api_key": "x"}]}},
    "a cluster's token in the settings": {"settings": {"clusters": [{"name": "a", "kubernetes": {"token": "x"}}]}},
    "a source's password in the settings": {"settings": {"loki": {"basic": {"username": "a", "password": "x"}}}},
    "a webhook's secret in the settings": {"settings": {"outlets": [{"name": "a", "kind": "webhook", "url": "https://x", "secrets": ["x"]}]}},
    "the address of a Teams workflow in the settings": {"settings": {"outlets": [{"name": "a", "kind": "teams", "url": "https://x"}]}},
    "an unknown room of settings": {"settings": {"slak": {}}},
    "no replicas": {"replicas": 0},
    "namespaced without namespaces": {"rbac": {"mode": "namespaced"}},
    "an unknown mode": {"rbac": {"mode": "admin"}},
    "Jobs beside whodunit's own Secret": {"executor": {"enabled": True, "namespaces": ["default"]}},
    "Jobs without namespaces": {"executor": {"enabled": True}},
    "a runbook that is no Markdown": {"runbooks": {"a.txt": "x"}},
}

faults, skipped, passed = [], [], []
HELM = os.environ.get("HELM_BIN") or shutil.which("helm")
KUBECTL = shutil.which("kubectl")
CACHE = os.environ["DEPLOY_CHECK_CACHE"]


def run(*command, stdin=None):
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120)


def told(what, found):
    """Notes the faults of one check, or that it passed."""
    faults.extend(f"{what}: {fault}" for fault in found)
    if not found:
        passed.append(what)


def objects_of(text):
    return [one for one in yaml.safe_load_all(text) if one]


def template(*arguments):
    """The chart's objects, in an order that does not depend on helm."""
    done = run(HELM, "template", "whodunit", CHART, "--namespace", "whodunit", "--kube-version", f"{KUBERNETES}.0", *arguments)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return sorted(objects_of(done.stdout), key=lambda one: (one["kind"], one["metadata"]["name"]))


def discovery():
    """(group, resource) → whether it has a namespace, as the recorded 1.36 API server says; metrics.k8s.io is added."""
    known = {("metrics.k8s.io", "pods"): True, ("metrics.k8s.io", "nodes"): False}
    for path in glob.glob(f"{DISCOVERY}/api*-v*.json"):
        with open(path) as file:
            listed = json.load(file)
        group = listed["groupVersion"].rpartition("/")[0]
        for resource in listed.get("resources", []):
            known[(group, resource["name"])] = resource["namespaced"]
    # Recorded without its resources, because its group has none but this.
    known.setdefault(("apiregistration.k8s.io", "apiservices"), False)
    return known


KNOWN = discovery()
# What the program creates, as a test of it wrote it down.
with open("tests/fixtures/executor/job.json") as file:
    MADE = [json.load(file)]


def schema_faults(objects):
    found = []
    for one in objects:
        name = f"{one.get('kind')} {one.get('metadata', {}).get('name')}"
        if one["apiVersion"] == OPERATOR:
            continue
        try:
            kubernetes_validate.validate(one, KUBERNETES, strict=True)
        except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
            found.append(f"{name}: {str(error).splitlines()[0]}")
    return found


def operator_faults(objects):
    """ServiceMonitor and PrometheusRule, against the schemas of their own project."""
    theirs = [one for one in objects if one["apiVersion"] == OPERATOR]
    folder = f"{CACHE}/npm/node_modules/@kubernetes-models/prometheus-operator/_schemas"
    if not theirs:
        return []
    if not shutil.which("node") or not os.path.isdir(folder):
        skip("schemas of the Prometheus operator", "no node, or its npm package could not be had")
        return []
    script = """
const fs = await import('node:fs');
const [folder, text] = [process.argv[1], fs.readFileSync(0, 'utf8')];
for (const one of JSON.parse(text)) {
  const prefix = 'ComGithubPrometheusOperatorPrometheusOperatorPkgApisMonitoringV1';
  const { validate } = await import(`file://${folder}/${prefix}${one.kind}.js`);
  if (!validate(one)) console.log(`${one.kind}: ${JSON.stringify(validate.errors)}`);
}"""
    done = run("node", "--no-warnings", "--input-type=module", "-e", script, folder, stdin=json.dumps(theirs))
    return [line for line in (done.stdout + done.stderr).splitlines() if line]


def skip(what, why):
    if (what, why) not in skipped:
        skipped.append((what, why))


def whodunit():
    """A built program, if there is one."""
    named = os.environ.get("WHODUNIT_BIN")
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    places = [named] if named else [f"{target}/release/whodunit", f"{target}/debug/whodunit"]
    return next((place for place in places if place and os.path.exists(place)), None)


def settings_faults(objects):
    """The settings that pods will start with, as the program sees them; secret files are stood in for."""
    binary = whodunit()
    if not binary:
        skip("settings through `whodunit config check`", "no built whodunit; WHODUNIT_BIN names one")
        return []
    found = []
    for one in objects:
        text = (one.get("data") or {}).get("whodunit.yaml") if one["kind"] == "ConfigMap" else None
        if not text:
            continue
        with tempfile.TemporaryDirectory() as folder:
            for name in set(re.findall(r"/etc/whodunit/secrets/([-\w]+)", text)):
                with open(f"{folder}/{name}", "w") as file:
                    file.write("stand-in\n")
            text = text.replace("/etc/whodunit/secrets", folder)
            for runbooks in (yaml.safe_load(text).get("runbooks") or {}).get("folders") or []:
                os.makedirs(folder + runbooks, exist_ok=True)
                text = text.replace(runbooks, folder + runbooks)
            with open(f"{folder}/whodunit.yaml", "w") as file:
                file.write(text)
            environment = {**os.environ, "WHODUNIT_DATABASE__URL": "postgres://u:p@localhost/w", "WHODUNIT_DATABASE__DATA_DIR": folder,
                           "WHODUNIT_KUBERNETES__URL": "http://127.0.0.1:1"}
            done = subprocess.run([binary, "config", "check", "--config", f"{folder}/whodunit.yaml"],
                                  capture_output=True, text=True, timeout=60, env=environment)
            if done.returncode:
                found.append((done.stdout + done.stderr).strip().replace(folder, "…"))
    return found


def check_objects(what, objects):
    told(what, schema_faults(objects) + operator_faults(objects) + faults_of(objects, KNOWN, MADE) + settings_faults(objects))


def check_chart():
    if not HELM:
        skip("chart", "no helm on PATH, and npm's could not be had")
        return
    print(f"helm: {run(HELM, 'version', '--short').stdout.strip()}")
    for values in VALUES:
        linted = run(HELM, "lint", "--strict", CHART, "--values", values)
        told(f"helm lint {values}", [] if linted.returncode == 0 else [linted.stdout + linted.stderr])
        check_objects(f"chart with {values}", template("--values", values))
    for what, values in REFUSED.items():
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump(values, file)
            file.flush()
            done = run(HELM, "template", "whodunit", CHART, "--values", file.name)
        told(f"refused: {what}", [] if done.returncode else ["it was rendered"])
    wide = template("--values", "deploy/tests/values/namespaced.yaml")
    granted = {resource for one in wide if one["kind"] in ("Role", "ClusterRole") for rule in one["rules"] for resource in rule["resources"]}
    told("rbac.without and clusterKinds leave out", [f"{word} is granted" for word in ("configmaps", "nodes") if word in granted])


# ---- what is derived from the chart ----

LABELS = {"app.kubernetes.io/managed-by", "helm.sh/chart"}
WRITTEN = "# Written by `make deploy-write` from the chart in deploy/helm: change it there.\n"


def plain(one):
    """A rendered object without what only helm needs."""
    one = copy.deepcopy(one)
    places = [one, (one.get("spec") or {}).get("template") or {}]
    for meta in (place.get("metadata") or {} for place in places):
        for label in LABELS:
            (meta.get("labels") or {}).pop(label, None)
        (meta.get("annotations") or {}).pop("whodunit.dev/settings", None)
        if not meta.get("annotations"):
            meta.pop("annotations", None)
    return one


def without_namespace(one):
    one["metadata"].pop("namespace", None)
    return one


class Dumper(yaml.SafeDumper):
    def increase_indent(self, flow=False, indentless=False):
        return super().increase_indent(flow, False)


def block(dumper, text):
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


Dumper.add_representer(str, block)


def dump(objects):
    return WRITTEN + "---\n".join(yaml.dump(one, Dumper=Dumper, sort_keys=False, width=1000) for one in objects)


def derived():
    """Path → text of everything that is derived."""
    files = {}
    rendered = [plain(one) for one in template()]
    for one in rendered:
        if one["kind"] == "ConfigMap":
            files[f"{KUSTOMIZE}/base/whodunit.yaml"] = (
                "# whodunit's settings; config/whodunit.yaml documents every key. Secrets come as files, see README.md.\n"
                + one["data"]["whodunit.yaml"])
    for kind in ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Deployment", "Service", "NetworkPolicy", "PodDisruptionBudget"):
        files[f"{KUSTOMIZE}/base/{kind.lower()}.yaml"] = dump([one for one in rendered if one["kind"] == kind])
    monitored = [plain(one) for one in template("--set", "serviceMonitor.enabled=true,prometheusRule.enabled=true,dashboard.enabled=true")]
    names = {(one["kind"], one["metadata"]["name"]) for one in rendered}
    files[f"{KUSTOMIZE}/components/monitoring/monitoring.yaml"] = dump(
        [one for one in monitored if (one["kind"], one["metadata"]["name"]) not in names])
    narrow = [plain(one) for one in template("--set", "rbac.mode=namespaced,rbac.namespaces={shop}")]
    overlay = f"{KUSTOMIZE}/overlays/namespaced"
    for kind, path in (("Role", "reader/role.yaml"), ("RoleBinding", "reader/rolebinding.yaml"), ("ClusterRole", "clusterrole.yaml")):
        files[f"{overlay}/{path}"] = dump([without_namespace(one) for one in narrow if one["kind"] == kind])
    base = {(one["kind"], one["metadata"]["name"], one["metadata"].get("namespace")) for one in rendered}
    jobs = [plain(one) for one in template("--set", "executor.enabled=true,executor.namespaces={shop},rbac.mode=owners")]
    added = [one for one in jobs if (one["kind"], one["metadata"]["name"], one["metadata"].get("namespace")) not in base]
    overlay = f"{KUSTOMIZE}/overlays/jobs"
    files[f"{overlay}/tenant/tenant.yaml"] = dump([without_namespace(one) for one in added if one["metadata"].get("namespace") == "shop"])
    files[f"{overlay}/cluster.yaml"] = dump([one for one in added if one["metadata"].get("namespace") != "shop"])
    files[f"{overlay}/clusterrole.yaml"] = dump([one for one in jobs if one["kind"] == "ClusterRole" and (one["kind"], one["metadata"]["name"], None) in base])
    files[f"{overlay}/whodunit.yaml"] = "".join(
        "# whodunit's settings, with Jobs; config/whodunit.yaml documents every key.\n" + one["data"]["whodunit.yaml"]
        for one in jobs if one["kind"] == "ConfigMap")
    return {**files, f"{CHART}/values.schema.json": schema()}


def schema():
    """The chart's schema, with the rooms of settings that config/whodunit.yaml has."""
    with open(f"{CHART}/values.schema.json") as file:
        whole = json.load(file)
    with open("config/whodunit.yaml") as file:
        rooms = yaml.safe_load(file)
    known = whole["properties"]["settings"]["properties"]
    whole["properties"]["settings"]["properties"] = {
        room: known.get(room, {"type": "object"} if isinstance(default, dict) else {}) for room, default in rooms.items()}
    return json.dumps(whole, indent=2) + "\n"


def check_derived(write):
    if not HELM:
        skip("what is derived from the chart", "no helm")
        return
    stale = []
    for path, text in derived().items():
        if write:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as file:
                file.write(text)
        elif not os.path.exists(path) or open(path).read() != text:
            stale.append(f"{path} is not what the chart says: make deploy-write")
    told("kustomize and schema are what the chart says", stale)


def check_committed():
    """The plain files as they are committed, so that they are looked at where neither helm nor kubectl is at hand."""
    objects = []
    for path in sorted(glob.glob(f"{KUSTOMIZE}/**/*.yaml", recursive=True)):
        if os.path.basename(path) not in ("kustomization.yaml", "whodunit.yaml"):
            with open(path) as file:
                objects += objects_of(file.read())
    told("kustomize as committed", schema_faults(objects) + operator_faults(objects) + faults_of(objects, KNOWN, MADE))


def check_made():
    told("the Job of an investigation", schema_faults(MADE) + faults_of(MADE, KNOWN))


def check_kustomize():
    if not KUBECTL:
        skip("kustomize", "no kubectl on PATH")
        return
    with tempfile.TemporaryDirectory(dir=KUSTOMIZE) as own:
        with open(f"{own}/kustomization.yaml", "w") as file:
            file.write("resources: [../base]\ncomponents: [../components/monitoring]\nimages: [{name: whodunit, newName: r.example/w, newTag: '1'}]\n")
        for folder in (f"{KUSTOMIZE}/base", f"{KUSTOMIZE}/overlays/namespaced", f"{KUSTOMIZE}/overlays/jobs", own):
            done = run(KUBECTL, "kustomize", folder)
            if done.returncode:
                told(f"kustomize {folder}", [done.stderr.strip()])
                continue
            objects = objects_of(done.stdout)
            check_objects(f"kustomize {'base + monitoring' if folder == own else folder}", objects)
            if folder.endswith("namespaced"):
                wide = [r for one in objects if one["kind"] == "ClusterRole" for rule in one["rules"] for g in rule["apiGroups"]
                        for r in rule["resources"] if KNOWN.get((g, r), True)]
                told("the namespaced overlay grants nothing wide that has a namespace", wide)
                held = [one["metadata"]["namespace"] for one in objects if one["kind"] == "RoleBinding"]
                bound = [s["namespace"] for one in objects if one["kind"] == "RoleBinding" for s in one["subjects"]]
                told("its Role is in shop, for the account in whodunit", [] if (held, bound) == (["shop"], ["whodunit"]) else [f"{held} {bound}"])


def check_examples():
    for path in sorted(glob.glob("deploy/examples/*.yaml")):
        with open(path) as file:
            documents = objects_of(file.read())
        if documents and all(isinstance(one, dict) and "apiVersion" in one and "kind" in one for one in documents):
            told(path, schema_faults(documents) + faults_of(documents, KNOWN, MADE))
    amtool = shutil.which("amtool")
    if amtool:
        with open("deploy/examples/alertmanager.yaml") as file:
            text = file.read()
        with tempfile.TemporaryDirectory() as folder:
            open(f"{folder}/token", "w").write("x")
            open(f"{folder}/alertmanager.yaml", "w").write(text.replace("/etc/alertmanager/secrets/whodunit/token", f"{folder}/token"))
            done = run(amtool, "check-config", f"{folder}/alertmanager.yaml")
        told("amtool check-config deploy/examples/alertmanager.yaml", [] if done.returncode == 0 else [done.stdout + done.stderr])
    else:
        skip("deploy/examples/alertmanager.yaml", "no amtool")


def check_alerts():
    promtool = shutil.which("promtool")
    if not promtool:
        skip("alerts", "no promtool")
        return
    for what, command in (("promtool check rules", ("check", "rules", f"{CHART}/files/alerts.yaml")), ("promtool test rules", ("test", "rules", "deploy/tests/alerts.yaml"))):
        done = run(promtool, *command)
        told(what, [] if done.returncode == 0 else [done.stdout + done.stderr])
    with open(f"{CHART}/files/alerts.yaml") as file:
        named = {rule["alert"] for group in yaml.safe_load(file)["groups"] for rule in group["rules"]}
    with open("deploy/tests/alerts.yaml") as file:
        tested = set(re.findall(r'alertname="(\w+)"', file.read()))
    told("each alert has a test", sorted(named ^ tested))


def check_metrics():
    """Names of metrics in the program, the alerts, the dashboard and the documentation."""
    def words(path):
        with open(path) as file:
            return set(re.findall(r"\bwhodunit_[a-z_]+[a-z]\b", file.read()))
    source = set()
    for path in ["src/telemetry.rs", *glob.glob("src/telemetry/**/*.rs", recursive=True)]:
        with open(path) as file:
            source |= set(re.findall(r'const \w+: &str = "(whodunit_[a-z_]+)"', file.read()))
    histograms = {name for name in source if name.endswith("_seconds") and "timestamp" not in name}
    series = source | {f"{name}_{end}" for name in histograms for end in ("bucket", "sum", "count")}
    for path in (f"{CHART}/files/alerts.yaml", f"{CHART}/files/dashboard.json"):
        told(f"{path} names metrics that exist", sorted(words(path) - series))
    told("the dashboard's queries are PromQL", dashboard_faults())
    with open("docs/metrics.md") as file:
        documented = set(re.findall(r"^\| `(whodunit_[a-z_]+)`", file.read(), re.M))
    told("docs/metrics.md lists every metric and no other", sorted(documented ^ source))
    told("the dashboard shows every metric", sorted(name for name in source if not any(word.startswith(name) for word in words(f"{CHART}/files/dashboard.json"))))


def dashboard_faults():
    """Each query of the dashboard as a rule that promtool reads, with Grafana's variables filled in."""
    promtool = shutil.which("promtool")
    if not promtool:
        skip("the dashboard's queries", "no promtool")
        return []
    with open(f"{CHART}/files/dashboard.json") as file:
        queries = [target["expr"] for panel in json.load(file)["panels"] for target in panel["targets"]]
    filled = [query.replace("$__rate_interval", "5m").replace("$namespace", ".*") for query in queries]
    rules = [{"record": f"query:{at}", "expr": query} for at, query in enumerate(filled)]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)
        file.flush()
        done = run(promtool, "check", "rules", file.name)
    return [] if done.returncode == 0 else [done.stdout + done.stderr]


def check_workflow():
    files = sorted(glob.glob(".github/workflows/*.yml"))
    for tool, command in (("check-jsonschema", ["--builtin-schema", "vendor.github-workflows"]), ("zizmor", ["--offline", "--no-progress", "--quiet"])):
        binary = shutil.which(tool)
        if binary and files:
            done = run(binary, *command, *files)
            told(f"{tool} {' '.join(files)}", [] if done.returncode == 0 else [done.stdout + done.stderr])


def check_the_checks():
    """Each planted fault must be found, or the rules above prove nothing."""
    role = {"kind": "ClusterRole", "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "r"}}
    def rule(group="", resource="pods", verb="get"):
        return {**role, "rules": [{"apiGroups": [group], "resources": [resource], "verbs": [verb]}]}
    planted = {
        "a verb that writes": rule(verb="create"), "any verb": rule(verb="*"), "any resource": rule(resource="*"),
        "any group": rule(group="*"), "secrets": rule(resource="secrets"), "exec": rule(resource="pods/exec"),
        "a kind that is none": rule(resource="podz"), "a Secret": {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s"}},
        "nodes in a Role": {**rule(resource="nodes"), "kind": "Role"},
        "aggregation": {**role, "rules": [], "aggregationRule": {"clusterRoleSelectors": []}},
        "a URL": {**role, "rules": [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]},
        "a loose pod": {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "d"},
                        "spec": {"template": {"metadata": {"labels": {}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}},
        "a launcher that may delete": {"kind": "Role", "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "w-launcher"},
                                       "rules": [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "delete", "get"]}]},
        "a launcher everywhere": {**role, "metadata": {"name": "w-launcher"}, "rules": [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create"]}]},
        "a Service of nothing": {"kind": "Service", "apiVersion": "v1", "metadata": {"name": "s"}, "spec": {"selector": {"a": "b"}}},
    }
    missed = [what for what, one in planted.items() if not faults_of([one], KNOWN)]
    if faults_of([rule()], KNOWN):
        missed.append("a harmless role is refused")
    broken = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"replicas": "two"}}
    if not schema_faults([broken]) or not schema_faults([{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"prots": []}}]):
        missed.append("an object that its schema refuses")
    told("planted faults are found", missed)


def main():
    check_derived(write="--write" in sys.argv)
    for check in (check_the_checks, check_made, check_committed, check_chart, check_kustomize, check_examples, check_alerts, check_metrics, check_workflow):
        check()
    print(f"deploy-check: {len(passed)} checks passed against Kubernetes {KUBERNETES}, {len(faults)} faults, {len(skipped)} skipped")
    for what, why in skipped:
        print(f"deploy-check: SKIPPED {what}: {why}")
    for fault in faults:
        print(f"deploy-check: FAULT {fault}")
    return 1 if faults else 0


sys.exit(main())

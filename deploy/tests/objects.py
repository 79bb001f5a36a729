"""Rules for rendered objects: what a role may grant, what a pod must restrict, what must fit together.

Objects come in as dictionaries, faults go out as sentences. Nothing here reads a file or runs a program.
"""

VERBS = {"get", "list", "watch"}
# Resources that hold secrets, act on a pod, or lend rights. Named here even where no verb of ours could do harm.
FORBIDDEN = {
    "secrets", "pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "pods/ephemeralcontainers",
    "services/proxy", "nodes/proxy", "serviceaccounts/token", "certificatesigningrequests",
}
# The one role that grants more: to create the Jobs that read a tenant's namespace, and to see what becomes of them.
LAUNCHER = [
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get"]},
    {"apiGroups": [""], "resources": ["events", "pods"], "verbs": ["list"]},
]
CAPABILITIES = {"ALL"}


def role_faults(role, discovery):
    """Of a Role or ClusterRole; `discovery` maps (group, resource) to whether the kind has a namespace."""
    name = f"{role['kind']} {role['metadata']['name']}"
    faults = []
    if role["kind"] == "Role" and role["metadata"]["name"].endswith("-launcher"):
        return [] if role.get("rules") == LAUNCHER else [f"{name}: grants something else than to create Jobs"]
    if role.get("aggregationRule"):
        faults.append(f"{name}: aggregates other roles")
    for rule in role.get("rules") or []:
        if set(rule) - {"apiGroups", "resources", "verbs"}:
            faults.append(f"{name}: a rule has {sorted(set(rule) - {'apiGroups', 'resources', 'verbs'})}")
        for verb in rule.get("verbs", []):
            if verb not in VERBS:
                faults.append(f"{name}: grants {verb} on {rule.get('resources')}")
        for group in rule.get("apiGroups", []):
            for resource in rule.get("resources", []):
                faults += resource_faults(name, role["kind"], group, resource, discovery)
    return faults


def resource_faults(name, kind, group, resource, discovery):
    if "*" in group or "*" in resource:
        return [f"{name}: has a wildcard in {group}/{resource}"]
    if resource in FORBIDDEN or resource.split("/")[0] == "secrets":
        return [f"{name}: grants {resource}"]
    namespaced = discovery.get((group, resource))
    if namespaced is None:
        # Custom resources are not in a plain cluster's discovery.
        own = "." not in group or group.endswith(".k8s.io")
        return [f"{name}: {group}/{resource} is no kind of Kubernetes"] if own else []
    if kind == "Role" and not namespaced:
        return [f"{name}: {resource} has no namespace, so a Role cannot grant it"]
    return []


def pod_faults(owner, spec):
    """What the restricted Pod Security Standard asks, and what this project asks beside it."""
    faults = []
    pod = spec.get("securityContext") or {}
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            faults.append(f"{owner}: {key}")
    for volume in spec.get("volumes") or []:
        if not set(volume) & {"configMap", "secret", "emptyDir", "projected", "persistentVolumeClaim", "downwardAPI"}:
            faults.append(f"{owner}: volume {volume['name']} is of a kind that restricted pods may not have")
    if (pod.get("seccompProfile") or {}).get("type") != "RuntimeDefault":
        faults.append(f"{owner}: no seccomp profile")
    if pod.get("runAsNonRoot") is not True or not pod.get("runAsUser"):
        faults.append(f"{owner}: may run as root")
    for container in (spec.get("containers") or []) + (spec.get("initContainers") or []):
        faults += container_faults(f"{owner}/{container['name']}", container)
    return faults


def container_faults(name, container):
    own = container.get("securityContext") or {}
    faults = []
    if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
        faults.append(f"{name}: may escalate")
    capabilities = own.get("capabilities") or {}
    if not CAPABILITIES <= set(capabilities.get("drop") or []) or capabilities.get("add"):
        faults.append(f"{name}: keeps capabilities")
    if own.get("readOnlyRootFilesystem") is not True:
        faults.append(f"{name}: may write to its root")
    if any("hostPort" in port for port in container.get("ports") or []):
        faults.append(f"{name}: has a host port")
    resources = container.get("resources") or {}
    if not (resources.get("limits") or {}).get("memory") or not resources.get("requests"):
        faults.append(f"{name}: has no memory limit or no requests")
    return faults


def labels_of(workload):
    return workload["spec"]["template"]["metadata"]["labels"]


def selects(selector, labels):
    return all(labels.get(key) == value for key, value in selector.items())


def fit_faults(objects, made):
    """Services, budgets and policies select pods; volumes and accounts that are rendered have their names."""
    faults = []
    deployments = [one for one in objects if one["kind"] in ("Deployment", "StatefulSet")]
    owners = deployments + made
    for one in objects:
        name = f"{one['kind']} {one['metadata']['name']}"
        selector = {
            "Service": lambda o: o["spec"].get("selector"),
            "PodDisruptionBudget": lambda o: o["spec"]["selector"]["matchLabels"],
            "NetworkPolicy": lambda o: o["spec"]["podSelector"].get("matchLabels"),
        }.get(one["kind"], lambda o: None)(one)
        if selector and not any(selects(selector, labels_of(workload)) for workload in owners):
            faults.append(f"{name} selects no pod")
    services = [one for one in objects if one["kind"] == "Service"]
    for monitor in (one for one in objects if one["kind"] == "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"]
        chosen = [one for one in services if selects(wanted, one["metadata"]["labels"])]
        if len(chosen) != 1:
            faults.append(f"ServiceMonitor {monitor['metadata']['name']} selects {len(chosen)} Services")
        for workload in deployments:
            if chosen and not selects(chosen[0]["spec"]["selector"], labels_of(workload)):
                faults.append(f"the scraped Service leaves out Deployment {workload['metadata']['name']}")
    return faults


def faults_of(objects, discovery, made=()):
    """All rules over the objects of one rendering; `made` are those that the program creates itself."""
    faults = fit_faults(objects, list(made))
    for one in objects:
        if one["kind"] == "Secret":
            faults.append(f"a Secret is rendered: {one['metadata']['name']}")
        if one["kind"] in ("Role", "ClusterRole"):
            faults += role_faults(one, discovery)
        if one["kind"] in ("RoleBinding", "ClusterRoleBinding"):
            if any(subject["kind"] != "ServiceAccount" for subject in one["subjects"]):
                faults.append(f"{one['metadata']['name']} binds more than a service account")
        template = (one.get("spec") or {}).get("template")
        if one["kind"] in ("Deployment", "StatefulSet", "DaemonSet", "Job"):
            faults += pod_faults(f"{one['kind']} {one['metadata']['name']}", template["spec"])
    return faults

//! Two kinds of conclusion that models jump to: an exotic cause, and "raise the timeout". A verified conclusion
//! comes in, what is missing from it goes out. Pure; it strikes nothing itself.

use std::sync::LazyLock;

use regex::Regex;

use crate::report::{Evidence, NextStep, RuledOut};

/// A conclusion after its quotes were checked: evidence and ruled-out causes are only those that hold.
pub struct Checked<'c> {
    /// Cause and summary, as the model wrote them.
    pub claim: &'c str,
    pub evidence: &'c [Evidence],
    pub ruled_out: &'c [RuledOut],
    pub next_steps: &'c [NextStep],
    /// Names of objects, which may sound like anything: a Deployment may be called `kernel-mutex`.
    pub names: &'c [String],
}

/// What is missing, in words for the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Objection {
    /// The cause is exotic, and this is what it lacks.
    Exotic(String),
    /// This step (by its place) wants more time, and nothing shows that time is the cause.
    Timing { step: usize, missing: String },
}

impl Objection {
    pub fn words(&self) -> &str {
        match self {
            Self::Exotic(missing) | Self::Timing { missing, .. } => missing,
        }
    }
}

/// A family of exotic causes: words that claim it, and what a quote must say to prove it.
struct Exotic {
    name: &'static str,
    claim: Regex,
    proof: Regex,
}

/// Words from a table of this file; a misprint in one fails every test.
fn words(pattern: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "constant patterns, each compiled by the tests")]
    Regex::new(&format!(r"(?i)\b(?:{pattern})")).expect("a constant pattern")
}

static EXOTIC: LazyLock<Vec<Exotic>> = LazyLock::new(|| {
    let family = |name, claim: &str, proof: &str| Exotic { name, claim: words(claim), proof: words(proof) };
    vec![
        family(
            "the kernel",
            r"(?:linux |node'?s? |host )?kernel(?:'s)?\b|ebpf\b|cgroup (?:bug|leak|driver)|syscall|futex|(?:cpu )?microcode",
            r"kernel\b|ebpf\b|cgroup|syscall|futex|microcode|soft lockup|hung[_ ]task|oops",
        ),
        family(
            "locks inside a program",
            r"mutex|spin ?lock|dead-?lock|live-?lock|lock contention|race condition|memory corruption",
            r"mutex|lock|data race|race detected|corrupt",
        ),
        family(
            "the network fabric",
            r"network fabric|packet (?:loss|drops?)|dropped packets|(?:cni|overlay|vxlan|bgp|arp|mtu|nic|conntrack|iptables|switch|router|nat)\b[^.]{0,40}?\b(?:bug|fault|issue|problem|failure|mismatch|exhaust\w*|full|misrout\w*|corrupt\w*|drop\w*)|network (?:partition|glitch|blip|instability|hiccups?|flakiness)|(?:intermittent|transient|flaky) network|underlying network",
            r"packet|drop|conntrack|retrans|mtu\b|vxlan|bgp|no route to host|network is unreachable|link (?:is )?down|networkunavailable|cni\b|partition",
        ),
        family(
            "pressure on the Kubernetes API",
            r"api[- ]?server (?:is |was |being )?(?:under )?(?:pressure|overload\w*|throttl\w*|latency|slow\w*|saturat\w*|contention)|(?:pressure|overload|throttling|load|contention) (?:on|of|in|at) the (?:kubernetes |k8s )?(?:api|control plane)|(?:kubernetes |k8s )?api (?:pressure|overload|throttling|congestion)|control[- ]plane (?:pressure|overload|latency|instability|problem|issue)|etcd\b[^.]{0,30}?\b(?:slow\w*|latency|pressure|overload\w*|corrupt\w*|quorum|compaction|leader)",
            r"429|too many requests|throttl|apf\b|etcd|apiserver|client-side|context deadline exceeded.*api|readyz",
        ),
        family(
            "the hardware",
            r"cosmic|solar flare|bit[- ]?flips?|(?:ecc|dram|ram|cpu|disk|hardware|memory module) (?:fault|error|failure|defect)s?|hardware (?:issue|problem)|faulty (?:hardware|disk|ram|memory|cpu|nic)|bad (?:ram|dimm|sectors?)",
            r"machine check|mce\b|ecc|uncorrect|hardware error|i/o error|ioerror|smart\b|bad sector|edac",
        ),
        family(
            "the hypervisor",
            r"hypervisor|noisy neighbou?rs?|steal time|cpu steal|live migration|virtuali[sz]ation layer|underlying (?:vm|host|virtual machine)|cloud provider (?:outage|incident|issue|glitch)",
            r"steal|hypervisor|migrat|preempt|terminat|maintenance|instance",
        ),
        family(
            "the clock",
            r"clock (?:skew|drift|jump|sync\w*)|time (?:drift|skew|sync\w*)|skewed clocks?|ntp\b|chrony|leap second|clocks? (?:is|are|was|were) (?:wrong|off|out of sync|skewed|drifting)",
            r"clock|ntp|chrony|skew|drift|not yet valid|in the future|time ?sync",
        ),
        family(
            "a bug in Kubernetes itself",
            r"(?:kubelet|scheduler|containerd|cri-?o|container runtime|kube-proxy|controller[- ]manager|kubernetes) (?:bug|defect|regression|glitch|deadlock|memory leak)|bug in (?:the )?(?:kubelet|scheduler|containerd|cri-?o|container runtime|kube-proxy|kubernetes)",
            r"kubelet|containerd|cri-?o|scheduler|kube-proxy|panic|pleg",
        ),
    ]
});

/// Mentions that are no claim: the kernel's OOM killer is how a memory limit acts, and names of products.
static MUNDANE_MENTION: LazyLock<Regex> = LazyLock::new(|| {
    words(
        r"(?:linux |node'?s? |host )?kernel(?:'s)? (?:oom|out[- ]of[- ]memory)[- ]?(?:killer|kill\w*)?|(?:oom|out[- ]of[- ]memory)[- ]kill\w* by the (?:linux |node'?s? |host )?kernel|(?:linux |node'?s? |host )?kernel (?:oom-?)?kill(?:s|ed) [^.;]{0,60}?\b(?:limit|memory|oom\w*)|kernel (?:version|headers|parameter|module path)|jupyter kernel|notebook kernel",
    )
});

/// Ahead of a mention, in the same clause: it is denied.
static DENIED: LazyLock<Regex> = LazyLock::new(|| {
    words(
        r"(?:no|not|never|without|neither|nor|rather than|instead of|excludes?d?|excluding|rules? out|ruled out|isn'?t|wasn'?t|aren'?t|weren'?t|unrelated to|nothing to do with|unlikely|do(?:es)?(?: not|n'?t))\b[^.;:,]{0,60}$",
    )
});
/// Between a denial and a mention: the denial is of something else ("no memory is left because the kernel …").
static CAUSAL: LazyLock<Regex> = LazyLock::new(|| words(r"because|due to|caused by|since|thanks to|as the"));
/// Right behind a mention: it is denied.
static DENIED_AFTER: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant pattern, compiled by the tests")]
    Regex::new(r"(?i)^[^.;:,]{0,40}?\b(?:(?:is|are|was|were|can be|could be|has been|have been) (?:\w+ )?(?:ruled out|excluded|unlikely|not the cause|healthy|fine|ok)|(?:is|are|was|were) not\b|(?:is|was|are|were)n'?t\b|played no (?:part|role))")
        .expect("a constant pattern")
});

/// What must be ruled out before an exotic cause is believed, and words that say so.
static MUNDANE: LazyLock<Vec<(&'static str, Regex)>> = LazyLock::new(|| {
    vec![
        ("image", words(r"image|tag\b|registry|pull")),
        ("command", words(r"command|entry ?point|args?\b|arguments?|executable|start-?up script|shell")),
        (
            "configuration",
            words(r"config|environment|env\b|env var|secret|credential|setting|variable|mount|manifest|flag"),
        ),
        ("resources", words(r"resource|memory|cpu|oom|limit|quota|disk|storage|throttl|evict")),
        (
            "the program's own bug",
            words(
                r"own bug|bug|code|application|program|regression|release|rollout|deploy|revision|version|exception|stack ?trace|panic",
            ),
        ),
    ]
});

/// What is asked for: more of it.
static MORE: &str = r"raise|raising|increas\w+|bump\w*|extend\w*|lengthen\w*|prolong\w*|doubl\w+|tripl\w+|relax\w*|loosen\w*|enlarg\w*|longer|larger|higher|bigger|more|add(?:ing)?|insert|introduce|set|allow|give|grant|tun(?:e|ing)|adjust\w*|configure|put|patch";
/// Of what: time to wait.
static OF_TIME: &str = r"time[- ]?outs?\b|timeoutseconds|\w*_timeout\w*|\w*timeout(?:ms|seconds|secs)\w*|deadlines?\b|\w*deadlineseconds|sleeps?\b|delays?\b|(?:initial|min\w*)?delayseconds|periodseconds|failurethreshold|failure thresholds?|grace periods?|terminationgraceperiodseconds|back-?off(?:limit)?s?\b|retry\b|retries\b|(?:connection|start-?up|boot|more|probe|some|extra|additional) time\b|startup probes?\b|minreadyseconds|patien\w+";

static ADVICE: LazyLock<Regex> = LazyLock::new(|| {
    words(&format!(
        r"(?:{MORE})\b[^.;]{{0,60}}?(?:\b|_)(?:{OF_TIME})|(?:{OF_TIME})[^.;]{{0,40}}?\b(?:should|must|needs? to|to) be (?:{MORE})|sleep \d+"
    ))
});

/// Advice about time that is none to raise it.
static OTHER_ADVICE: LazyLock<Regex> = LazyLock::new(|| {
    words(
        r"(?:not|never|n't|without|instead of|rather than|avoid|no need to|before)\b(?:\s+\w+){0,3}?\s+(?:rais|increas|bump|extend|length|prolong|doubl|add|tun|adjust|relax|wait|sleep|set|us)\w*|(?:lower|reduc\w+|decreas\w+|shorten\w*|remov\w+|delet\w+|drop\w*|restor\w+|revert\w*)\b[^.;]{0,60}?(?:time[- ]?out|deadline|sleep|delay|back-?off|retr(?:y|ies)|grace|threshold|period)",
    )
});

static DURATION: &str = r"\d+(?:\.\d+)?\s?(?:ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?)\b";

/// A mechanism: how long it takes, beside how long is waited.
static MECHANISM: LazyLock<Regex> = LazyLock::new(|| {
    words(
        r"takes?\b|took\b|taking\b|needs?\b|needed\b|requires?d?\b|lasts?\b|lasted\b|longer than|slower than|exceed\w*|within\b|before\b|after\b|only\b|too short|shorter than|expires?d?\b|gives? up",
    )
});
static SPAN: LazyLock<Regex> = LazyLock::new(|| words(DURATION));
/// A quote that says something about time.
static PROOF_OF_TIME: LazyLock<Regex> = LazyLock::new(|| {
    words(&format!(
        r"{DURATION}|timed out|time-?out|deadline|probe|delay|period|(?:initialdelay|timeout|period)seconds|slow|latency"
    ))
});

/// Everything that keeps this conclusion from being believed as it is.
pub fn objections(checked: &Checked<'_>) -> Vec<Objection> {
    let mut found: Vec<Objection> = exotic(checked).into_iter().collect();
    found.extend(timing(checked));
    found
}

fn exotic(checked: &Checked<'_>) -> Option<Objection> {
    let claim = without_names(checked.claim, checked.names);
    let family = EXOTIC.iter().find(|family| claims(family, &claim))?;
    let direct = checked.evidence.iter().any(|one| family.proof.is_match(&one.quote));
    let open: Vec<&str> = MUNDANE
        .iter()
        .filter(|(_, about)| {
            !checked.ruled_out.iter().any(|one| !one.evidence.is_empty() && about.is_match(&one.statement))
        })
        .map(|(name, _)| *name)
        .collect();
    let mut missing = Vec::new();
    if !direct {
        missing.push(format!("no quote in `evidence` directly shows {}", family.name));
    }
    if !open.is_empty() {
        missing.push(format!("`ruled_out` lacks, with quotes: {}", open.join(", ")));
    }
    (!missing.is_empty()).then(|| {
        Objection::Exotic(format!(
            "The cause blames {}, which is rare. Mundane causes come first. Missing: {}.",
            family.name,
            missing.join("; ")
        ))
    })
}

fn claims(family: &Exotic, claim: &str) -> bool {
    family.claim.find_iter(claim).any(|mention| {
        let clause = clause_before(&claim[..mention.start()]);
        let denied = DENIED.find(clause).is_some_and(|found| !CAUSAL.is_match(found.as_str()));
        !denied && !DENIED_AFTER.is_match(&claim[mention.end()..])
    })
}

/// From the last full stop, semicolon or contrast on: a denial reaches no further.
fn clause_before(text: &str) -> &str {
    let from = ["; ", ". ", ", but ", " but ", "\n"]
        .iter()
        .filter_map(|end| text.rfind(end).map(|at| at + end.len()))
        .max()
        .unwrap_or(0);
    &text[from..]
}

/// The claim without names of objects and without mundane mentions.
fn without_names(claim: &str, names: &[String]) -> String {
    let mut text = claim.to_owned();
    for name in names.iter().filter(|name| !name.is_empty()) {
        text = text.replace(name.as_str(), "it");
    }
    MUNDANE_MENTION.replace_all(&text, "the memory limit").into_owned()
}

fn timing(checked: &Checked<'_>) -> Vec<Objection> {
    let shown = checked.evidence.iter().any(|one| PROOF_OF_TIME.is_match(&one.quote));
    let claim = without_names(checked.claim, checked.names);
    let mut found = Vec::new();
    for (step, advice) in checked.next_steps.iter().enumerate() {
        let text = without_names(&format!("{}\n{}", advice.text, advice.command), checked.names);
        if !wants_more_time(&text) {
            continue;
        }
        let told = format!("{claim} {text}");
        let named = SPAN.is_match(&told) && MECHANISM.is_match(&told);
        if named && shown {
            continue;
        }
        let missing = format!(
            "Next step {} asks for more time (\"{}\"), and {}. Say what takes how long, against which limit, with a quote that shows it; or leave the step out.",
            step + 1,
            cut(&advice.text),
            if named { "no quote shows a time" } else { "nothing says how time is the cause" },
        );
        found.push(Objection::Timing { step, missing });
    }
    found
}

fn wants_more_time(text: &str) -> bool {
    // Sentence by sentence, so that one denial does not cover the next advice.
    text.split(['.', ';', '\n']).any(|sentence| {
        let sentence = sentence.trim();
        ADVICE.is_match(sentence) && !OTHER_ADVICE.is_match(sentence)
    })
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(80)]
}

#[cfg(test)]
mod tests;

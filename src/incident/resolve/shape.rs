//! Owners read from a pod's name alone, for pods that are gone. Pure. Kubernetes makes suffixes from an
//! alphabet without vowels, so `api` and `api-worker` never mix: a word is not a suffix.

/// The characters of generated suffixes (apimachinery's `rand`).
const ALPHABET: &str = "bcdfghjklmnpqrstvwxz2456789";
/// Length of the random end of a pod's name.
const SUFFIX_CHARS: usize = 5;
/// Lengths of a ReplicaSet's hash.
const HASH_CHARS: std::ops::RangeInclusive<usize> = 6..=10;
/// A CronJob's job ends in its scheduled minute since 1970: eight digits until 2160.
const MINUTE_CHARS: usize = 8;
/// Ordinals beyond this are no StatefulSet's.
const MAX_ORDINAL_CHARS: usize = 4;

/// The owner that a pod's name points at, or None where the name has no such shape.
pub fn owner_of_pod(pod: &str) -> Option<(&'static str, &str)> {
    let (rest, suffix) = pod.rsplit_once('-')?;
    if rest.is_empty() {
        return None;
    }
    if is_ordinal(suffix) {
        return Some(("StatefulSet", rest));
    }
    if !is_generated(suffix, SUFFIX_CHARS..=SUFFIX_CHARS) {
        return None;
    }
    if let Some(cronjob) = cronjob_of_job(rest) {
        return Some(("CronJob", cronjob));
    }
    if let Some(deployment) = deployment_of_set(rest) {
        return Some(("Deployment", deployment));
    }
    Some(("DaemonSet", rest))
}

/// `checkout` of the ReplicaSet `checkout-66f478c98f`.
pub fn deployment_of_set(set: &str) -> Option<&str> {
    let (name, hash) = set.rsplit_once('-')?;
    (!name.is_empty() && is_generated(hash, HASH_CHARS)).then_some(name)
}

/// `nightly-report` of the Job `nightly-report-29920740`.
pub fn cronjob_of_job(job: &str) -> Option<&str> {
    let (name, minute) = job.rsplit_once('-')?;
    let digits = minute.len() == MINUTE_CHARS && minute.bytes().all(|b| b.is_ascii_digit());
    (!name.is_empty() && digits).then_some(name)
}

fn is_generated(text: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&text.len()) && text.chars().all(|c| ALPHABET.contains(c))
}

fn is_ordinal(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_ORDINAL_CHARS
        && text.bytes().all(|b| b.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn recorded_and_typical_names() {
        for (pod, owner) in [
            ("checkout-66f478c98f-x2nj2", Some(("Deployment", "checkout"))),
            ("analytics-service-7987f4985-2z45z", Some(("Deployment", "analytics-service"))),
            ("api-worker-66f478c98f-x2nj2", Some(("Deployment", "api-worker"))),
            ("orders-db-0", Some(("StatefulSet", "orders-db"))),
            ("orders-db-12", Some(("StatefulSet", "orders-db"))),
            ("orders-db-01", None),
            ("log-agent-288zw", Some(("DaemonSet", "log-agent"))),
            ("nightly-report-29920740-7m7t4", Some(("CronJob", "nightly-report"))),
            ("api-gateway", None),
            ("ml-trainer", None),
            ("api", None),
            ("-x2nj2", None),
        ] {
            assert_eq!(owner_of_pod(pod), owner, "{pod}");
        }
    }

    proptest! {
        /// A generated name gives back exactly the Deployment it was made from, never a prefix of it.
        #[test]
        fn deployments_read_back(
            name in "[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,8}){0,2}",
            hash in "[bcdfghjklmnpqrstvwxz2456789]{6,10}",
            suffix in "[bcdfghjklmnpqrstvwxz2456789]{5}",
        ) {
            // Eight digits could be a scheduled minute; such a hash is a CronJob's by its shape.
            prop_assume!(!hash.bytes().all(|b| b.is_ascii_digit()));
            prop_assume!(!suffix.bytes().all(|b| b.is_ascii_digit()));
            let pod = format!("{name}-{hash}-{suffix}");
            prop_assert_eq!(owner_of_pod(&pod), Some(("Deployment", name.as_str())));
        }
    }
}

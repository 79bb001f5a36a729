//! Credentials of an ECS task or an EKS pod identity, from the agent beside the container. It speaks only to
//! the addresses of those agents and to loopback: the variable may not send a token anywhere else.

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderValue};

use super::answer::{exchange, from_json, refused};
use super::{Chain, Failed, Step, read};

/// ECS's agent, EKS's pod identity agent, and the latter over IPv6.
const AGENTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];

pub(super) async fn credentials(chain: &Chain) -> Result<Step, Failed> {
    let relative = chain.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    let url = match (relative, chain.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI")) {
        (Some(path), _) if !path.starts_with('/') => {
            return Err(Failed::new("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not start with /"));
        }
        (Some(path), _) => format!("{}{path}", chain.endpoints.container),
        (None, Some(url)) => url,
        (None, None) => return Ok(Step::Absent("no AWS_CONTAINER_CREDENTIALS_… variable is set".to_owned())),
    };
    let url: Url = url.parse().map_err(|error| Failed::new(format!("not an address: {error}")))?;
    if !is_agent(&url) {
        let host = url.host_str().unwrap_or_default();
        return Err(Failed::new(format!("{host} is neither loopback nor an agent of ECS or EKS")));
    }
    let mut request = chain.local.get(url);
    if let Some(token) = token(chain).await? {
        let mut value = HeaderValue::from_str(token.trim())
            .map_err(|_error| Failed::new("the authorization token is not a header value"))?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let (status, text) = exchange(request).await?;
    if !status.is_success() {
        return Err(refused(status, &text));
    }
    from_json(&text, "container").map(Step::Found)
}

/// The file first: its token is replaced while we run.
async fn token(chain: &Chain) -> Result<Option<String>, Failed> {
    let Some(path) = chain.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") else {
        return Ok(chain.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN"));
    };
    let token = read(&path).await?.ok_or_else(|| Failed::new(format!("no token in {path}")))?;
    Ok(Some(token))
}

fn is_agent(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let address: Option<std::net::IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    let loopback = host == "localhost" || address.is_some_and(|address| address.is_loopback());
    matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && (loopback || AGENTS.contains(&host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_agents_and_loopback_are_asked() {
        let asked = |url: &str| is_agent(&url.parse().unwrap());
        for url in [
            "http://169.254.170.23/v1/credentials",
            "http://169.254.170.2/v2/credentials/x",
            "http://[fd00:ec2::23]/v1/credentials",
            "http://127.0.0.1:51679/x",
            "http://localhost:51679/x",
            "http://[::1]:8080/x",
        ] {
            assert!(asked(url), "{url}");
        }
        for url in [
            "http://169.254.169.254/latest",
            "http://10.0.0.1/x",
            "https://evil.example/x",
            "http://127.0.0.1.evil.example/x",
            "http://localhost.evil.example/x",
            "http://169.254.170.2@evil.example/x",
            "http://user@127.0.0.1/x",
            "http://[fd00:ec2::24]/x",
            "ftp://127.0.0.1/x",
        ] {
            assert!(!asked(url), "{url}");
        }
    }
}

//! What a deployment of activities was granted. By default nothing.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

/// The capabilities of a deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// Where requests may go.
    pub hosts: Vec<HostRule>,
    /// Values for the guest, by name in order.
    pub environment: Vec<(String, String)>,
    pub secrets: Vec<SecretGrant>,
    /// Of a scratch directory for each attempt, in bytes. None is there where it is 0.
    pub scratch_bytes: u64,
}

/// A secret, and where the host may put it into a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretGrant {
    pub name: String,
    pub value: SecretValue,
    pub hosts: Vec<HostRule>,
}

/// The value of a secret. Never shown: not by `Debug` either.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(String);

impl SecretValue {
    pub fn new(value: String) -> SecretValue {
        SecretValue(value)
    }

    /// For what must have it: the request that it goes into, and the store.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// A place that requests may go to: `https://api.example.com`, `http://10.0.0.7:8080`, or `https://*.example.com` for
/// every name below `example.com`, but not itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRule {
    https: bool,
    /// Lower case; of an IPv6 address without brackets.
    host: String,
    /// Any name that ends in `.` and the host.
    subdomains: bool,
    port: u16,
    /// Whether addresses that are not of the public internet are meant as well.
    pub private: bool,
}

/// Why a text names no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} names no host: {problem}; write it as https://api.example.com, http://db.internal:8080 or https://*.example.com"
)]
pub struct HostRuleError {
    text: String,
    problem: &'static str,
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub https: bool,
    /// Lower case; of an IPv6 address without brackets.
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_origin(f, self.https, "", &self.host, self.port)
    }
}

impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_origin(f, self.https, if self.subdomains { "*." } else { "" }, &self.host, self.port)
    }
}

fn write_origin(f: &mut fmt::Formatter<'_>, https: bool, prefix: &str, host: &str, port: u16) -> fmt::Result {
    let scheme = if https { "https" } else { "http" };
    match host.contains(':') {
        true => write!(f, "{scheme}://[{host}]")?,
        false => write!(f, "{scheme}://{prefix}{host}")?,
    }
    match port == default_port(https) {
        true => Ok(()),
        false => write!(f, ":{port}"),
    }
}

fn default_port(https: bool) -> u16 {
    if https { 443 } else { 80 }
}

impl FromStr for HostRule {
    type Err = HostRuleError;

    fn from_str(text: &str) -> Result<HostRule, HostRuleError> {
        let refuse = |problem| HostRuleError { text: text.to_owned(), problem };
        let (https, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err(refuse("it does not begin with https:// or http://")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (subdomains, rest) = match rest.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        if rest.contains('*') {
            return Err(refuse("a * stands for whole names in front, and only there"));
        }
        let target =
            Target::of(https, rest).ok_or_else(|| refuse("a host and perhaps a port is all that may follow"))?;
        if subdomains && target.host.parse::<IpAddr>().is_ok() {
            return Err(refuse("an address has no names below it"));
        }
        Ok(HostRule { https, host: target.host, subdomains, port: target.port, private: false })
    }
}

impl HostRule {
    /// The same place, with or without addresses that are not of the public internet.
    pub fn with_private(self, private: bool) -> HostRule {
        HostRule { private, ..self }
    }

    pub fn permits(&self, target: &Target) -> bool {
        let host = match self.subdomains {
            true => target.host.strip_suffix(&self.host).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
            false => target.host == self.host,
        };
        host && self.https == target.https && self.port == target.port
    }
}

impl Target {
    /// Reads `host`, `host:port`, `[address]` or `[address]:port`.
    pub fn of(https: bool, authority: &str) -> Option<Target> {
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (address, rest) = rest.split_once(']')?;
                let address: Ipv6Addr = address.parse().ok()?;
                (address.to_string(), if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host.to_ascii_lowercase(), Some(port)),
                None => (authority.to_ascii_lowercase(), None),
            },
        };
        let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let is_address = host.contains(':');
        if host.is_empty() || host.len() > 253 || (!is_address && !host.bytes().all(named)) || host.starts_with('.') {
            return None;
        }
        let port = match port {
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                port.parse().ok().filter(|port| *port > 0)?
            }
            Some(_) => return None,
            None => default_port(https),
        };
        Some(Target { https, host, port })
    }
}

impl Grants {
    /// The rule by which a request may go there, if one lets it: one that means private addresses first.
    pub fn rule_for(&self, target: &Target) -> Option<&HostRule> {
        let fitting = || self.hosts.iter().filter(|rule| rule.permits(target));
        fitting().find(|rule| rule.private).or_else(|| fitting().next())
    }
}

/// Whether an address is one of the public internet. What is left out is the machine itself, its networks, the services
/// of its cloud (169.254.169.254 and the like), and whatever leads to those by translation.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            let special = matches!(
                (a, b, c),
                (0 | 10 | 127, _, _)
                    | (100, 64..=127, _)
                    | (169, 254, _)
                    | (172, 16..=31, _)
                    | (192, 0, 0 | 2)
                    | (192, 88, 99)
                    | (192, 168, _)
                    | (198, 18 | 19, _)
                    | (198, 51, 100)
                    | (203, 0, 113)
                    | (224..=255, _, _)
            );
            !special
        }
        IpAddr::V6(address) => {
            if let Some(address) = address.to_ipv4_mapped() {
                return is_public(IpAddr::V4(address));
            }
            let [a, b, ..] = address.segments();
            // Global unicast, without Teredo, benchmarking, ORCHID, documentation and 6to4.
            let global = (0x2000..=0x3fff).contains(&a);
            let special = (a == 0x2001 && (b < 0x0200 || b == 0x0db8)) || a == 0x2002 || a == 0x3fff;
            global && !special
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(rule: &str, https: bool, authority: &str) -> bool {
        let target = Target::of(https, authority).unwrap_or_else(|| panic!("{authority:?} is no target"));
        rule.parse::<HostRule>().unwrap().permits(&target)
    }

    #[test]
    fn a_rule_is_for_one_scheme_host_and_port() {
        assert!(permits("https://api.example.com", true, "api.example.com"));
        assert!(permits("https://API.example.com/", true, "api.Example.com:443"));
        assert!(permits("http://[::1]:8080", false, "[0:0::1]:8080"));
        for (https, authority) in [
            (false, "api.example.com"),
            (false, "api.example.com:443"),
            (true, "api.example.com:8443"),
            (true, "example.com"),
            (true, "api.example.com."),
            (true, "xapi.example.com"),
            (true, "api.example.com.evil.org"),
        ] {
            assert!(!permits("https://api.example.com", https, authority), "{authority}");
        }
    }

    #[test]
    fn a_star_stands_for_names_below_a_domain() {
        assert!(permits("https://*.example.com", true, "a.example.com"));
        assert!(permits("https://*.example.com", true, "a.b.example.com"));
        for other in ["example.com", "aexample.com", "example.com.evil.org"] {
            assert!(!permits("https://*.example.com", true, other), "{other}");
        }
    }

    #[test]
    fn what_names_no_host_is_refused() {
        for bad in [
            "",
            "example.com",
            "ftp://example.com",
            "https://",
            "https://*",
            "https://a.*.com",
            "https://*.10.0.0.1",
            "https://user@example.com",
            "https://example.com/path",
            "https://example.com:",
            "https://example.com:0",
            "https://example.com:65536",
            "https://example.com:+80",
            "https://[::1",
            "https://[127.0.0.1]",
            "https://exa mple.com",
            "https://.example.com",
        ] {
            assert!(bad.parse::<HostRule>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_rule_is_written_as_it_is_read() {
        for rule in ["https://api.example.com", "http://*.example.com:8080", "http://[::1]:8080", "http://10.0.0.1"] {
            assert_eq!(rule.parse::<HostRule>().unwrap().to_string(), rule);
        }
    }

    #[test]
    fn only_addresses_of_the_internet_are_public() {
        for public in ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2001:4860:4860::8888"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for private in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "100::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let secret = SecretGrant { name: "KEY".into(), value: SecretValue::new("s3cret".into()), hosts: Vec::new() };
        assert!(!format!("{secret:?}").contains("s3cret"));
    }
}

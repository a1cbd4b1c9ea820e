//! Who asks: not a page of somebody else's in a browser of this machine.
//!
//! Such a page can send a POST to a loopback address (and cannot read the answer), or have the name of its own
//! server lead to a loopback address (and then read everything). The first is told by `Origin` and
//! `Sec-Fetch-Site`, the second by `Host`.

use std::net::IpAddr;

use http::{Method, Request, header, uri::Authority};

/// Whether the request may have come from the administrator.
///
/// # Errors
///
/// Why not.
pub(super) fn check<B>(request: &Request<B>) -> Result<(), &'static str> {
    let host = text(request, header::HOST.as_str());
    let host = host.filter(|host| is_local(host));
    let Some(host) = host else {
        return Err("the Host has to be localhost or an address: any other name may be anybody's");
    };
    if request.method() != Method::POST {
        return Ok(());
    }
    let is_own = |origin: &str| origin.strip_prefix("http://") == Some(host);
    let headers = request.headers();
    if headers.contains_key(header::ORIGIN)
        && !text(request, header::ORIGIN.as_str()).is_some_and(is_own)
    {
        return Err("the request comes from a page of another origin");
    }
    let is_own = |site: &str| matches!(site, "same-origin" | "none");
    if headers.contains_key("sec-fetch-site")
        && !text(request, "sec-fetch-site").is_some_and(is_own)
    {
        return Err("the request comes from a page of another site");
    }
    Ok(())
}

/// The value of a header that is there once.
fn text<'a, B>(request: &'a Request<B>, name: &str) -> Option<&'a str> {
    let mut values = request.headers().get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Whether no name server has a say in where this leads.
fn is_local(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    if host.contains('@') {
        return false;
    }
    let name = authority.host();
    let bare = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    name.eq_ignore_ascii_case("localhost") || bare.unwrap_or(name).parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &Method, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn administrators_pass_and_pages_do_not() {
        let local = ("host", "127.0.0.1:9901");
        let good: [(Method, &[_]); 7] = [
            (Method::GET, &[local]),
            (Method::GET, &[("host", "localhost:9901")]),
            (Method::GET, &[("host", "[::1]:9901")]),
            (Method::POST, &[local]),
            (Method::POST, &[local, ("origin", "http://127.0.0.1:9901")]),
            (Method::POST, &[local, ("sec-fetch-site", "none")]),
            (Method::GET, &[local, ("origin", "http://evil.example")]),
        ];
        for (method, headers) in good {
            let checked = check(&request(&method, headers));
            assert_eq!(checked, Ok(()), "{method} {headers:?}");
        }
        let bad: [(Method, &[_]); 10] = [
            (Method::GET, &[]),
            (Method::GET, &[("host", "evil.example:9901")]),
            (Method::GET, &[("host", "localhost.evil.example")]),
            (Method::GET, &[("host", "x@127.0.0.1:9901")]),
            (Method::GET, &[local, ("host", "evil.example")]),
            (Method::POST, &[local, ("origin", "http://evil.example")]),
            (Method::POST, &[local, ("origin", "null")]),
            (Method::POST, &[local, ("origin", "http://127.0.0.1:80")]),
            (Method::POST, &[local, ("sec-fetch-site", "cross-site")]),
            (Method::POST, &[local, ("sec-fetch-site", "same-site")]),
        ];
        for (method, headers) in bad {
            let checked = check(&request(&method, headers));
            assert!(checked.is_err(), "{method} {headers:?}");
        }
    }
}

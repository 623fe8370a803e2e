//! TLS options put into practice, and TLS failures recognised.

use std::error::Error as StdError;
use std::io;
use std::path::Path;

use reqwest::{Certificate, ClientBuilder, Identity};

use crate::{Error, ErrorKind, Result, TlsOptions};

/// Files of certificates are small: a larger one is something else.
const MAX_PEM_BYTES: u64 = 16 << 20;

/// Puts the options into a builder.
pub(crate) fn configure(mut builder: ClientBuilder, options: &TlsOptions) -> Result<ClientBuilder> {
    if options.insecure {
        if options.ca_bundle.is_some() || options.extra_ca_bundle.is_some() {
            let message = "trusting every certificate and naming a CA bundle exclude each other";
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    if let Some(path) = &options.ca_bundle {
        let mut certificates = read_bundle(path)?;
        if let Some(extra) = &options.extra_ca_bundle {
            certificates.extend(read_bundle(extra)?);
        }
        builder = builder.tls_certs_only(certificates);
    } else if let Some(path) = &options.extra_ca_bundle {
        builder = builder.tls_certs_merge(read_bundle(path)?);
    }
    if let Some(path) = &options.client_identity {
        let what = "client certificate";
        let pem = read_pem(what, path)?;
        let identity = Identity::from_pem(&pem).map_err(|_| {
            // The reason could quote the private key.
            let need = "a PEM file with a certificate and its private key is needed";
            Error::new(
                ErrorKind::Tls,
                format!("read the {what} {}", path.display()),
            )
            .with_detail(need)
        })?;
        builder = builder.identity(identity);
    }
    Ok(builder)
}

/// Whether a failure to build is that the system has no certificates at all.
pub(crate) fn has_no_system_roots(error: &reqwest::Error) -> bool {
    find::<rustls::Error>(error).is_some_and(
        |error| matches!(error, rustls::Error::General(message) if message.starts_with("No CA certificates")),
    )
}

/// What TLS has against a server, if that is why a request failed: it will not pass by itself.
pub(crate) fn refusal(error: &(dyn StdError + 'static)) -> Option<String> {
    use rustls::CertificateError as Certificate;
    use rustls::Error as Tls;
    let error = find::<Tls>(error)?;
    let reason = match error {
        Tls::InvalidCertificate(Certificate::UnknownIssuer) => {
            "its certificate is signed by an authority that is not trusted here".to_owned()
        }
        Tls::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "its certificate has expired".to_owned()
        }
        Tls::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        ) => "its certificate is for another name".to_owned(),
        Tls::InvalidMessage(_) => "it does not speak TLS: is it http instead of https?".to_owned(),
        other => other.to_string(),
    };
    Some(reason)
}

fn read_bundle(path: &Path) -> Result<Vec<Certificate>> {
    let what = "CA bundle";
    let pem = read_pem(what, path)?;
    let failed = || {
        Error::new(
            ErrorKind::Tls,
            format!("read the {what} {}", path.display()),
        )
    };
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| {
        failed()
            .with_detail(root_cause(&error))
            .with_source(error.without_url())
    })?;
    if certificates.is_empty() {
        return Err(failed().with_detail("there is no certificate in it: a PEM file is needed"));
    }
    Ok(certificates)
}

fn read_pem(what: &str, path: &Path) -> Result<Vec<u8>> {
    let failed = || {
        Error::new(
            ErrorKind::Tls,
            format!("read the {what} {}", path.display()),
        )
    };
    let metadata = std::fs::metadata(path)
        .map_err(|error| failed().with_detail(error.to_string()).with_source(error))?;
    if metadata.is_dir() {
        return Err(failed().with_detail("it is a folder, and a PEM file is needed"));
    }
    if metadata.len() > MAX_PEM_BYTES {
        return Err(failed().with_detail("it is too large for a PEM file"));
    }
    std::fs::read(path).map_err(|error| failed().with_detail(error.to_string()).with_source(error))
}

/// The innermost cause, which says most.
pub(crate) fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let mut error = error;
    while let Some(cause) = cause(error) {
        error = cause;
    }
    error.to_string()
}

/// The first error of this type among the causes.
pub(crate) fn find<'e, E: StdError + 'static>(
    error: &'e (dyn StdError + 'static),
) -> Option<&'e E> {
    let mut error = Some(error);
    while let Some(current) = error {
        if let Some(found) = current.downcast_ref() {
            return Some(found);
        }
        error = cause(current);
    }
    None
}

fn cause<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e (dyn StdError + 'static)> {
    // The source of an error in an `io::Error` is not that error but its source.
    match error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

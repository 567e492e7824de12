//! How strictly handshakes are held to the rules: what is refused, and what is only named.

use crate::{Cause, Refusal};

/// What becomes of a handshake, or of the answer to it, that breaks a rule of RFC 6455.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strictness {
    /// It is refused, whatever the rule.
    Strict,
    /// It is refused where it is dangerous to pass it on, or where two parties could read it in two
    /// ways.
    Safe,
    /// It is passed on, wherever HTTP can carry it.
    Lenient,
}

impl Strictness {
    /// Whether one that breaks this rule is refused.
    pub const fn refuses(self, broken: Cause) -> bool {
        match self {
            Self::Strict => true,
            Self::Safe => is_dangerous(broken),
            // A 101 to a stream of HTTP/2 or HTTP/3 would put the tunnel's bytes between the frames
            // of all streams.
            Self::Lenient => matches!(broken, Cause::OverHttp2),
        }
    }

    /// How strictly the answer is looked at; `None` where it is not. A server that takes a handshake
    /// which [`Lenient`](Self::Lenient) has let pass can answer it only in its own way.
    pub const fn of_answer(self, request_keeps_rules: bool) -> Option<Self> {
        match self {
            Self::Strict => Some(Self::Strict),
            Self::Safe => Some(Self::Safe),
            Self::Lenient if request_keeps_rules => Some(Self::Safe),
            Self::Lenient => None,
        }
    }
}

/// The rules that a handshake breaks, as they are met one by one.
pub(crate) struct Broken<'a> {
    strictness: Strictness,
    first: Option<Refusal<'a>>,
}

impl<'a> Broken<'a> {
    pub(crate) const fn new(strictness: Strictness) -> Self {
        Self {
            strictness,
            first: None,
        }
    }

    /// Takes what one check has found. `Err` is a rule for which the handshake is refused, whatever
    /// was met before.
    pub(crate) fn add(&mut self, checked: Result<(), Refusal<'a>>) -> Result<(), Refusal<'a>> {
        match checked {
            Err(refusal) if self.strictness.refuses(refusal.cause) => Err(refusal),
            Err(refusal) => {
                self.first.get_or_insert(refusal);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// The first that does not stop it.
    pub(crate) const fn first(self) -> Option<Refusal<'a>> {
        self.first
    }
}

/// Whether passing this on could do harm. Each has its reason in `docs/security.md`.
const fn is_dangerous(broken: Cause) -> bool {
    matches!(
        broken,
        Cause::OverHttp2
            | Cause::BodyPresent
            | Cause::KeyRepeated
            | Cause::VersionRepeated
            | Cause::AcceptMismatch
            | Cause::ExtensionNotOffered
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seen;

    #[test]
    fn one_that_is_refused_counts_before_an_earlier_one_that_is_not() {
        let missing = Refusal::new(Cause::KeyMissing, Seen::Missing("Sec-WebSocket-Key"));
        let body = Refusal::new(Cause::BodyPresent, Seen::Body);
        let judge = |strictness, checked: [_; 3]| {
            let mut broken = Broken::new(strictness);
            for checked in checked {
                broken.add(checked)?;
            }
            Ok(broken.first())
        };
        let checked = [Ok(()), Err(missing), Err(body)];
        assert_eq!(judge(Strictness::Strict, checked), Err(missing));
        assert_eq!(judge(Strictness::Safe, checked), Err(body));
        assert_eq!(judge(Strictness::Lenient, checked), Ok(Some(missing)));
        assert_eq!(judge(Strictness::Strict, [Ok(()); 3]), Ok(None));
    }

    #[test]
    fn each_step_refuses_less() {
        for &cause in Cause::ALL {
            let refuses = [Strictness::Strict, Strictness::Safe, Strictness::Lenient]
                .map(|strictness| strictness.refuses(cause));
            assert!(
                refuses.is_sorted_by(|stricter, milder| stricter >= milder),
                "{cause}"
            );
        }
    }
}

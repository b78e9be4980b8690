//! Who asks, as its trace says: the headers `traceparent` and `tracestate` (W3C Trace Context).

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// The span that a request was sent in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    trace: TraceId,
    span: SpanId,
    flags: TraceFlags,
}

impl Caller {
    /// Reads a `traceparent`. None if it is not valid, as section 3.2 has it: then it is as if there were none.
    #[must_use]
    pub fn parse(traceparent: &str) -> Option<Self> {
        let mut parts = traceparent.split('-');
        let mut next = |digits| hexadecimal(parts.next()?, digits);
        let (version, trace, span, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        // A later version may have more to say.
        let is_known = match version {
            0 => parts.next().is_none(),
            version => version < 0xff,
        };
        let caller = Self {
            trace: TraceId::from(trace),
            span: SpanId::from(u64::try_from(span).ok()?),
            flags: TraceFlags::new(u8::try_from(flags).ok()?) & TraceFlags::SAMPLED,
        };
        (is_known && trace != 0 && span != 0).then_some(caller)
    }

    /// Whether the caller's own span is recorded.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags.is_sampled()
    }

    /// As the parent of a span. A `tracestate` that is not valid is left out (section 3.3).
    #[must_use]
    pub fn span_context(self, tracestate: Option<&str>) -> SpanContext {
        let state = tracestate.and_then(|state| state.parse::<TraceState>().ok());
        let state = state.unwrap_or_default();
        SpanContext::new(self.trace, self.span, self.flags, true, state)
    }
}

/// The number that is written in exactly so many lowercase digits.
fn hexadecimal(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != digits || !text.bytes().all(is_digit) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_valid_header_names_trace_span_and_decision() {
        let caller = Caller::parse(GOOD).expect("a caller");
        assert!(caller.is_sampled());
        let context = caller.span_context(Some("vendor=1,other=2"));
        assert_eq!(
            context.trace_id().to_string(),
            "0af7651916cd43dd8448eb211c80319c"
        );
        assert_eq!(context.span_id().to_string(), "b7ad6b7169203331");
        assert_eq!(context.trace_state().get("vendor"), Some("1"));
        assert!(context.is_remote());
        let not_sampled = GOOD.replace("-01", "-00");
        assert!(!Caller::parse(&not_sampled).expect("a caller").is_sampled());
    }

    #[test]
    fn a_later_version_may_say_more() {
        let later = GOOD.replacen("00", "cc", 1);
        assert!(Caller::parse(&later).is_some());
        assert_eq!(
            Caller::parse(&format!("{later}-what-else")),
            Caller::parse(GOOD)
        );
    }

    #[test]
    fn flags_that_nobody_knows_are_not_passed_on() {
        let caller = Caller::parse(&GOOD.replace("-01", "-ff"));
        assert_eq!(caller, Caller::parse(GOOD));
    }

    #[test]
    fn an_invalid_header_is_as_good_as_none() {
        for bad in [
            "",
            "-",
            "garbage",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319ü-b7ad6b7169203331-01",
        ] {
            assert_eq!(Caller::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_invalid_state_does_not_cost_the_trace() {
        let caller = Caller::parse(GOOD).expect("a caller");
        let context = caller.span_context(Some("no state"));
        assert!(context.is_valid());
        assert_eq!(context.trace_state().header(), "");
    }
}

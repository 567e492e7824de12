//! The headers that a handshake is made of.

macro_rules! headers {
    ($(#[$doc:meta])* $type:ident: $count:literal { $($header:ident $title:literal $name:literal)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $type {
            $(#[doc = $title] $header,)*
        }

        impl $type {
            /// Every header of the handshake.
            pub const ALL: [Self; $count] = [$(Self::$header,)*];

            /// The name in lower case, as nginx keeps it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$header => $name,)* }
            }

            /// The name as the RFC writes it.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$header => $title,)* }
            }
        }
    };
}

headers! {
    /// A header of the client's half of the handshake.
    RequestHeader: 6 {
        Connection "Connection" "connection"
        Upgrade "Upgrade" "upgrade"
        Key "Sec-WebSocket-Key" "sec-websocket-key"
        Version "Sec-WebSocket-Version" "sec-websocket-version"
        Protocol "Sec-WebSocket-Protocol" "sec-websocket-protocol"
        Extensions "Sec-WebSocket-Extensions" "sec-websocket-extensions"
    }
}

headers! {
    /// A header of the upstream's half of the handshake.
    ResponseHeader: 5 {
        Connection "Connection" "connection"
        Upgrade "Upgrade" "upgrade"
        Accept "Sec-WebSocket-Accept" "sec-websocket-accept"
        Protocol "Sec-WebSocket-Protocol" "sec-websocket-protocol"
        Extensions "Sec-WebSocket-Extensions" "sec-websocket-extensions"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_titles_in_lower_case() {
        for header in RequestHeader::ALL {
            assert_eq!(header.title().to_ascii_lowercase(), header.name());
        }
        for header in ResponseHeader::ALL {
            assert_eq!(header.title().to_ascii_lowercase(), header.name());
        }
    }
}

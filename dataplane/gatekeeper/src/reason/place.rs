//! Which packet may carry which code, and from whom.

use super::ReasonCode;

/// A packet that carries reason codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// CONNACK, MQTT 5.0 table 3-1.
    Connack,
    /// PUBACK, table 3-4.
    Puback,
    /// PUBREC, table 3-5.
    Pubrec,
    /// PUBREL, table 3-6.
    Pubrel,
    /// PUBCOMP, table 3-7.
    Pubcomp,
    /// SUBACK, table 3-8.
    Suback,
    /// UNSUBACK, table 3-9.
    Unsuback,
    /// DISCONNECT, table 3-10.
    Disconnect,
    /// AUTH, table 3-11.
    Auth,
}

/// Who sends the packet, in the roles of the standard. Towards the broker the gate is the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sender {
    /// The client of the connection.
    Client,
    /// The server of the connection.
    Server,
}

impl ReasonCode {
    /// Whether `sender` may put this code into a packet at `place`, on MQTT 5.0.
    #[must_use]
    pub const fn is_legal(self, place: Place, sender: Sender) -> bool {
        match (place, sender) {
            (Place::Connack, Sender::Server) => matches!(
                self.get(),
                0x00 | 0x80..=0x8A | 0x8C | 0x90 | 0x95 | 0x97 | 0x99..=0x9D | 0x9F
            ),
            (Place::Puback | Place::Pubrec, Sender::Server) => matches!(
                self.get(),
                0x00 | 0x10 | 0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99
            ),
            // 0x10 says that the server knows of no subscriber: nothing for a client to say.
            (Place::Puback | Place::Pubrec, Sender::Client) => matches!(
                self.get(),
                0x00 | 0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99
            ),
            (Place::Pubrel | Place::Pubcomp, _) => matches!(self.get(), 0x00 | 0x92),
            (Place::Suback, Sender::Server) => matches!(
                self.get(),
                0x00..=0x02 | 0x80 | 0x83 | 0x87 | 0x8F | 0x91 | 0x97 | 0x9E | 0xA1 | 0xA2
            ),
            (Place::Unsuback, Sender::Server) => {
                matches!(self.get(), 0x00 | 0x11 | 0x80 | 0x83 | 0x87 | 0x8F | 0x91)
            }
            // Table 2-6 lists 0x8C for DISCONNECT too, table 3-10 does not. It is never to be sent.
            (Place::Disconnect, Sender::Server) => matches!(
                self.get(),
                0x00 | 0x80..=0x83
                    | 0x87
                    | 0x89
                    | 0x8B
                    | 0x8D..=0x90
                    | 0x93..=0xA2
            ),
            (Place::Disconnect, Sender::Client) => matches!(
                self.get(),
                0x00 | 0x04 | 0x80..=0x83 | 0x90 | 0x93..=0x99
            ),
            (Place::Auth, Sender::Server) => matches!(self.get(), 0x00 | 0x18),
            (Place::Auth, Sender::Client) => matches!(self.get(), 0x18 | 0x19),
            (Place::Connack | Place::Suback | Place::Unsuback, Sender::Client) => false,
        }
    }
}

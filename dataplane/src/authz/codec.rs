//! A gRPC codec for requests that are encoded already.

use bytes::{Buf, BufMut, Bytes};
use prost::DecodeError;
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

/// Sends bytes as they are, and reads messages as this function does.
#[derive(Debug)]
pub(super) struct Raw<R>(pub(super) fn(Bytes) -> Result<R, DecodeError>);

impl<R> Clone for Raw<R> {
    fn clone(&self) -> Self {
        Self(self.0)
    }
}

impl<R: Send + 'static> Codec for Raw<R> {
    type Encode = Bytes;
    type Decode = R;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        self.clone()
    }

    fn decoder(&mut self) -> Self {
        self.clone()
    }
}

impl<R> Encoder for Raw<R> {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, request: Bytes, target: &mut EncodeBuf<'_>) -> Result<(), Status> {
        target.put(request);
        Ok(())
    }
}

impl<R> Decoder for Raw<R> {
    type Item = R;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<R>, Status> {
        // All of it is there: tonic waits for the whole message.
        match self.0(source.copy_to_bytes(source.remaining())) {
            Ok(message) => Ok(Some(message)),
            Err(error) => Err(Status::internal(error.to_string())),
        }
    }
}

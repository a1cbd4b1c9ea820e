//! A gRPC codec for requests that are encoded already.

use std::marker::PhantomData;

use bytes::{Buf, BufMut, Bytes};
use prost::Message;
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

/// Sends bytes as they are, and reads messages of type `R`.
#[derive(Debug)]
pub(super) struct Raw<R>(PhantomData<fn() -> R>);

impl<R> Default for Raw<R> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<R: Message + Default + 'static> Codec for Raw<R> {
    type Encode = Bytes;
    type Decode = R;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self::default()
    }

    fn decoder(&mut self) -> Self {
        Self::default()
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

impl<R: Message + Default> Decoder for Raw<R> {
    type Item = R;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<R>, Status> {
        // All of it is there: tonic waits for the whole message.
        match R::decode(source.copy_to_bytes(source.remaining())) {
            Ok(message) => Ok(Some(message)),
            Err(error) => Err(Status::internal(error.to_string())),
        }
    }
}

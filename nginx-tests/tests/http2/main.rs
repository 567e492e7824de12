//! WebSocket over HTTP/2 (RFC 8441): requests and answers, bytes within windows, ends, and clients that mean no good.

mod answers;
mod beginnings;
mod blocks;
mod browser;
mod case;
mod cleartext;
mod clients;
mod ends;
mod frames;
mod full;
mod hostile;
mod pieces;
mod plain;
mod tables;
mod tunnels;
mod windows;

// Stream: TLS over TCP for Boost.Asio, as coordinator, agents and commands use it.
//
// Purpose: the stream type, its context from the job's key, and the user's
//   words for how a handshake or a connection ended.
// Ownership: a Stream keeps a reference to its context's SSL_CTX; not to be
//   destroyed while an operation of it is under way.
// Threads: those of its io_context. Errors: values; nothing throws.
// Source: Boost.Asio 1.74 reference; format/tls/psk_context.hpp.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <string>

#include "format/tls/psk_context.hpp"

namespace ckpt::tls {

using Stream = boost::asio::ssl::stream<boost::asio::ip::tcp::socket>;

Result<boost::asio::ssl::context> make_stream_context(Role role, const JobKey& key);

// Why a handshake failed.
std::string handshake_cause(const boost::system::error_code& error);
// Why a connection that was up ended. Frames have lengths, so an end of the TCP
// stream without TLS's farewell hides nothing: it is an end like any other.
std::string end_cause(const boost::system::error_code& error);
bool is_end(const boost::system::error_code& error);

}  // namespace ckpt::tls

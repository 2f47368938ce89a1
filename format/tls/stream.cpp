#include "format/tls/stream.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/ssl/error.hpp>

namespace ckpt::tls {

namespace asio = boost::asio;

Result<asio::ssl::context> make_stream_context(Role role, const JobKey& key) {
  auto context = make_context(role, key);
  if (!context) return tl::unexpected(context.error());
  return asio::ssl::context(context->release());
}

bool is_end(const boost::system::error_code& error) {
  return error == asio::error::eof || error == asio::error::connection_reset ||
         error == asio::ssl::error::stream_truncated;
}

std::string handshake_cause(const boost::system::error_code& error) {
  if (error.category() == asio::error::get_ssl_category())
    return handshake_cause(static_cast<unsigned long>(static_cast<unsigned>(error.value())));
  if (is_end(error)) return "it closed its connection in the handshake";
  return error.message();
}

std::string end_cause(const boost::system::error_code& error) {
  return is_end(error) ? "closed its connection" : error.message();
}

}  // namespace ckpt::tls

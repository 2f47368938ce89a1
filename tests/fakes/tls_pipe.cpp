// tls_pipe: the coordinator's TLS for test programs that have none (Python).
//
//     tls_pipe COORDINATOR_JSON [KEY]
//
// Connects as coordinator.json says, with its key or KEY, and passes bytes
// between the coordinator and the socket that is its standard input. Exits 0
// when either side ends, 1 with the cause on stderr when the handshake fails.
#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <cstdlib>
#include <iostream>

#include "format/tls/stream.hpp"
#include "format/wire/coordinator_file.hpp"

namespace {

namespace asio = boost::asio;

template <typename From, typename To>
class Pump {
 public:
  Pump(From& from, To& to) : from_(from), to_(to) { read(); }

 private:
  void read() {
    from_.async_read_some(asio::buffer(bytes_), [this](auto error, std::size_t size) {
      if (error) std::_Exit(0);
      asio::async_write(to_, asio::buffer(bytes_.data(), size), [this](auto failed, std::size_t) {
        if (failed) std::_Exit(0);
        read();
      });
    });
  }

  From& from_;
  To& to_;
  std::array<char, 16384> bytes_{};
};

int complain(const std::string& text) {
  std::cerr << "tls_pipe: " << text << '\n';
  return 1;
}

int run(const std::string& path, const char* other_key) {
  const auto address = ckpt::wire::read_coordinator_file(path);
  if (!address) return complain(address.error().message());
  const auto key = ckpt::tls::JobKey::from_text(other_key != nullptr ? other_key : address->key);
  if (!key) return complain(key.error().message());
  auto context = ckpt::tls::make_stream_context(ckpt::tls::Role::client, *key);
  if (!context) return complain(context.error().message());
  asio::io_context io;
  ckpt::tls::Stream coordinator(io, *context);
  coordinator.lowest_layer().connect({asio::ip::make_address(address->host), address->port});
  coordinator.lowest_layer().set_option(asio::ip::tcp::no_delay(true));
  boost::system::error_code error;
  coordinator.handshake(asio::ssl::stream_base::client, error);
  if (error) return complain(ckpt::tls::handshake_cause(error));
  asio::local::stream_protocol::socket program(io, asio::local::stream_protocol(), 0);
  Pump out(program, coordinator);
  Pump in(coordinator, program);
  io.run();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return complain("usage: tls_pipe COORDINATOR_JSON [KEY]");
  try {
    return run(argv[1], argc > 2 ? argv[2] : nullptr);
  } catch (const std::exception& problem) {
    return complain(problem.what());
  }
}

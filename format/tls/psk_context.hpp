// TLS 1.3 with the job's key as external pre-shared key: the settings of every
// connection to the coordinator, for both of its ends.
//
// Purpose: make_context() is an SSL_CTX that speaks TLS 1.3 only, one cipher
//   suite, a fresh Diffie-Hellman exchange in each handshake (psk_dhe_ke: who
//   learns the key later cannot read what was recorded), no certificates, no
//   session tickets, no early data. A peer that does not know the key fails in
//   the handshake; no byte of a message is read from it or sent to it.
//   There is no setting that turns any of this off.
// Ownership: the SSL_CTX owns a copy of the key and wipes it when it goes.
// Threads: a context may be used by several threads, an SSL of it by one.
// Errors: OpenSSL's own text; handshake_cause() says in the user's words what a
//   failed handshake means.
// Source: RFC 8446, 4.2.9, 4.2.11; RFC 9257; OpenSSL 3.0
//   SSL_CTX_set_psk_use_session_callback(3), SSL_CTX_set_psk_find_session_callback(3).
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "format/posix/result.hpp"
#include "format/tls/job_key.hpp"

namespace ckpt::tls {

// What RFC 8446 pairs with a pre-shared key whose hash nobody named: stock tools
// (openssl s_client -psk) speak it too.
inline constexpr const char* kCipherSuite = "TLS_AES_128_GCM_SHA256";
// Names the key in the handshake, where it can be read; it says nothing of the job.
inline constexpr const char* kIdentity = "ckpt-coord";

enum class Role { coordinator, client };

struct ContextDeleter {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using Context = std::unique_ptr<SSL_CTX, ContextDeleter>;

Result<Context> make_context(Role role, const JobKey& key);

// After the handshake: the peer has proved that it knows the key. (It cannot
// succeed otherwise; this is the second lock on the door.)
bool knows_key(const SSL* connection);

// `code` is what ERR_get_error() gave for a handshake that failed.
std::string handshake_cause(unsigned long code);

}  // namespace ckpt::tls

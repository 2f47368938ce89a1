#include "format/tls/psk_context.hpp"

#include <openssl/crypto.h>
#include <openssl/err.h>

#include <cstring>

namespace ckpt::tls {
namespace {

constexpr unsigned char kCipherNumber[] = {0x13, 0x01};  // kCipherSuite

struct SessionDeleter {
  void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
};
using Session = std::unique_ptr<SSL_SESSION, SessionDeleter>;

void free_key(void*, void* key, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<JobKey*>(key);
}

// Where the context keeps its key.
int key_slot() {
  static const int slot = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, free_key);
  return slot;
}

const JobKey* key_of(SSL* connection) {
  return static_cast<const JobKey*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(connection), key_slot()));
}

// A session that never was: OpenSSL's way to be told an external key. Made anew
// for each handshake, which writes into it.
Session session_of(SSL* connection) {
  const JobKey* key = key_of(connection);
  const SSL_CIPHER* cipher = SSL_CIPHER_find(connection, kCipherNumber);
  Session session(SSL_SESSION_new());
  if (key == nullptr || cipher == nullptr || !session ||
      SSL_SESSION_set1_master_key(session.get(), key->bytes().data(), JobKey::kBytes) != 1 ||
      SSL_SESSION_set_cipher(session.get(), cipher) != 1 ||
      SSL_SESSION_set_protocol_version(session.get(), TLS1_3_VERSION) != 1)
    return nullptr;
  return session;
}

int use_key(SSL* connection, const EVP_MD*, const unsigned char** identity, std::size_t* length,
            SSL_SESSION** session) {
  *session = session_of(connection).release();
  *identity = reinterpret_cast<const unsigned char*>(kIdentity);
  *length = std::strlen(kIdentity);
  return *session != nullptr ? 1 : 0;
}

// No session for a foreign identity: the handshake then ends for want of a certificate.
int find_key(SSL* connection, const unsigned char* identity, std::size_t length,
             SSL_SESSION** session) {
  *session = nullptr;
  if (length != std::strlen(kIdentity) || std::memcmp(identity, kIdentity, length) != 0) return 1;
  *session = session_of(connection).release();
  return *session != nullptr ? 1 : 0;
}

Failure failed(const char* operation) {
  const unsigned long code = ERR_get_error();
  const char* reason = ERR_reason_error_string(code);
  ERR_clear_error();
  return fail(operation, "TLS context", reason != nullptr ? reason : "no memory", EPROTO);
}

}  // namespace

Result<Context> make_context(Role role, const JobKey& key) {
  const bool server = role == Role::coordinator;
  Context context(SSL_CTX_new(server ? TLS_server_method() : TLS_client_method()));
  if (!context) return failed("make");
  SSL_CTX* raw = context.get();
  auto held = std::make_unique<JobKey>(key);
  if (SSL_CTX_set_ex_data(raw, key_slot(), held.get()) != 1) return failed("keep the key in");
  static_cast<void>(held.release());
  // What a site's openssl.cnf says of versions is for programs that do not know.
  if (SSL_CTX_set_min_proto_version(raw, TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_max_proto_version(raw, TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_ciphersuites(raw, kCipherSuite) != 1)
    return failed("set the version of");
  SSL_CTX_clear_options(raw, SSL_OP_ALLOW_NO_DHE_KEX);
  SSL_CTX_set_options(raw, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS);
  if (server) {
    // It has no certificate: a handshake without the key cannot go on.
    if (SSL_CTX_set_num_tickets(raw, 0) != 1) return failed("set tickets of");
    SSL_CTX_set_max_early_data(raw, 0);
    SSL_CTX_set_psk_find_session_callback(raw, find_key);
  } else {
    // A server that shows a certificate instead is not believed: the store is empty.
    SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_psk_use_session_callback(raw, use_key);
  }
  return context;
}

bool knows_key(const SSL* connection) {
  return SSL_is_init_finished(connection) != 0 && SSL_version(connection) == TLS1_3_VERSION &&
         SSL_session_reused(connection) == 1;
}

std::string handshake_cause(unsigned long code) {
  switch (ERR_GET_REASON(code)) {
    case SSL_R_BINDER_DOES_NOT_VERIFY:
    case SSL_R_SSLV3_ALERT_ILLEGAL_PARAMETER:
      return "wrong key: it has that of another coordinator";
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_RECORD_LENGTH_MISMATCH: return "no TLS: what it says is something else";
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION: return "no TLS 1.3: it offers older versions only";
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
      return "it shows a certificate instead of knowing the key";
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_MISSING_SIGALGS_EXTENSION:
    case SSL_R_MISSING_PSK_KEX_MODES_EXTENSION:
      return "no key: it wants a certificate, or another cipher";
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
    case SSL_R_TLSV1_ALERT_UNKNOWN_PSK_IDENTITY: return "it refuses our key: no key in common";
    case SSL_R_UNEXPECTED_EOF_WHILE_READING: return "it closed its connection in the handshake";
    default: {
      const char* reason = ERR_reason_error_string(code);
      return reason != nullptr ? reason : "TLS error " + std::to_string(code);
    }
  }
}

}  // namespace ckpt::tls

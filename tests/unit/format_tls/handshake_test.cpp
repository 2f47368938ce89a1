// Who gets through the handshake and who does not, and what both are told.
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <array>
#include <memory>

#include "format/tls/psk_context.hpp"

namespace ckpt::tls {
namespace {

// One end of a handshake in memory: what it writes is carried over by the test.
class End {
 public:
  End(SSL_CTX* context, bool server)
      : ssl_(SSL_new(context)), in_(BIO_new(BIO_s_mem())), out_(BIO_new(BIO_s_mem())) {
    SSL_set_bio(ssl_.get(), in_, out_);
    server ? SSL_set_accept_state(ssl_.get()) : SSL_set_connect_state(ssl_.get());
  }
  // One step; true when there is nothing more to do, for good or bad.
  bool step() {
    if (ended_) return true;
    ERR_clear_error();
    const int done = SSL_do_handshake(ssl_.get());
    if (done == 1) return ended_ = true;
    if (SSL_get_error(ssl_.get(), done) == SSL_ERROR_WANT_READ) return false;
    code_ = ERR_get_error();
    return ended_ = true;
  }
  std::string take() {
    std::string bytes(static_cast<std::size_t>(BIO_ctrl_pending(out_)), '\0');
    if (!bytes.empty()) BIO_read(out_, bytes.data(), static_cast<int>(bytes.size()));
    return bytes;
  }
  void give(const std::string& bytes) {
    if (!bytes.empty()) BIO_write(in_, bytes.data(), static_cast<int>(bytes.size()));
  }
  SSL* ssl() { return ssl_.get(); }
  bool through() const { return SSL_is_init_finished(ssl_.get()) != 0 && code_ == 0; }
  std::string cause() const { return code_ == 0 ? "" : handshake_cause(code_); }

 private:
  struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  std::unique_ptr<SSL, Free> ssl_;
  BIO *in_, *out_;
  bool ended_ = false;
  unsigned long code_ = 0;
};

void shake(End& client, End& server) {
  for (int round = 0; round < 10; ++round) {
    client.step();
    server.give(client.take());
    server.step();
    client.give(server.take());
  }
}

Context plain_client() {
  Context context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  return context;
}

Context server_with_certificate() {
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), X509_free);
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_set_pubkey(certificate.get(), key.get());
  X509_NAME* name = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("127.0.0.1"), -1, -1, 0);
  X509_set_issuer_name(certificate.get(), name);
  X509_sign(certificate.get(), key.get(), EVP_sha256());
  Context context(SSL_CTX_new(TLS_server_method()));
  EXPECT_EQ(SSL_CTX_use_certificate(context.get(), certificate.get()), 1);
  EXPECT_EQ(SSL_CTX_use_PrivateKey(context.get(), key.get()), 1);
  return context;
}

struct Handshake : testing::Test {
  JobKey key = JobKey::make().value();
  Context server_context = make_context(Role::coordinator, key).value();
  Context client_context = make_context(Role::client, key).value();
};

TEST_F(Handshake, WhoKnowsTheKeyGetsThrough) {
  End client(client_context.get(), false), server(server_context.get(), true);
  shake(client, server);
  ASSERT_TRUE(client.through()) << client.cause();
  ASSERT_TRUE(server.through()) << server.cause();
  for (End* end : {&client, &server}) {
    EXPECT_TRUE(knows_key(end->ssl()));
    EXPECT_EQ(SSL_version(end->ssl()), TLS1_3_VERSION);
    EXPECT_STREQ(SSL_get_cipher_name(end->ssl()), kCipherSuite);
    EXPECT_EQ(SSL_get0_peer_certificate(end->ssl()), nullptr);
    EXPECT_NE(SSL_get_negotiated_group(end->ssl()), 0) << "a Diffie-Hellman exchange was made";
  }
}

TEST_F(Handshake, AContextServesManyConnectionsAndIsNotNeededByThem) {
  End first(client_context.get(), false), server(server_context.get(), true);
  End second(client_context.get(), false), other(server_context.get(), true);
  client_context.reset();
  server_context.reset();
  shake(first, server);
  shake(second, other);
  EXPECT_TRUE(first.through() && server.through() && second.through() && other.through());
}

TEST_F(Handshake, NoTicketIsEverSent) {
  End client(client_context.get(), false), server(server_context.get(), true);
  shake(client, server);
  ASSERT_TRUE(server.through());
  ASSERT_EQ(SSL_write(server.ssl(), "x", 1), 1);
  client.give(server.take());
  char byte = 0;
  ASSERT_EQ(SSL_read(client.ssl(), &byte, 1), 1);
  EXPECT_EQ(byte, 'x');
  EXPECT_EQ(SSL_SESSION_has_ticket(SSL_get0_session(client.ssl())), 0);
}

TEST_F(Handshake, AWrongKeyIsRefusedByName) {
  const Context other = make_context(Role::client, JobKey::make().value()).value();
  End client(other.get(), false), server(server_context.get(), true);
  shake(client, server);
  EXPECT_FALSE(client.through());
  EXPECT_FALSE(server.through());
  EXPECT_NE(server.cause().find("wrong key"), std::string::npos) << server.cause();
  EXPECT_NE(client.cause().find("wrong key"), std::string::npos) << client.cause();
}

TEST_F(Handshake, WithoutAKeyNobodyGetsIn) {
  const Context plain = plain_client();
  End client(plain.get(), false), server(server_context.get(), true);
  shake(client, server);
  EXPECT_FALSE(client.through());
  EXPECT_FALSE(server.through());
  EXPECT_NE(server.cause().find("no key"), std::string::npos) << server.cause();
}

TEST_F(Handshake, OlderVersionsAreRefused) {
  const Context old = plain_client();
  SSL_CTX_set_max_proto_version(old.get(), TLS1_2_VERSION);
  End client(old.get(), false), server(server_context.get(), true);
  shake(client, server);
  EXPECT_FALSE(server.through());
  EXPECT_NE(server.cause().find("no TLS 1.3"), std::string::npos) << server.cause();
}

TEST_F(Handshake, ACertificateIsNoSubstitute) {
  const Context certified = server_with_certificate();
  End client(client_context.get(), false), server(certified.get(), true);
  shake(client, server);
  EXPECT_FALSE(client.through());
  EXPECT_NE(client.cause().find("certificate"), std::string::npos) << client.cause();
}

TEST_F(Handshake, WhatIsNoTlsIsCalledThat) {
  for (const char* text : {"GET / HTTP/1.1\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "\x06"}) {
    const std::string bytes = text + std::string(64, '\0');
    End server(server_context.get(), true), client(client_context.get(), false);
    server.give(bytes);
    EXPECT_TRUE(server.step());
    EXPECT_NE(server.cause().find("no TLS"), std::string::npos) << server.cause();
    client.step();
    client.give(bytes);
    EXPECT_TRUE(client.step());
    EXPECT_NE(client.cause().find("no TLS"), std::string::npos) << client.cause();
  }
}

TEST(JobKey, IsRandomAndComesBackFromItsText) {
  const JobKey a = JobKey::make().value(), b = JobKey::make().value();
  EXPECT_NE(a.bytes(), b.bytes());
  EXPECT_EQ(a.text().size(), 64u);
  EXPECT_EQ(JobKey::from_text(a.text())->bytes(), a.bytes());
  for (const std::string& bad : {std::string(), std::string(63, '0'), std::string(66, '0'),
                                 std::string(64, 'g'), std::string(64, 'A')}) {
    const auto refused = JobKey::from_text(bad);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message().find("0000"), std::string::npos) << "the key is not told";
  }
}

}  // namespace
}  // namespace ckpt::tls
